package hosttier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

const (
	clean     = true
	unwritten = false
)

// openUnits makes a tier over an arena of that many units and a list of what it evicts.
func openUnits(t testing.TB, units int64) (*Tier, *[]string) {
	t.Helper()
	var evicted []string
	tier := open(t, Options{
		Arena:   tiertest.Arena(t, units*arena.Unit),
		Evicted: func(name tiers.Name) { evicted = append(evicted, name.Key) },
	}, seededHash())
	return tier, &evicted
}

// In an arena of 20 units 16 is the share of stored embeddings, so the 17th put trims.
func TestTrim(t *testing.T) {
	tests := []struct {
		name    string
		fill    func(t *testing.T, tier *Tier)
		evicted []string
		main    []string
	}{
		{
			name: "drops the oldest that nobody used",
			fill: func(t *testing.T, tier *Tier) {
				for i := range 18 {
					put(t, tier, fmt.Sprint(i), 1, clean)
				}
			},
			evicted: []string{"0", "1"},
		},
		{
			name: "moves what was used to the main segment",
			fill: func(t *testing.T, tier *Tier) {
				put(t, tier, "used", 1, clean)
				use(t, tier, "used")
				for i := range 17 {
					put(t, tier, fmt.Sprint(i), 1, clean)
				}
			},
			evicted: []string{"0", "1"},
			main:    []string{"used"},
		},
		{
			name: "passes over what is not written yet",
			fill: func(t *testing.T, tier *Tier) {
				put(t, tier, "unwritten", 1, unwritten)
				for i := range 16 {
					put(t, tier, fmt.Sprint(i), 1, clean)
				}
			},
			evicted: []string{"0"},
		},
		{
			name: "drops nothing that is unwritten",
			fill: func(t *testing.T, tier *Tier) {
				for i := range 20 {
					put(t, tier, fmt.Sprint(i), 1, unwritten)
				}
			},
		},
		{
			name: "drops the expired, written or not",
			fill: func(t *testing.T, tier *Tier) {
				put(t, tier, "expired", 1, unwritten, tiertest.Expired)
				for i := range 16 {
					put(t, tier, fmt.Sprint(i), 1, clean)
				}
			},
			evicted: []string{"expired"},
		},
		{
			name: "moves on what came back soon after it was dropped",
			fill: func(t *testing.T, tier *Tier) {
				for i := range 17 {
					put(t, tier, fmt.Sprint(i), 1, clean)
				}
				put(t, tier, "0", 1, clean) // was dropped a moment ago; drops 1
				for i := range 16 {
					put(t, tier, fmt.Sprint("later ", i), 1, clean)
				}
			},
			evicted: []string{
				"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
				"later 0",
			},
			main: []string{"0"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tier, evicted := openUnits(t, 20)
			test.fill(t, tier)
			checkInvariants(t, tier)
			if diff := cmp.Diff(test.evicted, *evicted); diff != "" {
				t.Errorf("evicted (-want +got):\n%s", diff)
			}
			for _, key := range test.main {
				if segmentOf(tier, key) != main {
					t.Errorf("%q is in segment %v, want main", key, segmentOf(tier, key))
				}
			}
			if got := tier.orders[main].Len(); got != len(test.main) {
				t.Errorf("%d entries in the main segment, want %d", got, len(test.main))
			}
		})
	}
}

func TestHeldEntryMovesOnInsteadOfBeingDropped(t *testing.T) {
	tier, evicted := openUnits(t, 20)
	e := tiertest.Embedding(t, tier.Reserve, tiertest.Name("held"), arena.Unit)
	e.MarkClean()
	if err := tier.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		put(t, tier, fmt.Sprint(i), 1, clean)
	}
	if segmentOf(tier, "held") != main {
		t.Errorf("in segment %v, want main: dropping it would have freed nothing", segmentOf(tier, "held"))
	}
	if diff := cmp.Diff([]string{"0"}, *evicted); diff != "" {
		t.Errorf("evicted (-want +got):\n%s", diff)
	}
	e.Release()
}

// TestTrimIsBounded puts a nursery that is in demand as a whole.
func TestTrimIsBounded(t *testing.T) {
	tier, _ := openUnits(t, 400)
	for i := range 320 {
		put(t, tier, fmt.Sprint(i), 1, clean)
		use(t, tier, fmt.Sprint(i))
	}
	put(t, tier, "one more", 1, clean)
	if got := tier.orders[nursery].Len(); got < 320-trimSteps {
		t.Errorf("one put moved %d entries on, want %d at most", 321-got, trimSteps)
	}
}

