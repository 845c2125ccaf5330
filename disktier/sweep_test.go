package disktier

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// A nth fails the nth file operation, of index and block files alike, once.
type nth struct {
	n     int64
	err   error
	count atomic.Int64

	mu     sync.Mutex
	failed string // the operation that failed
}

func (f *nth) next(op string) error {
	if f.count.Add(1) != f.n {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = op
	return f.err
}

func (f *nth) String() string { return "nth" }

func (f *nth) MaybeError(op errorfs.Op) error {
	what := "write"
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		what = "read"
	}
	return f.next(fmt.Sprintf("index %s %d %s", what, op.Kind, op.Path))
}

// TestNthFault runs one scenario over and over, failing its first file operation, then its second, until it comes through
// without meeting the fault. Each operation of the tier must end: well, as a miss or with an error. Afterwards the
// tier opens again, Check finds nothing, and what was acknowledged and not deleted is there, unless it
// was a read that failed.
func TestNthFault(t *testing.T) {
	stride := int64(19)
	if os.Getenv("KEEPSIGHT_LONG") != "" {
		stride = 1
	}
	for _, fault := range []error{unix.EIO, unix.ENOSPC} {
		t.Run(fault.Error(), func(t *testing.T) {
			a := tiertest.Arena(t, 16<<20)
			start := time.Now().UnixNano() % stride // a different comb each time
			for n := 1 + start; ; n += stride {
				disk := newMemDisk()
				f := &nth{n: n, err: fault}
				disk.fault = func(op string) error { return f.next("blocks " + op) }
				disk.inject = f
				kept := scenario(t, disk, testOptions(a))
				disk.fault, disk.inject = nil, nil
				verifyAfterFault(t, disk, testOptions(a), kept, f.failed)
				if f.failed == "" {
					t.Logf("%d operations", f.count.Load())
					return
				}
				if t.Failed() {
					t.Fatalf("operation %d: %s", n, f.failed)
				}
			}
		})
	}
}

// outcome is what a name must hold after a scenario: wanted, gone, or either.
type outcome map[string]string

const (
	kept    = "kept"
	deleted = "deleted"
	either  = "either"
)

// scenario opens a tier twice and uses all that writes. It returns what was acknowledged.
func scenario(t *testing.T, disk *memDisk, o Options) outcome {
	want := outcome{}
	for round := range 2 {
		tier, err := Open("/tier", disk.options(o))
		if err != nil {
			continue
		}
		for i := range 6 {
			name := tiertest.Name(fmt.Sprintf("%d/%d", round, i))
			want[name.Key] = kept
			if err := put(tier, name, int64(i)*50_000+1); err != nil {
				want[name.Key] = either
				refusedRightly(t, err)
			}
			has(t, tier, name)
		}
		for i := range 2 {
			name := tiertest.Name(fmt.Sprintf("%d/%d", round, i))
			want[name.Key] = deleted
			if err := tier.Delete(background, name.ID()); err != nil {
				want[name.Key] = either
				refusedRightly(t, err)
			}
			if has(t, tier, name) {
				t.Errorf("%q is there after its delete", name.Key)
			}
		}
		if err := tier.SaveEpoch(background, tiertest.Name("").Scope); err != nil {
			refusedRightly(t, err)
		}
		if err := tier.Close(); err != nil {
			t.Logf("close: %v", err)
		}
		if err := audit(tier); err != nil {
			t.Error(err)
		}
	}
	return want
}

// refusedRightly demands one of the sentinels for work that the tier does not take.
func refusedRightly(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, tiers.ErrUnavailable) && !errors.Is(err, tiers.ErrNotDurable) {
		t.Errorf("refused with %v", err)
	}
}

func verifyAfterFault(t *testing.T, disk *memDisk, o Options, want outcome, failed string) {
	t.Helper()
	tier, err := Open("/tier", disk.options(o))
	if err != nil {
		t.Fatalf("open after the fault: %v", err)
	}
	for key, state := range want {
		found := has(t, tier, tiertest.Name(key))
		if state == deleted && found {
			t.Errorf("%q came back after its delete", key)
		}
		if state == kept && !found && !strings.Contains(failed, "read") {
			t.Errorf("%q was acknowledged and is lost; notes %v", key, tier.Stats().Notes)
		}
	}
	closeTier(t, tier)
	if _, err := disk.check(func(d Damage) { t.Errorf("damage: %+v", d) }); err != nil {
		t.Errorf("check: %v", err)
	}
}
