package hosttier

import (
	"container/list"

	"github.com/keepsight/keepsight/tiers"
)

// ghosts remembers the ids dropped last. An id that comes back soon was dropped too early: it passes from the
// nursery to the main segment although nobody used it there, which is S3-FIFO's repair for a short FIFO.
type ghosts struct {
	places map[tiers.ID]*list.Element
	order  *list.List // of tiers.ID; newest in front
}

func newGhosts() ghosts {
	return ghosts{places: make(map[tiers.ID]*list.Element), order: list.New()}
}

// add remembers the id and forgets the oldest ones over limit.
func (g *ghosts) add(id tiers.ID, limit int) {
	g.take(id)
	g.places[id] = g.order.PushFront(id)
	for g.order.Len() > limit {
		g.take(g.order.Back().Value.(tiers.ID))
	}
}

// take forgets the id and reports whether it was remembered.
func (g *ghosts) take(id tiers.ID) bool {
	place, ok := g.places[id]
	if ok {
		g.order.Remove(place)
		delete(g.places, id)
	}
	return ok
}
