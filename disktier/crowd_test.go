package disktier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// TestWhatHasToGoIsQueuedInParts has much to remove at once in a tier whose committer does nothing.
func TestWhatHasToGoIsQueuedInParts(t *testing.T) {
	const values = 3 * maxDrops
	all := tiertest.Name("").Scope
	for name, remove := range map[string]func(*Tier){
		"purge":          func(tier *Tier) { tier.purgeSome(all, math.MaxUint64) },
		"expiry":         func(tier *Tier) { tier.sweep() },
		"a lower bound":  func(tier *Tier) { tier.opts.MaxEntries = 10; tier.trim() },
		"a put with one": func(tier *Tier) { tier.opts.MaxEntries = 10; tier.evictEntry() },
	} {
		t.Run(name, func(t *testing.T) {
			clock := newTestClock()
			o := testOptions(tiertest.Arena(t, 1<<20))
			o.Now = clock.now
			o, err := o.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			tier := newTier("", o)
			for i := range values {
				n := &node{scope: &scope{Scope: all}, expires: 1, heapIndex: -1}
				binary.LittleEndian.PutUint64(n.id[:], uint64(i))
				tier.policy.add(n)
				tier.stored.add(n)
			}
			clock.advance(time.Minute)
			for _, left := range []int{values - maxDrops, values - 2*maxDrops} {
				remove(tier)
				if len(tier.queue) != maxDrops || len(tier.stored.nodes) != left {
					t.Errorf("%d removals are queued, %d values left", len(tier.queue), len(tier.stored.nodes))
				}
				tier.queue = nil
			}
		})
	}
}

func TestAPurgeOfManyTakesAll(t *testing.T) {
	tier := filled(t, newMemDisk(), 3, 1000)
	tier.mu.Lock()
	for i := range 2*maxDrops + 1 {
		n := &node{scope: &scope{Scope: tiertest.Name("").Scope}, heapIndex: -1}
		binary.LittleEndian.PutUint64(n.id[:], uint64(i))
		tier.policy.add(n)
		tier.stored.add(n)
	}
	tier.mu.Unlock()
	if err := tier.Purge(background, tiertest.Name("").Scope); err != nil {
		t.Fatal(err)
	}
	if s := tier.Stats(); s.Entries != 0 || s.Evictions[tiers.EvictedPurged] != 2*maxDrops+4 {
		t.Errorf("%d entries, evictions %v", s.Entries, s.Evictions)
	}
}

// TestExpiredValuesGoWhileTheQueueIsNeverEmpty keeps the committer busy: each commit queues the next.
func TestExpiredValuesGoWhileTheQueueIsNeverEmpty(t *testing.T) {
	disk, clock, faults := newMemDisk(), newTestClock(), newInjector()
	disk.inject = faults
	tier := filled(t, disk, 1, 1000, func(o *Options) { o.Now = clock.now })
	mustPut(t, tier, tiertest.Name("short"), 1, clock.ttl(time.Minute))
	clock.advance(time.Hour)
	const enough = 10 * sweepInterval
	begin, gone := time.Now(), make(chan bool, 1)
	faults.set(func(call errorfs.Op) error {
		if !isSync(call) {
			return nil
		}
		tier.mu.Lock()
		defer tier.mu.Unlock()
		swept := len(tier.stored.nodes) == 1
		if swept || time.Since(begin) > enough {
			select {
			case gone <- swept:
			default:
			}
			return nil
		}
		tier.enqueue(&op{kind: opEpoch})
		return nil
	})
	if err := tier.SaveEpoch(background, tiers.Scope{}); err != nil {
		t.Fatal(err)
	}
	if !<-gone {
		t.Error("the expired value is still there")
	}
	faults.set(nil)
}

func TestAPutThatCannotFitEvictsNothing(t *testing.T) {
	for _, test := range []struct {
		name string
		take func(tier *Tier, disk *memDisk, name tiers.Name)
	}{
		{"beside what is pinned", func(tier *Tier, _ *memDisk, name tiers.Name) { tier.Pin(name.ID()) }},
		{"beside what is damaged", func(tier *Tier, disk *memDisk, name tiers.Name) {
			disk.flip(tier, name, 0)
			has(t, tier, name)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			disk := newMemDisk()
			tier := filled(t, disk, 12, 10*unitBytes)
			for i := range 4 {
				test.take(tier, disk, tiertest.Name(fmt.Sprint(i)))
			}
			if err := tier.SaveEpoch(background, tiers.Scope{}); err != nil { // after the removals
				t.Fatal(err)
			}
			before := tier.Stats().Entries
			units := tier.Stats().CapacityBytes/unitBytes - 40
			if err := put(tier, tiertest.Name("more"), (units+1)*unitBytes); !errors.Is(err, tiers.ErrUnavailable) {
				t.Errorf("put: %v", err)
			}
			if s := tier.Stats(); s.Entries != before || s.Refusals[refusedNoSpace] != 1 {
				t.Errorf("%d entries of %d are left, refusals %v", s.Entries, before, s.Refusals)
			}
			tier.Unpin(tiertest.Name("0").ID()) // room for 10 more, if it was pinned
			if tier.Stats().QuarantinedBytes == 0 {
				mustPut(t, tier, tiertest.Name("more"), (units+1)*unitBytes)
			}
		})
	}
}

func TestNoMoreIsEvictedThanIsShort(t *testing.T) {
	tier := filled(t, newMemDisk(), 40, 4*unitBytes)                  // more than the capacity
	if err := tier.SaveEpoch(background, tiers.Scope{}); err != nil { // what was evicted ahead is free now
		t.Fatal(err)
	}
	tier.mu.Lock()
	defer tier.mu.Unlock()
	const units = 35 // 3 are free, so that 8 values have to go
	if s := &tier.space; s.dying != 0 || s.free.units == 0 || s.free.units >= units {
		t.Fatalf("%d units are dying, %d free", s.dying, s.free.units)
	}
	tier.evictFor(units)
	if got := tier.space.free.units + tier.space.dying; got < units || got >= units+4 {
		t.Errorf("%d units are free or dying, wanted were %d", got, units)
	}
}

func TestTheLongestTTL(t *testing.T) {
	disk, clock := newMemDisk(), newTestClock()
	tier := filled(t, disk, 0, 0, func(o *Options) { o.Now = clock.now })
	clock.advance(time.Hour)
	name := tiertest.Name("0")
	mustPut(t, tier, name, 1, clock.ttl(math.MaxInt64))
	for range 2 {
		tier.sweep()
		_, meta, err := tier.Stat(background, name.ID())
		if rest := meta.Expires.Sub(clock.now()); err != nil || rest != maxTTL || meta.TTL != math.MaxInt64 {
			t.Errorf("expires in %v: %v", rest, err)
		}
		closeTier(t, tier)
		tier = open(t, "/tier", disk.options(tier.opts))
	}
}
