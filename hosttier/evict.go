package hosttier

import (
	"container/list"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

const (
	// storedShare is how much of the arena, in percent, embeddings may take before a put trims the nursery:
	// the main segment's 55 and the nursery's 25. Bodies in flight find the rest free.
	storedShare = 80

	// trimSteps bounds the entries that one put looks at. A put adds one entry, so a few steps keep up; when
	// the whole nursery turns out to be in demand, moving it to ristretto (3 µs each) spreads over many puts.
	trimSteps = 64

	// reserveSteps bounds the entries of the nursery that Reserve looks at before it turns elsewhere: 0.2 ms. With
	// a writer that has stopped, each put would otherwise walk past everything unwritten (4 ms for 25,000).
	reserveSteps = 1024

	// minGhosts keeps the ghost list useful while few entries are stored.
	minGhosts = 64
)

// deleted is the reason for leaving that is no eviction.
const deleted = ""

// remove takes the entry out of the index and out of ristretto, unless it has left before. The caller holds
// evicting.
func (t *Tier) remove(e *entry, reason string) {
	t.mu.Lock()
	from := e.segment
	if from != gone {
		t.unlink(e)
		t.count(e, reason)
	}
	t.mu.Unlock()
	switch from {
	case gone:
		return
	case main:
		// The slot made sure that what ristretto has under this hash is this entry.
		t.policy.Del(e.embedding.ID[:])
		t.policy.Wait()
	}
	e.embedding.Release()
}

// count records why an entry left. The caller holds mu.
func (t *Tier) count(e *entry, reason string) {
	if reason == deleted {
		return
	}
	t.evictions[reason]++
	if reason != tiers.EvictedPurged && t.evicted != nil {
		t.departed = append(t.departed, e.embedding.Name)
	}
}

// announce tells Evicted of what left.
func (t *Tier) announce() {
	t.mu.RLock()
	none := len(t.departed) == 0 // after most gets: they must not exclude each other
	t.mu.RUnlock()
	if none {
		return
	}
	t.mu.Lock()
	departed := t.departed
	t.departed = nil
	t.mu.Unlock()
	for _, name := range departed {
		t.evicted(name)
	}
}

func (t *Tier) stored() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.storedBytes
}

// trim makes the nursery give way once embeddings take more than their share.
func (t *Tier) trim() {
	if t.within() {
		return
	}
	t.evicting.Lock()
	defer t.evicting.Unlock()
	t.evictNursery(trimSteps, t.within)
	if t.heavy() { // the nursery was in demand: what is left to give way is further in
		t.evictMain(func() bool { return !t.heavy() })
	}
	if t.heavy() {
		t.evictUnwritten(func() bool { return !t.heavy() })
	}
}

// heavy reports whether entries take more of the heap than they may.
func (t *Tier) heavy() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.heap > 0 && t.heapBytes > t.heap
}

// within reports whether entries take no more of the arena and of the heap than they should.
func (t *Tier) within() bool {
	return t.stored() <= t.arena.Size()*storedShare/100 && !t.heavy()
}

// walk visits a segment from its tail until visit returns false. visit may take out the entry it is given,
// and change the segment in no other way; puts may add entries in front meanwhile. The caller holds evicting.
func (t *Tier) walk(s segment, visit func(*entry) bool) {
	step := func(place func() *list.Element) *list.Element {
		t.mu.RLock()
		defer t.mu.RUnlock()
		return place()
	}
	for at := step(t.orders[s].Back); at != nil; {
		e := at.Value.(*entry)
		at = step(at.Prev) // before visit takes the place out of the order
		if !visit(e) {
			return
		}
	}
}

// evictNursery moves on or drops the clean entries of the nursery's tail until done, looking at steps entries
// at most. What is not clean is passed over: the writer goes from the tail too and is soon past it.
func (t *Tier) evictNursery(steps int, done func() bool) {
	t.walk(nursery, func(e *entry) bool {
		if steps == 0 || done() {
			return false
		}
		steps--
		switch {
		case t.expired(e):
			t.remove(e, tiers.EvictedExpired)
		case !e.embedding.Clean():
		case e.uses.Load() > 0 || e.wasGhost || !e.embedding.Idle():
			t.promote(e) // in use right now is used, and dropping it would free nothing
		default:
			t.drop(e)
		}
		return true
	})
}

// drop evicts an entry and remembers its id. The reason tells a loss of an encoder's work from what costs a
// read of the next tier.
func (t *Tier) drop(e *entry) {
	reason := tiers.EvictedCapacity
	if !e.embedding.Clean() {
		reason = tiers.EvictedUnwritten
	}
	t.remove(e, reason)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ghosts.add(e.embedding.ID, max(minGhosts, len(t.entries)))
}

// evictMain drops entries of the main segment until done. Ristretto evicts for a newcomer only, so this is our
// own choice: a clock over the entries, on which a use gives one more turn. It runs when the nursery's tail has
// nothing clean to drop, that is when bodies in flight or a lagging writer take more than their share.
func (t *Tier) evictMain(done func() bool) {
	for range maxUses + 1 {
		t.walk(main, func(e *entry) bool {
			if done() {
				return false
			}
			switch uses := e.uses.Load(); {
			case !e.embedding.Idle():
			case uses > 0:
				e.uses.Store(uses - 1)
			default:
				t.drop(e)
			}
			return true
		})
	}
}

// evictUnwritten drops the oldest entries that the next tier has no copy of, until done.
func (t *Tier) evictUnwritten(done func() bool) {
	t.walk(nursery, func(e *entry) bool {
		if done() {
			return false
		}
		if e.embedding.Idle() {
			t.drop(e)
		}
		return true
	})
}

// evictBytes drops entries until size bytes are free, together or not, and reports whether it got there.
func (t *Tier) evictBytes(size int64) bool {
	enough := func() bool { return t.arena.Size()-t.arena.Used() >= size }
	t.evictNursery(reserveSteps, enough)
	t.evictMain(enough)
	t.evictUnwritten(enough)
	return enough()
}

// evictWindow drops the entries that stand in the way of one extent of size bytes: those in the cheapest
// window of the arena in which each extent belongs to an entry that nobody reads and that droppable agrees
// with. It reports whether there is such a window.
func (t *Tier) evictWindow(size int64, droppable func(*entry) bool) bool {
	extents, ok := t.arena.Window(size, func(x *arena.Extent) bool {
		e, stored := x.Owner().(*entry)
		return stored && e.embedding.Idle() && droppable(e)
	})
	for _, x := range extents {
		// Nobody but us takes entries out while we hold evicting, so the owner is still there.
		if e, stored := x.Owner().(*entry); stored {
			t.drop(e)
		}
	}
	return ok
}
