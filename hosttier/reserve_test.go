package hosttier

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestReserveRefuses(t *testing.T) {
	tier, _ := openUnits(t, 16)
	tests := []struct {
		name string
		size int64
		want error
	}{
		{"nothing", 0, tiers.ErrInvalid},
		{"less than nothing", -1, tiers.ErrInvalid},
		{"more than an eighth", 2*arena.Unit + 1, tiers.ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := tier.Reserve(t.Context(), test.size); !errors.Is(err, test.want) {
				t.Errorf("reserve: %v, want %v", err, test.want)
			}
		})
	}
	extent, err := tier.Reserve(t.Context(), 2*arena.Unit)
	if err != nil {
		t.Fatalf("reserve an eighth: %v", err)
	}
	extent.Free()
	if got := tier.Stats().Refusals["too_large"]; got != 1 {
		t.Errorf("%d counted as too large, want 1", got)
	}
}

// fill takes what is free of the arena, so that the next Reserve must evict.
func fill(t *testing.T, tier *Tier) []*arena.Extent {
	t.Helper()
	var extents []*arena.Extent
	for {
		x, err := tier.arena.Alloc(1)
		if err != nil {
			return extents
		}
		extents = append(extents, x)
	}
}

func free(extents []*arena.Extent) {
	for _, x := range extents {
		x.Free()
	}
}

