package hosttier

import (
	"cmp"
	"container/list"
	"slices"
	"sync/atomic"

	"github.com/keepsight/keepsight/tiers"
)

// A segment says where an entry is.
type segment uint8

const (
	gone segment = iota
	nursery
	main
)

// maxUses is where counting an entry's uses ends, as in S3-FIFO: more would only make a dead favourite
// survive more turns of the clock.
const maxUses = 3

// An entry is one embedding stored. It is never reused, so a stale pointer finds it gone and nothing else.
type entry struct {
	embedding *tiers.Embedding
	uses      atomic.Uint32

	// Guarded by Tier.mu.
	segment  segment
	place    *list.Element // in the order of its segment
	wasGhost bool          // it was dropped from the nursery a short while ago and came back
}

// use counts a use. Uses at the same moment may overshoot the maximum by a few, which harms nothing.
func (e *entry) use() {
	if e.uses.Load() < maxUses {
		e.uses.Add(1)
	}
}

func (e *entry) cost() int64 { return e.embedding.Extent().Len() }

// An index knows every entry stored. Its methods belong to Tier, which guards it with mu.
type index struct {
	entries map[tiers.ID]*entry
	orders  map[segment]*list.List // of *entry; newest in front
	ghosts  ghosts
	slots   map[uint64]*entry // the main segment by the hash that ristretto knows it by

	storedBytes int64 // extents of all entries
	heapBytes   int64 // what they take beside
	scopes      map[tiers.Scope]tiers.Usage
	puts        uint64
	putBytes    uint64
	evictions   map[string]uint64
	departed    []tiers.Name // evicted, not announced yet
}

func newIndex() index {
	return index{
		entries:   make(map[tiers.ID]*entry),
		orders:    map[segment]*list.List{nursery: list.New(), main: list.New()},
		ghosts:    newGhosts(),
		slots:     make(map[uint64]*entry),
		scopes:    make(map[tiers.Scope]tiers.Usage),
		evictions: make(map[string]uint64),
	}
}

// link stores the embedding at the head of the nursery, and reports false when another one has its id.
func (t *Tier) link(embedding *tiers.Embedding) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if stored := t.entries[embedding.ID]; stored != nil {
		return stored.embedding == embedding
	}
	e := &entry{embedding: embedding.Retain(), segment: nursery, wasGhost: t.ghosts.take(embedding.ID)}
	e.place = t.orders[nursery].PushFront(e)
	t.entries[embedding.ID] = e
	embedding.Extent().SetOwner(e)
	t.storedBytes += e.cost()
	t.heapBytes += embedding.HeapBytes()
	t.puts++
	t.putBytes += uint64(embedding.Meta.Size)
	t.addUsage(embedding, 1)
	return true
}

// unlink makes the entry invisible. The caller holds mu and releases the embedding once it no longer does.
func (t *Tier) unlink(e *entry) {
	if e.segment == main {
		hash, _ := t.hash(e.embedding.ID[:])
		delete(t.slots, hash)
	}
	t.orders[e.segment].Remove(e.place)
	e.segment, e.place = gone, nil
	delete(t.entries, e.embedding.ID)
	e.embedding.Extent().SetOwner(nil)
	t.storedBytes -= e.cost()
	t.heapBytes -= e.embedding.HeapBytes()
	t.addUsage(e.embedding, -1)
}

// addUsage counts the embedding in or out of its scope; an empty scope is forgotten.
func (t *Tier) addUsage(e *tiers.Embedding, sign int64) {
	usage := t.scopes[e.Name.Scope]
	usage.Entries += sign
	usage.Bytes += sign * e.Meta.Size
	if usage.Entries == 0 {
		delete(t.scopes, e.Name.Scope)
		return
	}
	t.scopes[e.Name.Scope] = usage
}

func (t *Tier) unlinkAll() []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*entry, 0, len(t.entries))
	for _, e := range t.entries {
		all = append(all, e)
		t.unlink(e)
	}
	return all
}

func (t *Tier) inScope(scope tiers.Scope) []*entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var found []*entry
	if _, ok := t.scopes[scope]; !ok {
		return nil
	}
	for _, e := range t.entries {
		if e.embedding.Name.Scope == scope {
			found = append(found, e)
		}
	}
	return found
}

// Recency implements [tiers.Host]: the main segment by use, then the nursery, newest first.
func (t *Tier) Recency() []tiers.ID {
	type used struct {
		id   tiers.ID
		uses uint32
	}
	t.mu.RLock()
	order := make([]used, 0, len(t.entries))
	for _, s := range []segment{main, nursery} {
		for place := t.orders[s].Front(); place != nil; place = place.Next() {
			e := place.Value.(*entry)
			order = append(order, used{e.embedding.ID, e.uses.Load()})
		}
	}
	mains := order[:t.orders[main].Len()]
	t.mu.RUnlock()

	slices.SortStableFunc(mains, func(a, b used) int { return cmp.Compare(b.uses, a.uses) })
	ids := make([]tiers.ID, len(order))
	for i, u := range order {
		ids[i] = u.id
	}
	return ids
}
