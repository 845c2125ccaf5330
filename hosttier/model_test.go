package hosttier

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// A model is a map that hears of evictions: what it holds, the tier must return, and nothing else.
type model struct {
	tier      *Tier
	now       time.Time
	stored    map[tiers.Name]*tiers.Embedding
	held      []*tiers.Embedding // references of readers
	unwritten uint64             // embeddings evicted while not clean
	evicted   uint64
	unknown   []tiers.Name // evictions of what was not stored
}

func (m *model) hear(name tiers.Name) {
	e, ok := m.stored[name]
	if !ok {
		m.unknown = append(m.unknown, name)
		return
	}
	delete(m.stored, name)
	m.evicted++
	if !e.Clean() && !e.Meta.Expired(m.now) {
		m.unwritten++
	}
}

func drawName(t *rapid.T) tiers.Name {
	name := tiertest.Name(fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "key")))
	name.Epoch = rapid.Uint64Range(1, 2).Draw(t, "epoch")
	return name
}

func (m *model) put(t *rapid.T) {
	name := drawName(t)
	size := rapid.Int64Range(1, 8*arena.Unit).Draw(t, "size")
	extent, err := m.tier.Reserve(canceled, size)
	if errors.Is(err, tiers.ErrNoRoom) {
		m.checkFull(t, size)
		return
	}
	if err != nil {
		t.Fatalf("reserve %d: %v", size, err)
	}
	reserved := func(context.Context, int64) (*arena.Extent, error) { return extent, nil }
	e, _ := tiertest.New(reserved, name, size, func(meta *tiers.Meta) {
		if rapid.IntRange(0, 4).Draw(t, "expires") == 0 {
			meta.Expires = m.now.Add(time.Minute)
		}
	})
	if rapid.Bool().Draw(t, "clean") {
		e.MarkClean()
	}
	m.stored[name] = e
	if err := m.tier.Put(canceled, e); err != nil {
		t.Fatalf("put: %v", err)
	}
	if rapid.IntRange(0, 4).Draw(t, "hold") == 0 {
		m.held = append(m.held, e)
	} else {
		e.Release()
	}
}

// checkFull demands that a refused reservation was right: nothing idle is left to evict, or it stands in no
// window with enough free memory.
func (m *model) checkFull(t *rapid.T, size int64) {
	_, ok := m.tier.arena.Window(size, func(x *arena.Extent) bool {
		e, stored := x.Owner().(*entry)
		return stored && e.embedding.Idle()
	})
	if ok {
		t.Fatalf("refused %d bytes though a window could be freed", size)
	}
}

func (m *model) get(t *rapid.T) {
	name := drawName(t)
	want := m.stored[name]
	if want != nil && want.Meta.Expired(m.now) {
		want = nil
	}
	e, err := m.tier.Get(canceled, name.ID())
	switch {
	case want == nil:
		if !errors.Is(err, tiers.ErrNotFound) {
			t.Fatalf("get %v: %v, want a miss", name, err)
		}
		return
	case err != nil:
		t.Fatalf("get %v: %v, want a hit", name, err)
	case e != want:
		t.Fatalf("get %v returned another embedding", name)
	}
	if err := tiertest.Check(e); err != nil {
		t.Fatal(err)
	}
	if !m.tier.Holds(e) {
		t.Fatalf("%v was returned but is not held", name)
	}
	if rapid.IntRange(0, 2).Draw(t, "hold") == 0 {
		m.held = append(m.held, e)
	} else {
		e.Release()
	}
}

func (m *model) remove(t *rapid.T) {
	name := drawName(t)
	delete(m.stored, name)
	if err := m.tier.Delete(canceled, name.ID()); err != nil {
		t.Fatal(err)
	}
}

func (m *model) purge(t *rapid.T) {
	scope := drawName(t).Scope
	for name := range m.stored {
		if name.Scope == scope {
			delete(m.stored, name)
		}
	}
	if err := m.tier.Purge(canceled, scope); err != nil {
		t.Fatal(err)
	}
}

func (m *model) write(t *rapid.T) {
	if e := m.stored[drawName(t)]; e != nil {
		e.MarkClean()
	}
}

func (m *model) letGo(*rapid.T) {
	if len(m.held) > 0 {
		m.held[0].Release()
		m.held = m.held[1:]
	}
}

func (m *model) passTime(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
}

func (m *model) check(t *rapid.T) {
	checkInvariants(t, m.tier)
	if len(m.unknown) > 0 {
		t.Fatalf("heard of the eviction of %v, not stored or evicted before", m.unknown)
	}
	for _, e := range m.held {
		if err := tiertest.Check(e); err != nil {
			t.Fatalf("a reader's embedding changed: %v", err)
		}
	}
	stats := m.tier.Stats()
	if stats.Entries != int64(len(m.stored)) {
		t.Fatalf("%d entries, the model has %d", stats.Entries, len(m.stored))
	}
	var evicted uint64
	for reason, n := range stats.Evictions {
		if reason != tiers.EvictedPurged {
			evicted += n
		}
	}
	if evicted != m.evicted || stats.Evictions[tiers.EvictedUnwritten] != m.unwritten {
		t.Fatalf("evictions %v, heard of %d, of them %d unwritten", stats.Evictions, m.evicted, m.unwritten)
	}
	if got := len(m.tier.Recency()); got != len(m.stored) {
		t.Fatalf("recency lists %d of %d", got, len(m.stored))
	}
}

// canceled is a context that has ended: Reserve evicts what it can and does not wait.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// TestModel drives a tier of 64 units with any sequence of operations, with hashes that collide always, often
// and never: a get is what the model says, evictions are heard of once, references keep bytes, and all memory
// comes back.
func TestModel(t *testing.T) {
	hashes := []hashFunc{seededHash(), collide, fewHashes}
	rapid.Check(t, func(t *rapid.T) {
		memory, err := arena.New(arena.Options{Bytes: 64 * arena.Unit, Poison: true})
		if err != nil {
			t.Fatal(err)
		}
		m := &model{now: time.Unix(1e9, 0), stored: make(map[tiers.Name]*tiers.Embedding)}
		m.tier, err = newTier(Options{
			Arena:   memory,
			Evicted: m.hear,
			Now:     func() time.Time { return m.now },
		}, hashes[rapid.IntRange(0, len(hashes)-1).Draw(t, "hash")])
		if err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "put more": m.put, "put even more": m.put,
			"get": m.get, "get more": m.get,
			"delete": m.remove, "purge": m.purge, "write": m.write,
			"let go": m.letGo, "pass time": m.passTime,
			"": m.check,
		})
		m.close(t, memory)
	})
}

// close ends the tier under its readers' eyes and demands all memory back.
func (m *model) close(t *rapid.T, memory *arena.Arena) {
	if err := m.tier.Close(); err != nil {
		t.Fatal(err)
	}
	for _, e := range m.held {
		if err := tiertest.Check(e); err != nil {
			t.Fatalf("a reader's embedding changed at close: %v", err)
		}
		e.Release()
	}
	if err := memory.Close(); err != nil {
		t.Fatalf("embeddings were leaked: %v", err)
	}
}
