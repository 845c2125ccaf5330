package disktier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// A testClock is moved by the test. Its wall can jump, as clocks are set; its times have no monotonic reading, so the
// jump shows where a tier would rely on the wall.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func newTestClock() *testClock { return &testClock{at: time.Unix(1_800_000_000, 0)} }

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *testClock) ttl(d time.Duration) func(*tiers.Meta) {
	return func(m *tiers.Meta) { m.TTL, m.Expires = d, c.now().Add(d) }
}

func TestTTL(t *testing.T) {
	disk, clock := newMemDisk(), newTestClock()
	var evicted []string
	tier := filled(t, disk, 0, 0, func(o *Options) {
		o.Now = clock.now
		o.Evicted = func(n tiers.Name) { evicted = append(evicted, n.Key) }
	})
	short, pinned, long, forever := tiertest.Name("short"), tiertest.Name("pinned"), tiertest.Name("long"), tiertest.Name("forever")
	mustPut(t, tier, short, 1, clock.ttl(time.Minute))
	mustPut(t, tier, pinned, 1, clock.ttl(time.Minute))
	mustPut(t, tier, long, 1, clock.ttl(time.Hour))
	mustPut(t, tier, forever, 1)
	if !tier.Pin(pinned.ID()) {
		t.Fatal("no pin")
	}
	_, meta, err := tier.Stat(background, short.ID())
	if want := clock.now().Add(time.Minute); err != nil || !meta.Expires.Equal(want) || meta.TTL != time.Minute {
		t.Errorf("expires %v after %v, want %v: %v", meta.Expires, meta.TTL, want, err)
	}
	clock.advance(time.Minute - 1)
	if !has(t, tier, short) {
		t.Error("expired too early")
	}
	clock.advance(1)
	if has(t, tier, short) || !has(t, tier, pinned) || !has(t, tier, long) || !has(t, tier, forever) {
		t.Error("a minute later something is there that should not be, or is not")
	}
	if tier.Pin(short.ID()) {
		t.Error("an expired value can be pinned")
	}
	tier.sweep() // as the committer does every second
	if err := tier.SaveEpoch(background, tiers.Scope{}); err != nil {
		t.Fatal(err)
	}
	if s := tier.Stats(); s.Entries != 3 || s.Evictions[tiers.EvictedExpired] != 1 {
		t.Errorf("%d entries, evictions %v", s.Entries, s.Evictions)
	}
	tier.Unpin(pinned.ID())
	if has(t, tier, pinned) {
		t.Error("readable beyond its TTL and pin")
	}
	tier.sweep()
	closeTier(t, tier)
	if want := []string{"short", "pinned"}; !slices.Equal(evicted, want) {
		t.Errorf("evicted %v, want %v", evicted, want)
	}
}

func TestClockJumpsWhileTheTierIsClosed(t *testing.T) {
	for _, test := range []struct {
		jump time.Duration
		rest time.Duration // of a TTL of an hour, of which a quarter has passed
	}{
		{0, 45 * time.Minute},
		{10 * time.Minute, 35 * time.Minute},
		{2 * time.Hour, 0},
		{-24 * time.Hour, time.Hour},
	} {
		t.Run(test.jump.String(), func(t *testing.T) {
			disk, clock := newMemDisk(), newTestClock()
			tier := filled(t, disk, 0, 0, func(o *Options) { o.Now = clock.now })
			name := tiertest.Name("0")
			mustPut(t, tier, name, 1, clock.ttl(time.Hour))
			clock.advance(15 * time.Minute)
			closeTier(t, tier)
			clock.advance(test.jump)
			tier = open(t, "/tier", disk.options(tier.opts))
			_, meta, err := tier.Stat(background, name.ID())
			if test.rest == 0 {
				if !errors.Is(err, tiers.ErrNotFound) {
					t.Fatalf("stat: %v", err)
				}
				return
			}
			if err != nil || meta.Expires.Sub(clock.now()) != test.rest {
				t.Errorf("expires in %v, want %v: %v", meta.Expires.Sub(clock.now()), test.rest, err)
			}
		})
	}
}

func TestPinsKeepFromEvictionOnly(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 4, 100_000)
	pinned, deleted := tiertest.Name("0"), tiertest.Name("1")
	for _, name := range []tiers.Name{pinned, deleted} {
		if !tier.Pin(name.ID()) {
			t.Fatalf("%q cannot be pinned", name.Key)
		}
	}
	if tier.Pin(tiertest.Name("absent").ID()) {
		t.Error("an absent value can be pinned")
	}
	if err := tier.Delete(background, deleted.ID()); err != nil || has(t, tier, deleted) {
		t.Errorf("a pin survived the delete: %v", err)
	}
	scan := func() { // more than the capacity
		for i := range 70 {
			mustPut(t, tier, tiertest.Name(fmt.Sprint("scan", i)), 100_000)
		}
	}
	scan()
	mustPut(t, tier, pinned, 50_000) // a replacement takes the pin over
	scan()
	if !has(t, tier, pinned) {
		t.Error("the pinned value was evicted")
	}
	tier.Unpin(pinned.ID())
	tier.Unpin(pinned.ID()) // one too many
	for range 4 {           // its uses have to wear off
		scan()
	}
	if has(t, tier, pinned) {
		t.Error("the value is still there without its pin")
	}
}

