package tiertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/tiers"
)

// A Fixture is an empty tier under test.
type Fixture struct {
	Tier    tiers.Tier
	Reserve Reserve // where the suite makes its embeddings; room for 32 MiB

	// FirstWins is for what stands in front of tiers, where the first put of a name wins until it is gone. A
	// tier replaces.
	FirstWins bool
}

// Run tests the tier that open makes, at least one fresh tier per subtest. open closes the tier when the test
// that it gets ends. The tier has room for 16 MiB of embeddings.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"a get returns what was put", testRoundTrip},
		{"an absent id is not found", testAbsent},
		{"a put of a stored id replaces it, or the first wins", testSecondPut},
		{"putting the same embedding again changes nothing", testPutAgain},
		{"a deleted embedding is gone, and may be put again", testDelete},
		{"an expired embedding is not found", testExpired},
		{"a purge empties one scope and no other", testPurge},
		{"a reference keeps the bytes through delete and replace", testReference},
		{"stats add up", testStats},
		{"concurrent use returns whole embeddings or misses", testConcurrent},
		{"close is idempotent and ends service", testClose},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, &suite{T: t, Fixture: open(t)})
		})
	}
}

// A suite is one subtest with its tier.
type suite struct {
	*testing.T
	Fixture
}

// put stores the embedding of that name and size and gives up the suite's own reference.
func (s *suite) put(name tiers.Name, size int64, edits ...func(*tiers.Meta)) {
	s.Helper()
	e := Embedding(s, s.Reserve, name, size, edits...)
	defer e.Release()
	if err := s.Tier.Put(s.Context(), e); err != nil {
		s.Fatalf("put %q: %v", name.Key, err)
	}
}

// has demands that get and stat find the embedding of that name and size, whole.
func (s *suite) has(name tiers.Name, size int64) {
	s.Helper()
	e, err := s.Tier.Get(s.Context(), name.ID())
	if err != nil {
		s.Fatalf("get %q: %v", name.Key, err)
	}
	defer e.Release()
	if err := Check(e); err != nil {
		s.Fatal(err)
	}
	want := Meta(name, Payload(name, size))
	if diff := cmp.Diff(want, e.Meta); diff != "" || e.Name != name {
		s.Fatalf("get %q returned %q, meta (-want +got):\n%s", name.Key, e.Name.Key, diff)
	}
	gotName, gotMeta, err := s.Tier.Stat(s.Context(), name.ID())
	if err != nil {
		s.Fatalf("stat %q: %v", name.Key, err)
	}
	if diff := cmp.Diff(want, gotMeta); diff != "" || gotName != name {
		s.Fatalf("stat %q returned %q, meta (-want +got):\n%s", name.Key, gotName.Key, diff)
	}
}

// lacks demands that get and stat miss.
func (s *suite) lacks(name tiers.Name) {
	s.Helper()
	if e, err := s.Tier.Get(s.Context(), name.ID()); err == nil {
		e.Release()
		s.Fatalf("get %q found something", name.Key)
	} else if !errors.Is(err, tiers.ErrNotFound) {
		s.Fatalf("get %q: %v, want not found", name.Key, err)
	}
	if _, _, err := s.Tier.Stat(s.Context(), name.ID()); !errors.Is(err, tiers.ErrNotFound) {
		s.Fatalf("stat %q: %v, want not found", name.Key, err)
	}
}

func testRoundTrip(t *testing.T, s *suite) {
	// Sizes on both sides of the 4 KiB block and the 64 KiB unit.
	for _, size := range []int64{1, 4095, 4096, 4097, 65535, 65536, 65537, 3<<20 + 17} {
		name := Name(fmt.Sprintf("size/%d ü", size))
		s.put(name, size)
		s.has(name, size)
	}
}

func testAbsent(t *testing.T, s *suite) {
	s.lacks(Name("absent"))
	s.put(Name("present"), 100)
	s.lacks(Name("absent"))
	sameKey := Name("present")
	sameKey.Tenant = "other"
	s.lacks(sameKey)
	sameKey = Name("present")
	sameKey.Epoch++
	s.lacks(sameKey)
}

