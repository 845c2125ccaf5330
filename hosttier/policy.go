package hosttier

import (
	"fmt"
	"math/rand/v2"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/tiers"
)

const (
	// mainShare is ristretto's part of the arena in percent. The rest is the nursery (25), bodies in flight
	// (15) and slack (5).
	mainShare = 55

	// averageBytes is the size assumed for an embedding when counters are made: images take 1 to 30 MB.
	averageBytes = 4 << 20

	// countersPerEntry sizes TinyLFU's sketch. In our traces the documented 10 aged too slowly for images that
	// are hot and then dead (hit ratio .53, with 2 .62).
	countersPerEntry = 2

	// minCounters keeps the sketch of a small arena from counting everything as everything.
	minCounters = 1024
)

// A hashFunc makes the two 64-bit halves that ristretto keys by from an id.
type hashFunc func(id []byte) (key, conflict uint64)

// seededHash returns a hash that nobody outside the process can predict: a client who chooses keys could
// build colliding prefixes of an id, but not of this.
func seededHash() hashFunc {
	seed := rand.Uint64()
	return func(id []byte) (key, conflict uint64) {
		sum := xxh3.Hash128Seed(id, seed)
		return sum.Hi, sum.Lo
	}
}

// newPolicy makes the ristretto cache of the main segment. Its callbacks run on ristretto's one goroutine or
// in a caller of Del; each may see a nil entry, and see one entry more than once.
func newPolicy(t *Tier) (*ristretto.Cache[[]byte, *entry], error) {
	maxCost := max(1, t.arena.Size()*mainShare/100)
	policy, err := ristretto.NewCache(&ristretto.Config[[]byte, *entry]{
		NumCounters:        max(minCounters, countersPerEntry*maxCost/averageBytes),
		MaxCost:            maxCost,
		BufferItems:        64,
		IgnoreInternalCost: true, // the cost of an entry is its extent, nothing else is in the arena
		KeyToHash:          t.hash,
		OnReject:           func(item *ristretto.Item[*entry]) { t.exit(item.Value, tiers.EvictedRejected) },
		OnExit:             func(e *entry) { t.exit(e, tiers.EvictedCapacity) },
	})
	if err != nil {
		return nil, fmt.Errorf("make ristretto cache: %w", err)
	}
	return policy, nil
}

// exit takes out an entry that ristretto gave up. OnReject comes before the OnExit of the same entry, so the
// first caller's reason is the right one and the later find the entry gone. So do the callbacks of Del and
// Close, before which the tier itself took the entry out.
func (t *Tier) exit(e *entry, reason string) {
	if e == nil {
		return
	}
	t.mu.Lock()
	left := e.segment == main
	if left {
		t.unlink(e)
		t.count(e, reason)
	}
	t.mu.Unlock()
	if left {
		e.embedding.Release()
	}
}

// promote moves an entry from the nursery to the main segment, or drops it if TinyLFU prefers what is there.
// The entry stays visible throughout. The caller holds evicting.
func (t *Tier) promote(e *entry) {
	hash, _ := t.hash(e.embedding.ID[:])
	t.mu.Lock()
	_, taken := t.slots[hash]
	if !taken {
		t.slots[hash] = e
		t.orders[nursery].Remove(e.place)
		e.segment, e.place = main, t.orders[main].PushFront(e)
	}
	t.mu.Unlock()
	// To ristretto a hash is the entry: given a second one it would change the first one's cost, and a Del of
	// either would unaccount both.
	if taken {
		t.remove(e, tiers.EvictedRejected)
		return
	}
	if !t.policy.Set(e.embedding.ID[:], e, e.cost()) {
		// Only a full buffer refuses, and a single setter never fills it. No callback has run or will.
		t.exit(e, tiers.EvictedRejected)
		return
	}
	t.policy.Wait()
}
