package disktier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestMain(m *testing.M) {
	crashChild() // does not return in a child of the kill -9 loop
	// When pebble.Open fails late it forgets this goroutine, which wakes up ten times a second and does nothing.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

// testOptions are those of a small tier whose block files are smaller than a growth step and no multiple of the values.
func testOptions(a *arena.Arena) Options {
	return Options{
		CapacityBytes:    8 << 20,
		IndexMemoryBytes: minIndexMemory,
		BlockBytes:       3 << 20,
		Reserve:          tiertest.FromArena(a),
		Logger:           slog.New(slog.DiscardHandler),
	}
}

// open opens a tier that is closed when the test ends, and whose books are right then.
func open(t testing.TB, dir string, o Options) *Tier {
	t.Helper()
	tier, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTier(t, tier) })
	return tier
}

func closeTier(t testing.TB, tier *Tier) {
	t.Helper()
	if err := tier.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := audit(tier); err != nil {
		t.Error(err)
	}
}

// put stores the embedding that belongs to name and size.
func put(tier *Tier, name tiers.Name, size int64, edits ...func(*tiers.Meta)) error {
	e, err := tiertest.New(tier.opts.Reserve, name, size, edits...)
	if err != nil {
		return err
	}
	defer e.Release()
	return tier.Put(context.Background(), e)
}

func mustPut(t testing.TB, tier *Tier, name tiers.Name, size int64, edits ...func(*tiers.Meta)) {
	t.Helper()
	if err := put(tier, name, size, edits...); err != nil {
		t.Fatalf("put %q: %v", name.Key, err)
	}
}

// has reports whether the tier returns the embedding of that name, and fails the test unless that is whole and
// right, or a miss.
func has(t testing.TB, tier *Tier, name tiers.Name) bool {
	t.Helper()
	e, err := tier.Get(context.Background(), name.ID())
	if errors.Is(err, tiers.ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatalf("get %q: %v", name.Key, err)
	}
	defer e.Release()
	if err := tiertest.Check(e); err != nil {
		t.Fatalf("WRONG BYTES: get %q: %v", name.Key, err)
	}
	return true
}

// audit reports whether the extents of the tier are disjoint and add up. No Put may be in progress.
func audit(tier *Tier) error {
	tier.mu.Lock()
	defer tier.mu.Unlock()
	held := tier.blocks.held / unitBytes
	owner := make([]string, held)
	mark := func(r run, who string) error {
		for u := r.start; u < r.end(); u++ {
			if int64(u) >= held || owner[u] != "" {
				return fmt.Errorf("unit %d of %d belongs to %s and to %q", u, held, who, owner[u])
			}
			owner[u] = who
		}
		return nil
	}
	var free, live, scoped int64
	for _, f := range tier.space.free.byStart {
		free += int64(f.units)
		if err := mark(f.run, "free"); err != nil {
			return err
		}
		if next := tier.space.free.byStart[f.end()]; next != nil {
			return fmt.Errorf("free runs %v and %v are not joined", f.run, next.run)
		}
	}
	for _, n := range tier.stored.nodes {
		live += n.units()
		for _, r := range n.runs {
			if err := mark(r, n.id.String()); err != nil {
				return err
			}
		}
	}
	s := &tier.space
	if sum := free + live + s.dying + s.incoming + s.quarantined; sum != held || free != s.free.units {
		return fmt.Errorf("held %d units: free %d (counted %d) + live %d + dying %d + incoming %d + quarantined %d",
			held, s.free.units, free, live, s.dying, s.incoming, s.quarantined)
	}
	if queued := tier.policy.small.units + tier.policy.main.units; queued != live {
		return fmt.Errorf("the policy holds %d units, the directory %d", queued, live)
	}
	for _, sc := range tier.stored.scopes {
		scoped += sc.Entries
	}
	if scoped != int64(len(tier.stored.nodes)) {
		return fmt.Errorf("scopes hold %d entries, the directory %d", scoped, len(tier.stored.nodes))
	}
	if tier.blocks.held > tier.blocks.capacity {
		return fmt.Errorf("held %d bytes exceed the capacity of %d", tier.blocks.held, tier.blocks.capacity)
	}
	return nil
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
