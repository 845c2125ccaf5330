//go:build !race

// Under the race detector sync.Pool forgets on purpose, and with it ristretto the uses that it collects in
// pools: TinyLFU would have learned nothing.

package hosttier

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// TestTinyLFURejects fills the main segment with favourites and offers it strangers.
func TestTinyLFURejects(t *testing.T) {
	tier, evicted := openUnits(t, 20) // 55% is 11 units
	const favourites = 11
	// Ristretto hears of uses in batches that it may drop, so how many it takes is not known.
	for try := range 1000 {
		for i := range favourites {
			key := fmt.Sprint(i)
			if segmentOf(tier, key) == gone {
				put(t, tier, key, 1, clean)
				promote(tier, key)
			}
			for range 64 {
				if e, err := tier.Get(t.Context(), tiertest.Name(key).ID()); err == nil {
					e.Release()
				}
			}
		}
		stranger := fmt.Sprint("stranger ", try)
		put(t, tier, stranger, 1, clean)
		promote(tier, stranger)
		if segmentOf(tier, stranger) == main {
			continue
		}
		checkInvariants(t, tier)
		tier.announce()
		if !slices.Contains(*evicted, stranger) || tier.Stats().Evictions[tiers.EvictedRejected] == 0 {
			t.Errorf("a rejection was not counted or announced: %v", tier.Stats().Evictions)
		}
		return
	}
	t.Error("every stranger was admitted: ristretto learns of no uses")
}

// TestHitRatio replays zipf-distributed requests, 40% of them mixed with images seen once, and holds the tier
// against a FIFO of the same memory, which is what the nursery alone would be.
func TestHitRatio(t *testing.T) {
	const units, requests, images = 200, 30_000, 4000
	trace := func(visit func(image int) bool) float64 {
		rng := rand.New(rand.NewPCG(3, 4))
		zipf := rand.NewZipf(rng, 1.01, 1, images-1)
		hits, counted := 0, 0
		for i := range requests {
			image := int(zipf.Uint64())
			if rng.IntN(10) < 4 {
				image = images + i // seen once
			}
			hit := visit(image)
			if i > requests/4 {
				counted++
				if hit {
					hits++
				}
			}
		}
		return float64(hits) / float64(counted)
	}

	tier, _ := openUnits(t, units)
	ours := trace(func(image int) bool {
		key := fmt.Sprint(image)
		e, err := tier.Get(t.Context(), tiertest.Name(key).ID())
		if err == nil {
			e.Release()
			return true
		}
		put(t, tier, key, 1, clean)
		return false
	})
	checkInvariants(t, tier)

	stored, order := make(map[int]bool), []int{}
	fifo := trace(func(image int) bool {
		if stored[image] {
			return true
		}
		stored[image] = true
		order = append(order, image)
		if len(order) > units*storedShare/100 {
			delete(stored, order[0])
			order = order[1:]
		}
		return false
	})
	t.Logf("hit ratio %.3f, a FIFO has %.3f", ours, fifo)
	// 1.4 times and more were seen in every run.
	if ours < 1.2*fifo {
		t.Errorf("hit ratio %.3f, a FIFO has %.3f", ours, fifo)
	}
	if segmentOf(tier, "0") != main {
		t.Errorf("the most popular image is in segment %v", segmentOf(tier, "0"))
	}
	if used := tier.arena.Used(); used > units*arena.Unit*storedShare/100 {
		t.Errorf("%d bytes stored, the share is %d%%", used, storedShare)
	}
}
