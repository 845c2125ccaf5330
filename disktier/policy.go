package disktier

import (
	"encoding/binary"

	"github.com/keepsight/keepsight/tiers"
)

// maxUses saturates a node's use counter: two bits, as in the S3-FIFO paper (Yang et al., SOSP 2023).
const maxUses = 3

// policy is S3-FIFO by bytes: new values enter a small queue that gets a tenth of the capacity; what is used
// there, or comes back soon after it was evicted, enters the main queue, which gives each use another round. So a
// scan of values that nobody asks for again passes through the small queue and leaves the rest alone, and a read only
// counts in memory. It is guarded by Tier.mu.
type policy struct {
	small, main queue
	ghosts      ghosts
	smallUnits  int64 // the small queue's share
}

func newPolicy(capacityUnits int64) policy {
	return policy{smallUnits: capacityUnits / 10}
}

func (p *policy) add(n *node) {
	if p.ghosts.forget(n.id) {
		p.main.push(n)
	} else {
		p.small.push(n)
	}
}

// replace puts n in the place of a node of the same id.
func (p *policy) replace(old, n *node) {
	q := old.queue
	q.remove(old)
	q.push(n)
	n.uses = old.uses
}

func (p *policy) remove(n *node) { n.queue.remove(n) }

func (p *policy) use(n *node) { n.uses = min(n.uses+1, maxUses) }

// victim returns the node that should go next, or nil when all are pinned.
func (p *policy) victim() *node {
	p.ghosts.limit = max(minGhosts, p.main.count)
	if p.small.units > p.smallUnits {
		if n := p.scanSmall(); n != nil {
			return n
		}
	}
	if n := p.scanMain(); n != nil {
		return n
	}
	if n := p.scanSmall(); n != nil {
		return n
	}
	return p.scanMain() // what was used in the small queue is there now
}

// scanSmall returns the oldest value of the small queue that was not used, and moves those that were to the main queue.
func (p *policy) scanSmall() *node {
	for range p.small.count {
		n := p.small.tail
		if n.uses == 0 && n.pins == 0 {
			p.ghosts.remember(n.id)
			return n
		}
		p.small.remove(n)
		n.uses = 0
		p.main.push(n)
	}
	return nil
}

// scanMain returns the oldest value of the main queue whose uses have worn off.
func (p *policy) scanMain() *node {
	for range p.main.count * (maxUses + 1) {
		n := p.main.tail
		if n.uses == 0 && n.pins == 0 {
			return n
		}
		p.main.remove(n)
		n.uses = max(n.uses, 1) - 1
		p.main.push(n)
	}
	return nil
}

// A queue is a FIFO of nodes: pushed at the head, evicted from the tail.
type queue struct {
	head, tail *node
	count      int
	units      int64
}

func (q *queue) push(n *node) {
	n.queue, n.prev, n.next = q, nil, q.head
	if q.head != nil {
		q.head.prev = n
	} else {
		q.tail = n
	}
	q.head = n
	q.count++
	q.units += n.units()
}

func (q *queue) remove(n *node) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		q.head = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		q.tail = n.prev
	}
	n.queue, n.prev, n.next = nil, nil, nil
	q.count--
	q.units -= n.units()
}

// minGhosts is how many evicted ids are remembered at least, so that a small tier learns too.
const minGhosts = 1024

// ghosts remembers the ids that left the small queue last, by 64 bits of each: a collision only puts one
// value into the other queue.
type ghosts struct {
	limit int
	known map[uint64]bool
	order []uint64 // oldest first; may hold ids that were forgotten since
}

func ghostKey(id tiers.ID) uint64 { return binary.LittleEndian.Uint64(id[:]) }

func (g *ghosts) remember(id tiers.ID) {
	if g.known == nil {
		g.known = map[uint64]bool{}
	}
	for len(g.order) >= g.limit {
		delete(g.known, g.order[0])
		g.order = g.order[1:]
	}
	g.known[ghostKey(id)] = true
	g.order = append(g.order, ghostKey(id))
}

// forget reports whether id was remembered.
func (g *ghosts) forget(id tiers.ID) bool {
	known := g.known[ghostKey(id)]
	delete(g.known, ghostKey(id))
	return known
}
