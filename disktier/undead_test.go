package disktier

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// TestARemovalThatFailedIsNotTakenForDone loses the index, so that records stay in it which nothing in memory stands for:
// after a restart they are back. Whoever deletes or purges them must hear that again and again until then.
func TestARemovalThatFailedIsNotTakenForDone(t *testing.T) {
	scope := tiertest.Name("").Scope
	remove := map[string]func(*Tier) error{
		"delete": func(tier *Tier) error { return tier.Delete(background, tiertest.Name("0").ID()) },
		"purge":  func(tier *Tier) error { return tier.Purge(background, scope) },
		"delete of what a failed put left": func(tier *Tier) error {
			return tier.Delete(background, tiertest.Name("new").ID())
		},
	}
	for name, remove := range remove {
		t.Run(name, func(t *testing.T) {
			disk, faults := newMemDisk(), newInjector()
			disk.inject = faults
			tier := filled(t, disk, 3, 1000)
			faults.set(func(op errorfs.Op) error {
				if isSync(op) {
					return unix.EIO
				}
				return nil
			})
			if err := put(tier, tiertest.Name("new"), 1000); !errors.Is(err, tiers.ErrNotDurable) {
				t.Fatalf("put: %v", err)
			}
			for i := range 3 {
				if err := remove(tier); !errors.Is(err, tiers.ErrNotDurable) {
					t.Errorf("try %d: %v, want %v", i, err, tiers.ErrNotDurable)
				}
			}
			closeTier(t, tier)
			disk.inject = nil
			again := open(t, "/tier", disk.options(tier.opts))
			if err := errors.Join(remove(again), remove(again)); err != nil {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}

// TestARemovalIsTriedAgainInTheNextIndex has the batch of a Delete fail, the index be rewritten, and the batch fail in
// the new one too. The next Delete goes into a third.
func TestARemovalIsTriedAgainInTheNextIndex(t *testing.T) {
	disk, faults := newMemDisk(), newInjector()
	disk.inject = faults
	tier := filled(t, disk, 3, 1000)
	second := 0 // syncs of the second index's log: of its completion, then of the batch
	faults.set(func(op errorfs.Op) error {
		if !isSync(op) || !strings.HasSuffix(op.Path, ".log") {
			return nil
		}
		if strings.Contains(op.Path, indexName(1)) {
			return unix.EIO
		}
		if strings.Contains(op.Path, indexName(2)) {
			if second++; second == 2 {
				return unix.EIO
			}
		}
		return nil
	})
	id := tiertest.Name("0").ID()
	if err := tier.Delete(background, id); !errors.Is(err, tiers.ErrNotDurable) {
		t.Fatalf("delete: %v", err)
	}
	if err := tier.Delete(background, id); err != nil {
		t.Fatalf("delete again: %v", err)
	}
	if number := tier.index.Load().number; number != 3 {
		t.Errorf("the index is number %d", number)
	}
	tier.mu.Lock()
	left := len(tier.undead)
	tier.mu.Unlock()
	if left != 0 {
		t.Errorf("%d removals are still to be tried", left)
	}
	again := open(t, "/tier", disk.crash(newRand(5)).options(tier.opts))
	for i := range 3 {
		if found := has(t, again, tiertest.Name(fmt.Sprint(i))); found != (i != 0) {
			t.Errorf("value %d: found is %v", i, found)
		}
	}
}
