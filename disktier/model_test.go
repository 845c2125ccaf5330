package disktier

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

var background = context.Background()

// A machine drives a tier against a model: what a name may hold. The tier may always miss; it may never
// return anything else than what was put last, nor what was deleted.
type machine struct {
	disk    *memDisk
	tier    *Tier
	arena   *arena.Arena
	options Options
	stored  map[string]int64 // size of what was put last and not deleted since
	pinning bool
	failing bool // the next operations of the block files fail now and then
	rng     *rand.Rand
}

func newMachine(t *rapid.T, a *arena.Arena) *machine {
	m := &machine{disk: newMemDisk(), arena: a, options: testOptions(a), stored: map[string]int64{}}
	m.options.CapacityBytes = int64(rapid.IntRange(2, 40).Draw(t, "capacity units")) * unitBytes
	m.options.BlockBytes = int64(rapid.IntRange(1, 20).Draw(t, "block units")) * unitBytes
	m.options.MaxEntries = rapid.IntRange(1, 20).Draw(t, "max entries")
	m.rng = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	m.disk.fault = m.fault
	m.open(t)
	return m
}

func (m *machine) fault(op string) error {
	if m.failing && m.rng.IntN(8) == 0 {
		return unix.EIO
	}
	return nil
}

func (m *machine) open(t *rapid.T) {
	var err error
	if m.tier, err = Open("/tier", m.disk.options(m.options)); err != nil {
		t.Fatalf("open: %v", err)
	}
}

func (m *machine) name(t *rapid.T) tiers.Name {
	return tiertest.Name(fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "key")))
}

func (m *machine) Put(t *rapid.T) {
	name, size := m.name(t), rapid.Int64Range(1, 6*unitBytes).Draw(t, "size")
	switch err := put(m.tier, name, size); {
	case err == nil:
		m.stored[name.Key] = size
	case errors.Is(err, tiers.ErrTooLarge) && unitsOf(size) > m.tier.Stats().CapacityBytes/unitBytes:
	case errors.Is(err, tiers.ErrUnavailable), errors.Is(err, tiers.ErrNotDurable):
		// Refused for a fault now, for the extents that faults took before, or for a pin.
		if s := m.tier.Stats(); !m.failing && !m.pinning && s.QuarantinedBytes == 0 && s.Health == tiers.HealthOK {
			t.Fatalf("put %q: %v", name.Key, err)
		}
		// What was there before stays: a failed put lands whole or not at all, and here it did not.
	default:
		t.Fatalf("put %q: %v", name.Key, err)
	}
}

func (m *machine) Get(t *rapid.T) {
	name := m.name(t)
	e, err := m.tier.Get(background, name.ID())
	if errors.Is(err, tiers.ErrNotFound) {
		return
	}
	if err != nil {
		t.Fatalf("get %q: %v", name.Key, err)
	}
	defer e.Release()
	if err := tiertest.Check(e); err != nil || e.Name != name || e.Meta.Size != m.stored[name.Key] {
		t.Fatalf("get %q: size %d, want %d: %v", name.Key, e.Meta.Size, m.stored[name.Key], err)
	}
}

func (m *machine) Delete(t *rapid.T) {
	name := m.name(t)
	if err := m.tier.Delete(background, name.ID()); err != nil {
		t.Fatalf("delete %q: %v", name.Key, err)
	}
	delete(m.stored, name.Key)
}

func (m *machine) PinAndUnpin(t *rapid.T) {
	name := m.name(t)
	if !m.tier.Pin(name.ID()) {
		return
	}
	m.pinning, m.failing = true, false
	m.Put(t)
	m.pinning = false
	if _, ok := m.stored[name.Key]; !ok {
		t.Fatalf("%q could be pinned and was never put", name.Key)
	}
	if _, _, err := m.tier.Stat(background, name.ID()); err != nil {
		t.Fatalf("%q is pinned: %v", name.Key, err)
	}
	m.tier.Unpin(name.ID())
}

func (m *machine) Reopen(t *rapid.T) {
	if err := m.tier.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.failing = false
	m.open(t)
}

func (m *machine) PowerCut(t *rapid.T) {
	left := m.disk.crash(m.rng)
	if err := m.tier.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.disk, m.failing = left, false
	m.disk.fault = m.fault
	m.open(t)
	if n := m.tier.Stats().Corruptions; n != 0 {
		t.Fatalf("%d records were damaged by the crash", n)
	}
}

func (m *machine) FailOrHeal(t *rapid.T) { m.failing = !m.failing }

// Check runs after every operation.
func (m *machine) Check(t *rapid.T) {
	if err := audit(m.tier); err != nil {
		t.Fatal(err)
	}
	s := m.tier.Stats()
	if s.UsedBytes < 0 || s.UsedBytes+s.QuarantinedBytes > s.CapacityBytes {
		t.Fatalf("used %d and quarantined %d of %d bytes", s.UsedBytes, s.QuarantinedBytes, s.CapacityBytes)
	}
	if s.Entries > int64(m.options.MaxEntries) {
		t.Fatalf("%d entries, allowed are %d", s.Entries, m.options.MaxEntries)
	}
}

func TestModel(t *testing.T) {
	checks := "40" // each opens a tier several times
	if os.Getenv("KEEPSIGHT_LONG") != "" {
		checks = "1000"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	a := tiertest.Arena(t, 16<<20)
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt, a)
		defer func() { m.tier.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"put": m.Put, "put more": m.Put, "put most": m.Put, "get": m.Get, "get more": m.Get, "delete": m.Delete, "pin": m.PinAndUnpin,
			"reopen": m.Reopen, "power cut": m.PowerCut, "fail or heal": m.FailOrHeal,
			"": m.Check,
		})
	})
}
