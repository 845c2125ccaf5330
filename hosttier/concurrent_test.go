package hosttier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// fewHashes sends ids to eight keys and two conflicts: real collisions beside real hits.
func fewHashes(id []byte) (key, conflict uint64) { return uint64(id[0] % 8), uint64(id[1] % 2) }

// TestStress reads, writes and deletes under eviction: extents are poisoned on free and soon reused, a payload
// is a function of its name, and every read is checked.
func TestStress(t *testing.T) {
	for name, hash := range map[string]hashFunc{"seeded": seededHash(), "collisions": fewHashes} {
		t.Run(name, func(t *testing.T) {
			var heard atomic.Uint64
			tier := open(t, Options{
				Arena:   tiertest.Arena(t, 64*arena.Unit),
				Evicted: func(tiers.Name) { heard.Add(1) },
			}, hash)
			var workers sync.WaitGroup
			for worker := range 8 {
				workers.Go(func() {
					rng := rand.New(rand.NewPCG(1, uint64(worker)))
					for range 500 {
						if err := churn(tier, rng); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			workers.Wait()
			checkInvariants(t, tier)
			stats := tier.Stats()
			var evicted uint64
			for _, n := range stats.Evictions {
				evicted += n
			}
			if evicted != heard.Load() {
				t.Errorf("%d evictions, heard of %d", evicted, heard.Load())
			}
			if stats.Hits == 0 || evicted == 0 {
				t.Errorf("%d hits, %d evictions: nothing was tested", stats.Hits, evicted)
			}
		})
	}
}

// churn is one operation on one of 100 names, hot ones first. An arena that is full of embeddings being read
// and a closed tier are no failures.
func churn(tier *Tier, rng *rand.Rand) error {
	ctx := canceled
	n := int(rng.ExpFloat64() * 15)
	name := tiertest.Name(fmt.Sprint(n % 100))
	switch rng.IntN(20) {
	case 0:
		return exceptClosed(tier.Delete(ctx, name.ID()))
	case 1:
		tier.Recency()
		tier.Stats()
		_, _, err := tier.Stat(ctx, name.ID())
		return exceptClosed(err)
	}
	e, err := tier.Get(ctx, name.ID())
	if errors.Is(err, tiers.ErrNotFound) {
		size := 1 + rng.Int64N(5000)
		if rng.IntN(8) == 0 {
			size += 2 * arena.Unit
		}
		e, err = tiertest.New(tier.Reserve, name, size)
		if err != nil {
			return exceptClosed(err)
		}
		if rng.IntN(4) > 0 {
			e.MarkClean()
		}
		err = tier.Put(ctx, e)
		if err == nil && rng.IntN(2) == 0 {
			e.MarkClean() // as the writer does, beside evictions
		}
		e.Release()
		return exceptClosed(err)
	}
	if err != nil {
		return exceptClosed(err)
	}
	defer e.Release()
	if e.Name != name {
		return fmt.Errorf("get %q returned %q", name.Key, e.Name.Key)
	}
	return tiertest.Check(e)
}

func exceptClosed(err error) error {
	if errors.Is(err, tiers.ErrClosed) || errors.Is(err, tiers.ErrNoRoom) || errors.Is(err, tiers.ErrNotFound) {
		return nil
	}
	return err
}

// TestCloseDuringTraffic closes tiers that are in full use: no panic, and all memory comes back.
func TestCloseDuringTraffic(t *testing.T) {
	for round := range 10 {
		memory := tiertest.Arena(t, 64*arena.Unit)
		tier, err := New(Options{Arena: memory, Evicted: func(tiers.Name) {}})
		if err != nil {
			t.Fatal(err)
		}
		var workers sync.WaitGroup
		busy := make(chan struct{}, 4)
		for worker := range 4 {
			workers.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
				for i := 0; ; i++ {
					if i == 50 {
						busy <- struct{}{}
					}
					if err := churn(tier, rng); err != nil {
						t.Error(err)
						return
					}
					if !tier.enter() {
						return
					}
					tier.leave()
				}
			})
		}
		<-busy
		var closers sync.WaitGroup
		for range 2 {
			closers.Go(func() {
				if err := tier.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		closers.Wait()
		workers.Wait()
		if used := memory.Used(); used != 0 {
			t.Fatalf("%d bytes are in use after close", used)
		}
	}
}

// TestPutIsVisibleAtOnce puts beside other putters and reads back: ristretto alone misses most of these.
func TestPutIsVisibleAtOnce(t *testing.T) {
	tier := open(t, Options{Arena: tiertest.Arena(t, 500*arena.Unit)}, seededHash())
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Go(func() {
			for i := range 100 { // 400 units are the 80% that may be stored
				name := tiertest.Name(fmt.Sprint(worker, " ", i))
				e := tiertest.Embedding(t, tier.Reserve, name, 1)
				if i%2 == 0 {
					e.MarkClean()
				}
				tier.Put(context.Background(), e)
				e.Release()
				for j := range i + 1 {
					got, err := tier.Get(context.Background(), tiertest.Name(fmt.Sprint(worker, " ", j)).ID())
					if err != nil {
						t.Errorf("get %d after put %d: %v", j, i, err)
						return
					}
					got.Release()
				}
			}
		})
	}
	workers.Wait()
}

// TestVisibleWhileMovingOn reads entries without pause while they move from the nursery to ristretto.
func TestVisibleWhileMovingOn(t *testing.T) {
	tier := open(t, Options{Arena: tiertest.Arena(t, 200*arena.Unit)}, seededHash())
	const entries = 100 // fit the main segment's 110 units
	for i := range entries {
		put(t, tier, fmt.Sprint(i), 1, clean)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for worker := range 2 {
		readers.Go(func() {
			for i := worker; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				e, err := tier.Get(context.Background(), tiertest.Name(fmt.Sprint(i%entries)).ID())
				if err != nil {
					t.Errorf("get %d: %v", i%entries, err)
					return
				}
				e.Release()
			}
		})
	}
	for i := range entries {
		promote(tier, fmt.Sprint(i))
	}
	close(stop)
	readers.Wait()
	if got := tier.orders[main].Len(); got != entries {
		t.Errorf("%d entries moved, want %d", got, entries)
	}
}

// TestGetAgainstLastRelease lets readers retain an embedding whose only other reference, the index's, goes at
// the same moment. Retaining a freed embedding panics.
func TestGetAgainstLastRelease(t *testing.T) {
	tier := open(t, Options{Arena: tiertest.Arena(t, 20*arena.Unit)}, seededHash())
	id := tiertest.Name("contended").ID()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if e, err := tier.Get(context.Background(), id); err == nil {
					e.Release()
				}
			}
		})
	}
	for range 5000 {
		e := tiertest.Embedding(t, tier.Reserve, tiertest.Name("contended"), 1)
		if err := tier.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		e.Release()
		if err := tier.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
}