func TestATierFullOfPinsRefuses(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 4, 31*unitBytes)
	for i := range 4 {
		if !tier.Pin(tiertest.Name(fmt.Sprint(i)).ID()) {
			t.Fatal("no pin")
		}
	}
	if err := put(tier, tiertest.Name("more"), 4*unitBytes); !errors.Is(err, tiers.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if err := put(tier, tiertest.Name("huge"), 9<<20); !errors.Is(err, tiers.ErrTooLarge) {
		t.Errorf("put: %v", err)
	}
	want := map[string]uint64{refusedNoSpace: 1, refusedTooLarge: 1}
	if diff := cmp.Diff(want, tier.Stats().Refusals); diff != "" {
		t.Error(diff)
	}
}

func TestPurgeAlsoTakesWhatIsOnItsWay(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 3, 1000)
	syncing, resume := make(chan struct{}), make(chan struct{})
	var once sync.Once
	disk.fault = func(op string) error {
		if op == "sync" {
			once.Do(func() { close(syncing); <-resume })
		}
		return nil
	}
	late := make(chan error)
	go func() { late <- put(tier, tiertest.Name("late"), 1000) }()
	<-syncing
	purged := make(chan error)
	go func() { purged <- tier.Purge(background, tiertest.Name("").Scope) }()
	for tier.Stats().Entries > 0 { // the purge has begun
		time.Sleep(time.Millisecond)
	}
	close(resume)
	if err := errors.Join(<-late, <-purged); err != nil {
		t.Fatal(err)
	}
	if s := tier.Stats(); s.Entries != 0 || s.Evictions[tiers.EvictedPurged] != 4 {
		t.Errorf("%d entries, evictions %v", s.Entries, s.Evictions)
	}
}

func TestAPutWhoseCallerGivesUpLandsWholeOrNotAtAll(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 0, 0)
	syncing, resume := make(chan struct{}), make(chan struct{})
	var once sync.Once
	disk.fault = func(op string) error {
		if op == "sync" {
			once.Do(func() { close(syncing); <-resume })
		}
		return nil
	}
	ctx, cancel := context.WithCancel(background)
	e := tiertest.Embedding(t, tier.opts.Reserve, tiertest.Name("0"), 1000)
	result := make(chan error)
	go func() { result <- tier.Put(ctx, e) }()
	<-syncing
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	e.Release() // its bytes are poisoned now
	if has(t, tier, tiertest.Name("0")) {
		t.Error("visible before it is durable")
	}
	close(resume)
	if err := tier.SaveEpoch(background, tiers.Scope{}); err != nil {
		t.Fatal(err)
	}
	if !has(t, tier, tiertest.Name("0")) {
		t.Error("it did not land, though nothing failed")
	}
}

func TestNoRoomInHostMemoryPassesThrough(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 1, 1000)
	tier.opts.Reserve = func(context.Context, int64) (*arena.Extent, error) { return nil, tiers.ErrNoRoom }
	if _, err := tier.Get(background, tiertest.Name("0").ID()); !errors.Is(err, tiers.ErrNoRoom) {
		t.Errorf("get: %v", err)
	}
}

func TestEpochsAreDurable(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 0, 0)
	a, b := tiers.Scope{Tenant: "a", Namespace: "n", Epoch: 1}, tiers.Scope{Tenant: "b", Namespace: "n", Epoch: 7}
	for _, s := range []tiers.Scope{a, b, {Tenant: "a", Namespace: "n", Epoch: 2}} {
		if err := tier.SaveEpoch(background, s); err != nil {
			t.Fatal(err)
		}
	}
	a.Epoch = 2
	again := open(t, "/tier", disk.crash(newRand(3)).options(tier.opts))
	for _, tier := range []*Tier{tier, again} {
		got := tier.Epochs()
		slices.SortFunc(got, func(a, b tiers.Scope) int { return cmpString(a.Tenant, b.Tenant) })
		if diff := cmp.Diff([]tiers.Scope{a, b}, got); diff != "" {
			t.Error(diff)
		}
	}
}

func cmpString(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

func TestACleanStopKeepsTheOrderOfEviction(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 12, 600_000)
	for _, i := range []int{1, 4, 9} {
		has(t, tier, tiertest.Name(fmt.Sprint(i)))
	}
	order := func(tier *Tier) (ids []string) {
		tier.mu.Lock()
		defer tier.mu.Unlock()
		for _, q := range []*queue{&tier.policy.small, &tier.policy.main} {
			for n := q.tail; n != nil; n = n.prev {
				ids = append(ids, fmt.Sprint(n.id, n.uses, q == &tier.policy.main))
			}
		}
		return ids
	}
	want := order(tier)
	closeTier(t, tier)
	again := open(t, "/tier", disk.options(tier.opts))
	if diff := cmp.Diff(want, order(again)); diff != "" {
		t.Errorf("order of eviction (-before +after):\n%s", diff)
	}
	closeTier(t, again)
	disk.index.Remove("/tier/" + recencyName)
	if got := open(t, "/tier", disk.options(tier.opts)).Stats().Entries; got != int64(len(want)) {
		t.Errorf("%d entries without the hint, want %d", got, len(want))
	}
}
