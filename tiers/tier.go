package tiers

import (
	"context"

	"github.com/keepsight/keepsight/tiers/arena"
)

// A Tier is one level of the hierarchy. Its methods may be called concurrently, and after Close they
// return ErrClosed. tiertest holds what every tier must pass.
type Tier interface {
	// Get returns the embedding with a reference that the caller releases, its checksum verified if the
	// bytes were anywhere a fault could touch them. Whatever cannot be returned whole is ErrNotFound;
	// ErrNoRoom means that host memory for reading it was not to be had.
	Get(ctx context.Context, id ID) (*Embedding, error)
	// Stat returns what Get would, without the bytes. It counts as no use.
	Stat(ctx context.Context, id ID) (Name, Meta, error)
	// Put stores the embedding and retains what it keeps; on return it is as durable as the tier can
	// make it. An embedding already stored under the id is replaced.
	Put(ctx context.Context, e *Embedding) error
	// Delete removes the embedding: when it returns, no Get finds it. Absent is not an error.
	Delete(ctx context.Context, id ID) error
	// Stats is cheap enough for every scrape.
	Stats() Stats
	// Close waits for calls in progress, makes durable what should be, and is idempotent.
	Close() error
}

// Host is what the Store asks of the tier that holds embeddings in host memory.
type Host interface {
	Tier
	Purger
	// Reserve returns an extent of at least size bytes, evicting what it must; the caller owns it.
	// ErrNoRoom when nothing more can be evicted before ctx ends or a short internal wait is over.
	Reserve(ctx context.Context, size int64) (*arena.Extent, error)
	// Holds reports whether Get(e.ID) would return this very embedding, not an equal one.
	Holds(e *Embedding) bool
	// Recency lists what is stored, hottest first, for warming the tier after a restart.
	Recency() []ID
}

// Disk is what the Store asks of the durable tier below the host.
type Disk interface {
	Tier
	Purger
	// Pin keeps a stored embedding from eviction and expiry until as many Unpin calls; false when absent.
	// Delete, Purge and corruption win over it.
	Pin(id ID) bool
	Unpin(id ID)
	// Epochs returns every epoch ever saved, with the scope's Epoch field as its value.
	Epochs() []Scope
	// SaveEpoch makes the epoch of a tenant's namespace durable before it returns.
	SaveEpoch(ctx context.Context, scope Scope) error
}

// A Purger drops all embeddings of one scope, pinned or not: the weights changed.
type Purger interface {
	Purge(ctx context.Context, scope Scope) error
}

// Health says how much of a tier works. Its values are in order of decline.
type Health string

const (
	HealthOK       Health = "ok"
	HealthDegraded Health = "degraded"  // works, with less capacity, speed or durability than configured
	HealthReadOnly Health = "read_only" // serves what it has, accepts nothing
	HealthOff      Health = "off"       // neither
)

// Usage is what a scope takes up in a tier. Bytes are payload bytes.
type Usage struct {
	Entries int64
	Bytes   int64
}

// Stats is one tier at one moment. Counters only grow.
type Stats struct {
	Tier   string // "host", "disk"
	Health Health
	Reason string   // why the health is not ok, one stable word such as "disk_full"; empty when ok
	Notes  []string // what an operator should know though nothing is wrong, such as "buffered_io"

	CapacityBytes    int64 // what the tier may hold
	UsedBytes        int64 // what is taken, rounding of extents included
	QuarantinedBytes int64 // set aside because of damage
	Entries          int64
	Scopes           map[Scope]Usage

	Hits        uint64
	Misses      uint64
	Puts        uint64
	PutBytes    uint64
	ReadBytes   uint64
	Corruptions uint64            // reads that failed their checksum or could not be decoded
	IOErrors    uint64            // system calls on the tier's files that failed
	Evictions   map[string]uint64 // by reason: see the Evicted constants
	Refusals    map[string]uint64 // puts that the tier did not take, by reason
}

// Reasons for which an embedding leaves a tier on the tier's own decision.
const (
	EvictedCapacity  = "capacity"  // the replacement policy chose it
	EvictedRejected  = "rejected"  // TinyLFU preferred what was there
	EvictedUnwritten = "unwritten" // dropped from host memory before a copy reached the disk
	EvictedExpired   = "expired"
	EvictedPurged    = "purged" // its epoch ended
	EvictedDamaged   = "damaged"
)

// An EvictedFunc hears of each embedding that left a tier by eviction, expiry or damage, never of
// Delete or Purge, which the Store itself called. It is called without locks held, must not block, and
// may be called from any goroutine.
type EvictedFunc func(name Name)
