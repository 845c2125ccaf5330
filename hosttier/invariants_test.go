package hosttier

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// checkInvariants demands that the parts of a tier at rest agree with each other and with ristretto.
func checkInvariants(t fataler, tier *Tier) {
	t.Helper()
	tier.evicting.Lock()
	defer tier.evicting.Unlock()
	tier.mu.RLock()
	defer tier.mu.RUnlock()

	var bytes, mainBytes int64
	scopes := make(map[tiers.Scope]tiers.Usage)
	mains := make(map[*entry]bool)
	for id, e := range tier.entries {
		if e.embedding.ID != id || e.embedding.Extent().Owner() != e || e.place.Value != e {
			t.Fatalf("entry %v is misfiled", id)
		}
		bytes += e.cost()
		usage := scopes[e.embedding.Name.Scope]
		scopes[e.embedding.Name.Scope] = tiers.Usage{Entries: usage.Entries + 1, Bytes: usage.Bytes + e.embedding.Meta.Size}
		if e.segment == main {
			mains[e] = true
			mainBytes += e.cost()
			if hash, _ := tier.hash(id[:]); tier.slots[hash] != e || !e.embedding.Clean() {
				t.Fatalf("main entry %v: slot lost, or unwritten", id)
			}
		}
	}
	if bytes != tier.storedBytes || bytes > tier.arena.Used() || tier.arena.Used() > tier.arena.Size() {
		t.Fatalf("entries take %d bytes, counted %d, arena uses %d of %d",
			bytes, tier.storedBytes, tier.arena.Used(), tier.arena.Size())
	}
	if diff := cmp.Diff(scopes, tier.scopes); diff != "" {
		t.Fatalf("scopes (-entries +counted):\n%s", diff)
	}
	if n := tier.orders[nursery].Len() + tier.orders[main].Len(); n != len(tier.entries) || len(tier.slots) != len(mains) {
		t.Fatalf("%d entries, %d in order, %d slots for %d main", len(tier.entries), n, len(tier.slots), len(mains))
	}
	tier.policy.IterValues(func(e *entry) bool {
		if !mains[e] {
			t.Fatalf("ristretto holds %v, which is not in the main segment", e.embedding.ID)
		}
		delete(mains, e)
		return false
	})
	if len(mains) > 0 {
		t.Fatalf("ristretto lost %d entries of the main segment", len(mains))
	}
	if accounted := tier.policy.MaxCost() - tier.policy.RemainingCost(); accounted != mainBytes {
		t.Fatalf("ristretto accounts %d bytes, the main segment takes %d", accounted, mainBytes)
	}
}

// put stores an embedding of that many units, clean or not, and returns it without a reference.
func put(t testing.TB, tier *Tier, key string, units int64, clean bool, edits ...func(*tiers.Meta)) *tiers.Embedding {
	t.Helper()
	e := tiertest.Embedding(t, tier.Reserve, tiertest.Name(key), units*arena.Unit, edits...)
	defer e.Release()
	if clean {
		e.MarkClean()
	}
	if err := tier.Put(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// hold gets the embedding with a reference that the caller releases.
func hold(t testing.TB, tier *Tier, key string) *tiers.Embedding {
	t.Helper()
	e, err := tier.Get(context.Background(), tiertest.Name(key).ID())
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return e
}

// use gets the embedding and lets it go.
func use(t testing.TB, tier *Tier, key string) { hold(t, tier, key).Release() }

// segmentOf tells where an entry is, without using it.
func segmentOf(tier *Tier, key string) segment {
	tier.mu.RLock()
	defer tier.mu.RUnlock()
	if e := tier.entries[tiertest.Name(key).ID()]; e != nil {
		return e.segment
	}
	return gone
}