func TestReserveEvicts(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, tier *Tier)
		evicted []string
		reason  string
	}{
		{
			name: "the oldest clean one of the nursery first",
			prepare: func(t *testing.T, tier *Tier) {
				put(t, tier, "unwritten", 1, unwritten)
				put(t, tier, "main", 1, clean)
				promote(tier, "main")
				put(t, tier, "oldest", 1, clean)
				put(t, tier, "newest", 1, clean)
			},
			evicted: []string{"oldest"},
			reason:  tiers.EvictedCapacity,
		},
		{
			name: "the main segment before anything unwritten",
			prepare: func(t *testing.T, tier *Tier) {
				put(t, tier, "unwritten", 1, unwritten)
				for _, key := range []string{"used", "unused"} {
					put(t, tier, key, 1, clean)
					promote(tier, key)
				}
				use(t, tier, "used")
			},
			evicted: []string{"unused"},
			reason:  tiers.EvictedCapacity,
		},
		{
			name: "the main segment even if all of it is in use often",
			prepare: func(t *testing.T, tier *Tier) {
				put(t, tier, "unwritten", 1, unwritten)
				put(t, tier, "used", 1, clean)
				for range 9 {
					use(t, tier, "used")
				}
				promote(tier, "used")
			},
			evicted: []string{"used"},
			reason:  tiers.EvictedCapacity,
		},
		{
			name: "the oldest unwritten one when nothing else is left",
			prepare: func(t *testing.T, tier *Tier) {
				put(t, tier, "oldest", 1, unwritten)
				put(t, tier, "newest", 1, unwritten)
			},
			evicted: []string{"oldest"},
			reason:  tiers.EvictedUnwritten,
		},
		{
			name: "nobody who is being read",
			prepare: func(t *testing.T, tier *Tier) {
				for _, segment := range []string{"nursery", "main"} {
					put(t, tier, segment, 1, segment == "main")
					e := hold(t, tier, segment)
					t.Cleanup(e.Release)
				}
				promote(tier, "main")
				put(t, tier, "idle", 1, unwritten)
			},
			evicted: []string{"idle"},
			reason:  tiers.EvictedUnwritten,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tier, evicted := openUnits(t, 32)
			test.prepare(t, tier)
			rest := fill(t, tier)
			defer free(rest)
			extent, err := tier.Reserve(t.Context(), arena.Unit)
			if err != nil {
				t.Fatal(err)
			}
			extent.Free()
			checkInvariants(t, tier)
			if diff := cmp.Diff(test.evicted, *evicted); diff != "" {
				t.Errorf("evicted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]uint64{test.reason: 1}, tier.Stats().Evictions); diff != "" {
				t.Errorf("evictions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReserveWindow frees every second unit: half the arena is free, no two units together.
func TestReserveWindow(t *testing.T) {
	tests := []struct {
		name    string
		clean   func(i int) bool
		held    func(i int) bool
		evicted []string
		err     error
	}{
		{
			name:    "takes the cheapest window",
			clean:   func(int) bool { return true },
			held:    func(i int) bool { return i < 8 },
			evicted: []string{"9"}, // unit 8 is free, so is 10
		},
		{
			name:    "spares the unwritten",
			clean:   func(i int) bool { return i == 21 },
			held:    func(int) bool { return false },
			evicted: []string{"21"},
		},
		{
			name:    "takes the unwritten when nothing clean helps",
			clean:   func(int) bool { return false },
			held:    func(i int) bool { return i != 13 },
			evicted: []string{"13"},
		},
		{
			name:  "finds nothing when all are read",
			clean: func(int) bool { return true },
			held:  func(int) bool { return true },
			err:   tiers.ErrNoRoom,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tier, evicted := openUnits(t, 32)
			var gaps []*arena.Extent
			for i := range 32 {
				if i%2 == 0 {
					x, err := tier.arena.Alloc(1)
					if err != nil {
						t.Fatal(err)
					}
					gaps = append(gaps, x)
					continue
				}
				put(t, tier, fmt.Sprint(i), 1, test.clean(i))
				if test.held(i) {
					e := hold(t, tier, fmt.Sprint(i))
					defer e.Release()
				}
			}
			free(gaps)
			extent, err := tier.Reserve(canceled, 3*arena.Unit)
			if !errors.Is(err, test.err) {
				t.Fatalf("reserve: %v, want %v", err, test.err)
			}
			if extent != nil {
				extent.Free()
			}
			checkInvariants(t, tier)
			if diff := cmp.Diff(test.evicted, *evicted); diff != "" {
				t.Errorf("evicted (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReserveWaits blocks the arena with memory that nobody can evict, in a bubble of fake time.
func TestReserveWaits(t *testing.T) {
	tests := []struct {
		name   string
		events func(tier *Tier, blocked []*arena.Extent, read *tiers.Embedding, cancel func())
		want   error
		after  time.Duration
	}{
		{
			name:   "gives up after its time",
			events: func(*Tier, []*arena.Extent, *tiers.Embedding, func()) {},
			want:   tiers.ErrNoRoom,
			after:  reserveWait,
		},
		{
			name: "gives up when the caller does",
			events: func(_ *Tier, _ []*arena.Extent, _ *tiers.Embedding, cancel func()) {
				time.Sleep(time.Millisecond)
				cancel()
			},
			want:  tiers.ErrNoRoom,
			after: time.Millisecond,
		},
		{
			name: "is woken by a free",
			events: func(_ *Tier, blocked []*arena.Extent, _ *tiers.Embedding, _ func()) {
				time.Sleep(time.Millisecond)
				blocked[len(blocked)-1].Free()
			},
			after: time.Millisecond,
		},
		{
			name: "sees that a reader let go of a stored embedding",
			events: func(_ *Tier, _ []*arena.Extent, read *tiers.Embedding, _ func()) {
				time.Sleep(reserveRetry + time.Millisecond)
				read.Release()
			},
			after: 2 * reserveRetry,
		},
		{
			name: "ends with the tier",
			events: func(tier *Tier, _ []*arena.Extent, _ *tiers.Embedding, _ func()) {
				time.Sleep(time.Millisecond)
				tier.Close()
			},
			want:  tiers.ErrClosed,
			after: time.Millisecond,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory, err := arena.New(arena.Options{Bytes: 16 * arena.Unit, Poison: true})
				if err != nil {
					t.Fatal(err)
				}
				tier := open(t, Options{Arena: memory}, seededHash())
				put(t, tier, "read", 1, unwritten)
				read := hold(t, tier, "read")
				blocked := fill(t, tier)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()

				start := time.Now()
				go test.events(tier, blocked, read, cancel)
				extent, err := tier.Reserve(ctx, 1)
				if took := time.Since(start); took != test.after {
					t.Errorf("took %v, want %v", took, test.after)
				}
				if !errors.Is(err, test.want) {
					t.Errorf("reserve: %v, want %v", err, test.want)
				}
				if want := map[bool]uint64{true: 1}[test.want == tiers.ErrNoRoom]; tier.Stats().Refusals["no_room"] != want {
					t.Errorf("refusals %v", tier.Stats().Refusals)
				}
				if extent != nil {
					extent.Free()
				}
				synctest.Wait()
			})
		})
	}
}

// TestEvictionExcludesReserve holds the lock of an eviction: free memory must wait until it ends, because it
// may have been freed for somebody else.
func TestEvictionExcludesReserve(t *testing.T) {
	tier, _ := openUnits(t, 16)
	tier.evicting.Lock()
	reserved := make(chan *arena.Extent)
	go func() {
		extent, _ := tier.Reserve(context.Background(), 1)
		reserved <- extent
	}()
	for range 1000 {
		runtime.Gosched()
		select {
		case extent := <-reserved:
			t.Error("memory was taken during an eviction")
			extent.Free()
			tier.evicting.Unlock()
			return
		default:
		}
	}
	tier.evicting.Unlock()
	(<-reserved).Free()
}

// TestLargeReserveIsNotStarved lets small embeddings churn through a full arena while large ones are asked for.
func TestLargeReserveIsNotStarved(t *testing.T) {
	tier := open(t, Options{Arena: tiertest.Arena(t, 128*arena.Unit)}, seededHash())
	stop := make(chan struct{})
	var churn sync.WaitGroup
	for worker := range 4 {
		churn.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				e, err := tiertest.New(tier.Reserve, tiertest.Name(fmt.Sprint(worker, " ", i%300)), 1)
				if err != nil {
					t.Errorf("small: %v", err)
					return
				}
				e.MarkClean()
				tier.Put(context.Background(), e)
				e.Release()
			}
		})
	}
	for range 100 {
		extent, err := tier.Reserve(t.Context(), 16*arena.Unit)
		if err != nil {
			t.Errorf("large: %v", err)
			break
		}
		extent.Free()
	}
	close(stop)
	churn.Wait()
	checkInvariants(t, tier)
}
