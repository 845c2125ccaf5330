package arena

import "sync/atomic"

// poison is not a likely value of a tensor's byte, and a BF16 made of it (-1.2e17) is no plausible activation.
const poison = 0xdb

// An Extent is a run of whole units that one caller holds. After Free neither it nor its bytes may be touched.
type Extent struct {
	arena *Arena
	block *block
	mem   []byte
	owner atomic.Pointer[any]
}

// Bytes returns all of the extent's memory.
func (x *Extent) Bytes() []byte { return x.mem }

// Len returns the extent's length in bytes, which is what it costs.
func (x *Extent) Len() int64 { return int64(len(x.mem)) }

// SetOwner records who keeps the extent; nil means nobody who could let it go. It may run beside Owner.
func (x *Extent) SetOwner(owner any) {
	if owner == nil {
		x.owner.Store(nil)
		return
	}
	x.owner.Store(&owner)
}

// Owner returns what SetOwner recorded last, or nil.
func (x *Extent) Owner() any {
	if p := x.owner.Load(); p != nil {
		return *p
	}
	return nil
}

// Free returns the extent to its arena. Freeing it twice panics.
func (x *Extent) Free() { x.arena.release(x) }

// overwrite poisons by copying what is poisoned already, which the race detector does not slow down as it does
// a loop over bytes.
func (x *Extent) overwrite() {
	x.mem[0] = poison
	for done := 1; done < len(x.mem); done *= 2 {
		copy(x.mem[done:], x.mem[:done])
	}
}