func testSecondPut(t *testing.T, s *suite) {
	name := Name("twice")
	s.put(name, 1000)
	second := Embedding(s, s.Reserve, name, 70000)
	defer second.Release()
	err := s.Tier.Put(s.Context(), second)
	if s.FirstWins {
		if !errors.Is(err, tiers.ErrExistsIncompatible) {
			t.Fatalf("second put: %v, want %v", err, tiers.ErrExistsIncompatible)
		}
		s.has(name, 1000)
		return
	}
	if err != nil {
		t.Fatalf("second put: %v", err)
	}
	s.has(name, 70000)
}

func testPutAgain(t *testing.T, s *suite) {
	name := Name("again")
	e := Embedding(s, s.Reserve, name, 5000)
	defer e.Release()
	for range 3 {
		if err := s.Tier.Put(s.Context(), e); err != nil {
			t.Fatal(err)
		}
		s.has(name, 5000)
	}
	if got := s.Tier.Stats().Entries; got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
}

func testDelete(t *testing.T, s *suite) {
	name, other := Name("deleted"), Name("other")
	s.put(name, 1000)
	s.put(other, 2000)
	for range 2 { // the second time it is absent
		if err := s.Tier.Delete(s.Context(), name.ID()); err != nil {
			t.Fatalf("delete: %v", err)
		}
		s.lacks(name)
	}
	s.has(other, 2000)
	s.put(name, 3000)
	s.has(name, 3000)
}

func testExpired(t *testing.T, s *suite) {
	name := Name("expired")
	e := Embedding(s, s.Reserve, name, 1000, Expired)
	defer e.Release()
	// A tier may take it and miss, or refuse what is dead on arrival.
	if err := s.Tier.Put(s.Context(), e); err != nil {
		t.Logf("put: %v", err)
	}
	s.lacks(name)
	s.put(name, 2000)
	s.has(name, 2000)
}

func testPurge(t *testing.T, s *suite) {
	purger, ok := s.Tier.(tiers.Purger)
	if !ok {
		t.Skip("the tier does not purge")
	}
	old, current := Name("old"), Name("current")
	current.Epoch++
	s.put(old, 1000)
	s.put(current, 2000)
	for range 2 {
		if err := purger.Purge(s.Context(), old.Scope); err != nil {
			t.Fatalf("purge: %v", err)
		}
		s.lacks(old)
		s.has(current, 2000)
	}
}