func TestRistrettoCallbacks(t *testing.T) {
	tier, evicted := openUnits(t, 20)
	put(t, tier, "nursery", 1, clean)
	put(t, tier, "main", 1, clean)
	promote(tier, "main")
	e := tier.entries[tiertest.Name("main").ID()]

	tier.exit(nil, tiers.EvictedCapacity) // as Del of an absent id and lost races do
	tier.policy.Del([]byte("absent"))
	tier.policy.Wait()
	tier.exit(tier.entries[tiertest.Name("nursery").ID()], tiers.EvictedCapacity)
	checkInvariants(t, tier)

	tier.remove(e, tiers.EvictedCapacity)
	tier.exit(e, tiers.EvictedCapacity) // ristretto repeats itself; a second release would panic
	tier.exit(e, tiers.EvictedRejected)
	checkInvariants(t, tier)
	tier.announce()
	if diff := cmp.Diff([]string{"main"}, *evicted); diff != "" {
		t.Errorf("evicted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{tiers.EvictedCapacity: 1}, tier.Stats().Evictions); diff != "" {
		t.Errorf("evictions (-want +got):\n%s", diff)
	}
}

// promote moves an entry to the main segment as the evictor would.
func promote(tier *Tier, key string) {
	tier.evicting.Lock()
	defer tier.evicting.Unlock()
	tier.promote(tier.entries[tiertest.Name(key).ID()])
}

func TestRefusedSetIsReleased(t *testing.T) {
	tier, evicted := openUnits(t, 20)
	put(t, tier, "refused", 1, clean)
	tier.policy.Close() // a closed cache refuses like a full one: false and no callback
	promote(tier, "refused")
	tier.announce()
	if diff := cmp.Diff([]string{"refused"}, *evicted); diff != "" {
		t.Errorf("evicted (-want +got):\n%s", diff)
	}
	if used := tier.arena.Used(); used != 0 {
		t.Errorf("%d bytes are still in use", used)
	}
}

// TestCollision moves two entries of one hash to the main segment: the second is turned away before ristretto
// hears of it, and deleting either leaves the other alone.
func TestCollision(t *testing.T) {
	tier := open(t, Options{Arena: tiertest.Arena(t, 20*arena.Unit)}, collide)
	put(t, tier, "first", 1, clean)
	put(t, tier, "second", 2, clean)
	put(t, tier, "third", 1, clean)
	promote(tier, "first")
	promote(tier, "second")
	checkInvariants(t, tier)
	if segmentOf(tier, "first") != main || segmentOf(tier, "second") != gone {
		t.Fatalf("first in %v, second in %v", segmentOf(tier, "first"), segmentOf(tier, "second"))
	}
	if got := tier.Stats().Evictions[tiers.EvictedRejected]; got != 1 {
		t.Errorf("%d rejected, want 1", got)
	}
	for _, key := range []string{"second", "third"} {
		if err := tier.Delete(t.Context(), tiertest.Name(key).ID()); err != nil {
			t.Fatal(err)
		}
		checkInvariants(t, tier)
	}
	e := hold(t, tier, "first")
	defer e.Release()
	if err := tiertest.Check(e); err != nil {
		t.Error(err)
	}
}

// TestRejected offers ristretto what it can never admit: more than the main segment's share.
func TestRejected(t *testing.T) {
	tier, evicted := openUnits(t, 20) // 55% is 11 units
	put(t, tier, "settled", 1, clean)
	promote(tier, "settled")
	e := tiertest.Embedding(t, tiertest.FromArena(tier.arena), tiertest.Name("rejected"), 12*arena.Unit)
	e.MarkClean()
	if err := tier.Put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.Release()
	promote(tier, "rejected")
	tier.announce()
	checkInvariants(t, tier)
	if diff := cmp.Diff([]string{"rejected"}, *evicted); diff != "" {
		t.Errorf("evicted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{tiers.EvictedRejected: 1}, tier.Stats().Evictions); diff != "" {
		t.Errorf("evictions (-want +got):\n%s", diff)
	}
}

// TestEvictedHoldsNoLock calls the tier from the callback, and blocks in it while others work.
func TestEvictedHoldsNoLock(t *testing.T) {
	memory := tiertest.Arena(t, 20*arena.Unit)
	entered, proceed := make(chan struct{}), make(chan struct{})
	var tier *Tier
	tier = open(t, Options{Arena: memory, Evicted: func(name tiers.Name) {
		if err := tier.Delete(context.Background(), name.ID()); err != nil {
			t.Error(err)
		}
		close(entered)
		<-proceed
	}}, seededHash())
	put(t, tier, "expired", 1, clean, tiertest.Expired)
	got := make(chan error)
	go func() {
		_, err := tier.Get(context.Background(), tiertest.Name("expired").ID())
		got <- err
	}()
	<-entered
	put(t, tier, "other", 1, clean)
	use(t, tier, "other")
	if err := tier.Delete(t.Context(), tiertest.Name("other").ID()); err != nil {
		t.Error(err)
	}
	close(proceed)
	if err := <-got; !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
}

func TestGhosts(t *testing.T) {
	id := func(i int) tiers.ID { return tiertest.Name(fmt.Sprint(i)).ID() }
	g := newGhosts()
	for i := range 5 {
		g.add(id(i), 3)
	}
	g.add(id(2), 3) // again: the newest now
	g.add(id(5), 3) // forgets 3
	var remembered []int
	for i := range 6 {
		if g.take(id(i)) {
			remembered = append(remembered, i)
		}
	}
	if diff := cmp.Diff([]int{2, 4, 5}, remembered); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	if g.take(id(2)) || g.order.Len() != 0 {
		t.Error("a taken id is still remembered")
	}
}

func TestRecency(t *testing.T) {
	tier, _ := openUnits(t, 40)
	for _, key := range []string{"cold", "hot", "young", "newest"} {
		put(t, tier, key, 1, clean)
	}
	use(t, tier, "hot")
	promote(tier, "hot")
	promote(tier, "cold")
	var want []tiers.ID
	for _, key := range []string{"hot", "cold", "newest", "young"} {
		want = append(want, tiertest.Name(key).ID())
	}
	if diff := cmp.Diff(want, tier.Recency()); diff != "" {
		t.Errorf("recency (-want +got):\n%s", diff)
	}
}

func TestHolds(t *testing.T) {
	tier, _ := openUnits(t, 20)
	first := tiertest.Embedding(t, tier.Reserve, tiertest.Name("name"), 100)
	defer first.Release()
	equal := tiertest.Embedding(t, tier.Reserve, tiertest.Name("name"), 100)
	defer equal.Release()
	check := func(wantFirst, wantEqual bool) {
		t.Helper()
		if tier.Holds(first) != wantFirst || tier.Holds(equal) != wantEqual {
			t.Errorf("holds %v and %v, want %v and %v", tier.Holds(first), tier.Holds(equal), wantFirst, wantEqual)
		}
	}
	check(false, false)
	tier.Put(t.Context(), first)
	check(true, false)
	tier.Put(t.Context(), equal)
	check(false, true)
	tier.Delete(t.Context(), first.ID)
	check(false, false)
}

// TestTTL moves a clock past the end of an embedding's life.
func TestTTL(t *testing.T) {
	now := time.Unix(1e9, 0)
	var evicted []string
	tier := open(t, Options{
		Arena:   tiertest.Arena(t, 20*arena.Unit),
		Evicted: func(name tiers.Name) { evicted = append(evicted, name.Key) },
		Now:     func() time.Time { return now },
	}, seededHash())
	put(t, tier, "short", 1, clean, func(m *tiers.Meta) { m.Expires = now.Add(time.Second) })
	use(t, tier, "short")
	now = now.Add(time.Second)
	id := tiertest.Name("short").ID()
	if _, _, err := tier.Stat(t.Context(), id); !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	for range 2 {
		if _, err := tier.Get(t.Context(), id); !errors.Is(err, tiers.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
	}
	if diff := cmp.Diff([]string{"short"}, evicted); diff != "" {
		t.Errorf("evicted (-want +got):\n%s", diff)
	}
	if used := tier.arena.Used(); used != 0 {
		t.Errorf("%d bytes of an expired embedding are in use", used)
	}
}

// Small embeddings with large metadata take more of the heap than of the arena.
func TestHeapIsBounded(t *testing.T) {
	memory := tiertest.Arena(t, 32<<20)
	const bound = 1 << 20
	tier, err := New(Options{Arena: memory, HeapBytes: bound})
	if err != nil {
		t.Fatal(err)
	}
	defer tier.Close()
	extra := fmt.Appendf(nil, "%q", strings.Repeat("x", 8000))
	for i := range 400 { // 3.2 MB of metadata in 25 MiB of extents
		name := tiertest.Name(fmt.Sprint(i))
		e := tiertest.Embedding(t, tier.Reserve, name, 1, func(m *tiers.Meta) { m.Extra = extra })
		if i%2 == 0 {
			e.MarkClean()
		}
		if err := tier.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		e.Release()
		if i%3 == 0 {
			if used, err := tier.Get(t.Context(), name.ID()); err == nil {
				used.Release()
			}
		}
		if tier.heapBytes > bound {
			t.Fatalf("after %d entries they take %d bytes of the heap, allowed are %d", i+1, tier.heapBytes, bound)
		}
	}
	if tier.Stats().Entries == 0 {
		t.Error("nothing is stored")
	}
}
