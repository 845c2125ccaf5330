package hosttier

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

// Options shape a tier.
type Options struct {
	Arena   *arena.Arena      // where the embeddings live; it outlives the tier
	Evicted tiers.EvictedFunc // hears of what the tier drops; nil: nobody does

	// HeapBytes bounds what entries take of the Go heap: names and up to 16 KiB of metadata each, which small
	// embeddings could otherwise pile up behind a large arena. Zero: no bound.
	HeapBytes int64

	Now func() time.Time // the clock that TTLs are measured by; nil: time.Now
}

// A Tier implements [tiers.Host].
type Tier struct {
	arena   *arena.Arena
	evicted tiers.EvictedFunc
	heap    int64 // bound on index.heapBytes
	now     func() time.Time
	hash    hashFunc

	gate    sync.RWMutex   // guards the step from open to closing against calls that begin
	calls   sync.WaitGroup // calls in progress
	closing chan struct{}
	once    sync.Once

	evicting sync.RWMutex // see the package comment; Reserve tries free memory with its read side
	policy   *ristretto.Cache[[]byte, *entry]

	mu sync.RWMutex
	index

	hits, misses, readBytes atomic.Uint64
	noRoom, tooLarge        atomic.Uint64
}

var _ tiers.Host = (*Tier)(nil)

// New returns an empty tier over the arena.
func New(o Options) (*Tier, error) {
	return newTier(o, seededHash())
}

func newTier(o Options, hash hashFunc) (*Tier, error) {
	if o.Arena == nil {
		return nil, errors.New("host tier: no arena")
	}
	t := &Tier{
		arena:   o.Arena,
		evicted: o.Evicted,
		heap:    o.HeapBytes,
		now:     o.Now,
		hash:    hash,
		closing: make(chan struct{}),
		index:   newIndex(),
	}
	if t.now == nil {
		t.now = time.Now
	}
	var err error
	t.policy, err = newPolicy(t)
	return t, err
}

// enter begins a call unless the tier is closing; the call ends with leave.
func (t *Tier) enter() bool {
	t.gate.RLock()
	defer t.gate.RUnlock()
	select {
	case <-t.closing:
		return false
	default:
		t.calls.Add(1)
		return true
	}
}

// leave ends a call. What the call evicted is announced first, with no lock held, so that Close waits for it.
func (t *Tier) leave() {
	t.announce()
	t.calls.Done()
}

// Get implements [tiers.Tier].
func (t *Tier) Get(_ context.Context, id tiers.ID) (*tiers.Embedding, error) {
	if !t.enter() {
		return nil, tiers.ErrClosed
	}
	defer t.leave()
	// Ristretto learns of every use, of entries in the nursery and of misses too: an id asked for often must
	// look hot when it arrives. What it returns is of no interest.
	t.policy.Get(id[:])
	e := t.retain(id)
	if e == nil {
		t.misses.Add(1)
		return nil, tiers.ErrNotFound
	}
	if t.expired(e) {
		e.embedding.Release()
		t.expire(e)
		t.misses.Add(1)
		return nil, tiers.ErrNotFound
	}
	e.use()
	t.hits.Add(1)
	t.readBytes.Add(uint64(e.embedding.Meta.Size))
	return e.embedding, nil
}

// retain returns the entry with a reference for the caller, or nil.
//
// Retain needs a reference that cannot go away meanwhile. The index holds one, and an entry is unlinked under
// the write lock before that reference is released:
//
//	Get:     RLock, finds e          Retain, RUnlock
//	evictor:                 Lock waits              unlinks e, Unlock, Release
func (t *Tier) retain(id tiers.ID) *entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.entries[id]
	if e != nil {
		e.embedding.Retain()
	}
	return e
}

// expired reads the clock only for an entry with a TTL: a lookup of 256 keys asks 256 times.
func (t *Tier) expired(e *entry) bool {
	meta := &e.embedding.Meta
	return !meta.Expires.IsZero() && meta.Expired(t.now())
}

// expire drops an entry whose time has come.
func (t *Tier) expire(e *entry) {
	t.evicting.Lock()
	defer t.evicting.Unlock()
	t.remove(e, tiers.EvictedExpired)
}

// Stat implements [tiers.Tier].
func (t *Tier) Stat(_ context.Context, id tiers.ID) (tiers.Name, tiers.Meta, error) {
	if !t.enter() {
		return tiers.Name{}, tiers.Meta{}, tiers.ErrClosed
	}
	defer t.leave()
	t.mu.RLock()
	e := t.entries[id]
	t.mu.RUnlock()
	// Name and Meta are on the heap and immutable: they may be read without a reference.
	if e == nil || t.expired(e) {
		return tiers.Name{}, tiers.Meta{}, tiers.ErrNotFound
	}
	return e.embedding.Name, e.embedding.Meta, nil
}

// Put implements [tiers.Tier]. The embedding's extent comes from Reserve, so there is nothing to refuse.
func (t *Tier) Put(_ context.Context, e *tiers.Embedding) error {
	if !t.enter() {
		return tiers.ErrClosed
	}
	defer t.leave()
	for !t.link(e) {
		t.removeID(e.ID)
	}
	t.trim()
	return nil
}

// Delete implements [tiers.Tier].
func (t *Tier) Delete(_ context.Context, id tiers.ID) error {
	if !t.enter() {
		return tiers.ErrClosed
	}
	defer t.leave()
	t.removeID(id)
	return nil
}

func (t *Tier) removeID(id tiers.ID) {
	t.mu.RLock()
	e := t.entries[id]
	t.mu.RUnlock()
	if e == nil {
		return
	}
	t.evicting.Lock()
	defer t.evicting.Unlock()
	t.remove(e, deleted)
}

// Purge implements [tiers.Purger].
func (t *Tier) Purge(_ context.Context, scope tiers.Scope) error {
	if !t.enter() {
		return tiers.ErrClosed
	}
	defer t.leave()
	for _, e := range t.inScope(scope) {
		t.evicting.Lock() // for each entry: a large scope must not hold up every Reserve
		t.remove(e, tiers.EvictedPurged)
		t.evicting.Unlock()
	}
	return nil
}

// Holds implements [tiers.Host].
func (t *Tier) Holds(e *tiers.Embedding) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	stored := t.entries[e.ID]
	return stored != nil && stored.embedding == e
}

// Close drops every embedding and ends ristretto. Embeddings that callers still hold stay readable.
func (t *Tier) Close() error {
	t.once.Do(func() {
		t.gate.Lock()
		close(t.closing)
		t.gate.Unlock()
		// No call is in progress from here on. That matters to ristretto most of all: a Set or Del beside its
		// Close sends on a closed channel.
		t.calls.Wait()
		for _, e := range t.unlinkAll() {
			e.embedding.Release()
		}
		// Close hands every value to the callbacks, which find the entries gone.
		t.policy.Close()
	})
	return nil
}