func testReference(t *testing.T, s *suite) {
	name := Name("held")
	s.put(name, 100000)
	held, err := s.Tier.Get(s.Context(), name.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if err := s.Tier.Delete(s.Context(), name.ID()); err != nil {
		t.Fatal(err)
	}
	s.put(name, 200000)
	if err := s.Tier.Delete(s.Context(), name.ID()); err != nil {
		t.Fatal(err)
	}
	if err := Check(held); err != nil {
		t.Errorf("after delete: %v", err)
	}
}

func testStats(t *testing.T, s *suite) {
	scopeA, scopeB := Name("").Scope, Name("").Scope
	scopeB.Tenant = "other"
	name := func(scope tiers.Scope, key string) tiers.Name { return tiers.Name{Scope: scope, Key: key} }
	s.put(name(scopeA, "1"), 1000)
	s.put(name(scopeA, "2"), 100000)
	s.put(name(scopeB, "1"), 30)
	s.has(name(scopeA, "1"), 1000)
	s.lacks(name(scopeB, "2"))

	stats := s.Tier.Stats()
	want := map[tiers.Scope]tiers.Usage{
		scopeA: {Entries: 2, Bytes: 101000},
		scopeB: {Entries: 1, Bytes: 30},
	}
	if diff := cmp.Diff(want, stats.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if stats.Entries != 3 || stats.Puts != 3 || stats.PutBytes != 101030 {
		t.Errorf("entries %d, puts %d, put bytes %d, want 3, 3, 101030", stats.Entries, stats.Puts, stats.PutBytes)
	}
	if stats.Hits != 1 || stats.Misses != 1 || stats.ReadBytes != 1000 {
		t.Errorf("hits %d, misses %d, read bytes %d, want 1, 1, 1000: a stat counts as no use",
			stats.Hits, stats.Misses, stats.ReadBytes)
	}
	if stats.UsedBytes < 101030 || stats.UsedBytes > stats.CapacityBytes {
		t.Errorf("used %d bytes of %d, stored are 101030", stats.UsedBytes, stats.CapacityBytes)
	}
	if stats.Tier == "" || stats.Health != tiers.HealthOK || stats.Reason != "" {
		t.Errorf("tier %q is %q because of %q", stats.Tier, stats.Health, stats.Reason)
	}

	for _, n := range []tiers.Name{name(scopeA, "1"), name(scopeA, "2"), name(scopeB, "1")} {
		if err := s.Tier.Delete(s.Context(), n.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if stats := s.Tier.Stats(); stats.Entries != 0 || len(stats.Scopes) != 0 {
		t.Errorf("after deleting all: %d entries, scopes %v", stats.Entries, stats.Scopes)
	}
}

// testConcurrent lets goroutines put, get, stat and delete few names in several sizes. Every get must be one
// of the whole payloads that belong to its name, or a miss.
func testConcurrent(t *testing.T, s *suite) {
	const workers, rounds, names = 8, 60, 5
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for round := range rounds {
				name := Name(fmt.Sprint((worker + round) % names))
				if err := s.step(name, worker, round); err != nil {
					t.Errorf("worker %d, round %d: %v", worker, round, err)
					return
				}
			}
		})
	}
	group.Wait()
	stats := s.Tier.Stats()
	var entries int64
	for _, usage := range stats.Scopes {
		entries += usage.Entries
	}
	if stats.Entries != entries || entries > names {
		t.Errorf("%d entries, the scopes hold %d of %d names", stats.Entries, entries, names)
	}
}

// step is one operation of a worker, chosen by its round so that every run has the same mixture.
func (s *suite) step(name tiers.Name, worker, round int) error {
	switch (worker*7 + round) % 8 {
	case 0, 1:
		e, err := New(s.Reserve, name, int64(1+worker*9000+round))
		if err != nil {
			return err
		}
		defer e.Release()
		err = s.Tier.Put(s.Context(), e)
		if s.FirstWins && errors.Is(err, tiers.ErrExistsIncompatible) {
			return nil
		}
		return err
	case 2:
		return s.Tier.Delete(s.Context(), name.ID())
	case 3:
		found, _, err := s.Tier.Stat(s.Context(), name.ID())
		if err == nil && found != name {
			return fmt.Errorf("stat %q returned %q", name.Key, found.Key)
		}
		return exceptMiss(err)
	default:
		e, err := s.Tier.Get(s.Context(), name.ID())
		if err != nil {
			return exceptMiss(err)
		}
		defer e.Release()
		if e.Name != name {
			return fmt.Errorf("get %q returned %q", name.Key, e.Name.Key)
		}
		return Check(e)
	}
}

func exceptMiss(err error) error {
	if errors.Is(err, tiers.ErrNotFound) {
		return nil
	}
	return err
}

func testClose(t *testing.T, s *suite) {
	name := Name("closed")
	s.put(name, 1000)
	e := Embedding(s, s.Reserve, Name("late"), 1000)
	defer e.Release()
	for range 2 {
		if err := s.Tier.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	_, getErr := s.Tier.Get(t.Context(), name.ID())
	_, _, statErr := s.Tier.Stat(t.Context(), name.ID())
	for call, err := range map[string]error{
		"get":    getErr,
		"stat":   statErr,
		"put":    s.Tier.Put(t.Context(), e),
		"delete": s.Tier.Delete(t.Context(), name.ID()),
	} {
		if !errors.Is(err, tiers.ErrClosed) {
			t.Errorf("%s after close: %v, want %v", call, err, tiers.ErrClosed)
		}
	}
	s.Tier.Stats() // a scrape may come late and must not fail
}
