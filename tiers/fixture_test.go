package tiers_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/hosttier"
	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mib       = 1 << 20
	arenaSize = 32 * mib
	diskSize  = 64 * mib
)

// A hierarchy is a store over real tiers, with the seams that tests need.
type hierarchy struct {
	*tiers.Store
	t     testing.TB
	arena *arena.Arena
	disk  *spyDisk // nil without a disk tier
	clock *clock
	opts  options

	floods int // embeddings that floodHost has put
}

// A clock is the tiers' time: the machine's, put forward by tests.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// eventually waits for background work to come to something.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(30 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited 30 s in vain: %s", what)
		}
	}
}

// options shape a hierarchy; the zero value is host memory and disk of the sizes above.
type options struct {
	dir       string // of the disk tier; "": a fresh one
	noDisk    bool
	arenaSize int64
	diskSize  int64
	store     func(*tiers.StoreOptions)
	diskOpts  func(*disktier.Options)
	faulty    bool // closing may fail
}

// open starts a hierarchy that is closed, and checked for leaked memory, when the test ends.
func open(t testing.TB, o options) *hierarchy {
	t.Helper()
	h := start(t, o)
	t.Cleanup(h.close)
	return h
}

// start is open for who closes it.
func start(t testing.TB, o options) *hierarchy {
	t.Helper()
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	if o.arenaSize == 0 {
		o.arenaSize = arenaSize
	}
	if o.diskSize == 0 {
		o.diskSize = diskSize
	}
	memory, err := arena.New(arena.Options{Bytes: o.arenaSize, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	h := &hierarchy{t: t, opts: o, arena: memory, clock: new(clock)}
	evictions := tiers.NewEvictions()
	host, err := hosttier.New(hosttier.Options{Arena: h.arena, Evicted: evictions.Evicted, Now: h.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	so := tiers.StoreOptions{
		Host: host, Evictions: evictions,
		MaxObjectBytes: o.arenaSize / 8, InFlightBytes: o.arenaSize / 4, PinBytes: o.arenaSize / 4,
		Logger: slog.New(slog.DiscardHandler), Now: h.clock.now,
	}
	if !o.noDisk {
		do := disktier.Options{
			CapacityBytes: o.diskSize, BlockBytes: 16 * mib, IndexMemoryBytes: 8 * mib, MaxEntries: 1 << 16,
			Reserve: host.Reserve, Evicted: evictions.Evicted, Logger: so.Logger, Now: h.clock.now,
		}
		if o.diskOpts != nil {
			o.diskOpts(&do)
		}
		disk, err := disktier.Open(o.dir, do)
		if err != nil {
			t.Fatal(err)
		}
		h.disk = &spyDisk{Tier: disk}
		so.Disk = h.disk
	}
	if o.store != nil {
		o.store(&so)
	}
	h.Store = tiers.NewStore(so)
	return h
}

// close is idempotent. An extent that somebody still holds is an error of the arena.
func (h *hierarchy) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := h.Store.Close(ctx); err != nil && !h.opts.faulty {
		h.t.Errorf("close: %v", err)
	}
	if h.arena == nil {
		return
	}
	if err := h.arena.Close(); err != nil {
		h.t.Errorf("embeddings were leaked: %v", err)
	}
	h.arena = nil
}

// reopen closes the hierarchy and starts one over the same disk with empty host memory.
func (h *hierarchy) reopen() *hierarchy {
	h.t.Helper()
	h.close()
	return open(h.t, h.opts)
}

// name is the key's name in the current epoch of the namespace that tests share.
func (h *hierarchy) name(key string) tiers.Name {
	return tiers.Name{Scope: h.Scope("default", "tests"), Key: key}
}

// put stores the payload that belongs to (key, size) and returns what Commit said.
func (h *hierarchy) put(key string, size int64, durable bool) (tiers.Outcome, error) {
	name := h.name(key)
	return h.putBytes(name, tiertest.Payload(name, size), durable, tiers.Meta{})
}

func (h *hierarchy) putBytes(name tiers.Name, payload []byte, durable bool, meta tiers.Meta) (tiers.Outcome, error) {
	d, err := h.Begin(h.t.Context(), name, int64(len(payload)), "")
	if err != nil {
		return 0, err
	}
	defer d.Abort()
	if err := d.Fill(bytes.NewReader(payload)); err != nil {
		return 0, err
	}
	if meta.DType == "" {
		meta.DType, meta.Shape = "U8", []int64{int64(len(payload))}
	}
	return d.Commit(h.t.Context(), meta, durable)
}

func (h *hierarchy) mustPut(key string, size int64) {
	h.t.Helper()
	if outcome, err := h.put(key, size, false); err != nil || outcome != tiers.Created {
		h.t.Fatalf("put %q: outcome %v, %v", key, outcome, err)
	}
}

func (h *hierarchy) mustFlush() {
	h.t.Helper()
	if err := h.Flush(h.t.Context()); err != nil {
		h.t.Fatalf("flush: %v", err)
	}
}

// wantTier demands that the key is found whole, in that tier.
func (h *hierarchy) wantTier(key, tier string) {
	h.t.Helper()
	e, found, err := h.Get(h.t.Context(), h.name(key))
	if err != nil {
		h.t.Fatalf("get %q: %v", key, err)
	}
	defer e.Release()
	if err := tiertest.Check(e); err != nil {
		h.t.Fatal(err)
	}
	if found != tier {
		h.t.Errorf("get %q found it in the %s tier, want %s", key, found, tier)
	}
}

// floodHost pushes everything that was there before out of host memory, and then itself off the disk.
func (h *hierarchy) floodHost() {
	h.t.Helper()
	const size = mib
	for i := range 2 * h.opts.arenaSize / size {
		h.floods++
		h.mustPut(fmt.Sprint("flood ", h.floods), size)
		if i%8 == 0 {
			h.mustFlush() // so that the host tier drops what is clean and keeps nothing for the writer's sake
		}
	}
	h.mustFlush()
}

// A spyDisk is a real disk tier whose calls tests count and hold up.
type spyDisk struct {
	*disktier.Tier
	gets atomic.Int64

	mu        sync.Mutex
	beforePut func(e *tiers.Embedding)
	beforeGet func(id tiers.ID)
}

func (d *spyDisk) hook(put func(*tiers.Embedding), get func(tiers.ID)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beforePut, d.beforeGet = put, get
}

func (d *spyDisk) Put(ctx context.Context, e *tiers.Embedding) error {
	d.mu.Lock()
	before := d.beforePut
	d.mu.Unlock()
	if before != nil {
		before(e)
	}
	return d.Tier.Put(ctx, e)
}

func (d *spyDisk) Get(ctx context.Context, id tiers.ID) (*tiers.Embedding, error) {
	d.gets.Add(1)
	d.mu.Lock()
	before := d.beforeGet
	d.mu.Unlock()
	if before != nil {
		before(id)
	}
	return d.Tier.Get(ctx, id)
}
