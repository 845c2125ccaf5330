package tiers

import (
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/tiers/arena"
)

// directBlock is what O_DIRECT asks of lengths and addresses: 4 KiB suits every disk in use
// (odd lengths are EINVAL).
const directBlock = 4096

// An Embedding is one encoder output: a dense row-major tensor and a little metadata. It is immutable
// once made and may be read from any number of goroutines: one extent can be written to a socket, to
// disk and be evicted at the same time.
//
// # Memory management
//
// NewEmbedding returns the first reference. Retain adds one and may be called only by who holds one;
// TryRetain is for who merely knows of the embedding and fails once the last reference has gone.
// Release drops one; the last Release returns the extent to the arena, after which Bytes must not be
// touched: under test the arena poisons freed extents. An Embedding is never reused, so a stale pointer
// can only fail TryRetain, never reach another embedding's bytes.
type Embedding struct {
	Name Name
	ID   ID
	Meta Meta

	extent *arena.Extent
	refs   atomic.Int32
	clean  atomic.Bool
}

// NewEmbedding takes over extent, whose first meta.Size bytes are the payload, and zeroes the payload's
// tail up to the next multiple of 4 KiB, so that a write of whole blocks never stores another tenant's bytes.
func NewEmbedding(name Name, meta Meta, extent *arena.Extent) *Embedding {
	e := &Embedding{Name: name, ID: name.ID(), Meta: meta, extent: extent}
	e.refs.Store(1)
	clear(e.Blocks()[meta.Size:])
	return e
}

// Bytes returns the payload, Meta.Size bytes. The caller holds a reference for as long as it reads.
func (e *Embedding) Bytes() []byte { return e.extent.Bytes()[:e.Meta.Size] }

// Blocks returns the payload and its zeroed tail: page aligned, a multiple of 4 KiB, fit for O_DIRECT.
func (e *Embedding) Blocks() []byte { return e.extent.Bytes()[:RoundToBlock(e.Meta.Size)] }

// RoundToBlock rounds a size in bytes up to the 4 KiB that O_DIRECT asks for.
func RoundToBlock(size int64) int64 { return (size + directBlock - 1) &^ (directBlock - 1) }

// HeapBytes estimates what the embedding takes of the Go heap: everything but its extent.
func (e *Embedding) HeapBytes() int64 {
	const structs = 512 // the Embedding and what refers to it
	return structs + int64(len(e.Name.Key)+len(e.Meta.Extra)+len(e.Meta.Safetensors))
}

// Extent returns the arena extent under the payload: what a tier accounts and evicts by.
func (e *Embedding) Extent() *arena.Extent { return e.extent }

// Retain adds a reference and returns e.
func (e *Embedding) Retain() *Embedding {
	if e.refs.Add(1) <= 1 {
		panic("tiers: retain of a freed embedding")
	}
	return e
}

// TryRetain adds a reference unless the last one has gone, and reports whether it did.
func (e *Embedding) TryRetain() bool {
	for {
		refs := e.refs.Load()
		if refs <= 0 {
			return false
		}
		if e.refs.CompareAndSwap(refs, refs+1) {
			return true
		}
	}
}

// Release drops a reference; the last one frees the extent.
func (e *Embedding) Release() {
	switch refs := e.refs.Add(-1); {
	case refs == 0:
		e.extent.Free()
	case refs < 0:
		panic("tiers: release of a freed embedding")
	}
}

// Idle reports whether exactly one reference is left: the one of the tier that asks. It is a hint for
// choosing what to evict, since a reader may retain the embedding right after.
func (e *Embedding) Idle() bool { return e.refs.Load() == 1 }

// MarkClean records that there is nothing to wait for before the embedding is dropped from host memory: the
// next tier got its copy or refused it, or there is no next tier.
func (e *Embedding) MarkClean() { e.clean.Store(true) }

// Clean reports whether MarkClean was called.
func (e *Embedding) Clean() bool { return e.clean.Load() }

// Checksum returns the xxh3-128 of a payload as Meta.Sum holds it.
func Checksum(payload []byte) [16]byte { return xxh3.Hash128(payload).Bytes() }
