package disktier

import (
	"container/heap"
	"time"

	"github.com/keepsight/keepsight/tiers"
)

// A node is what memory knows of one stored value, about 200 bytes with its map entry. Its fields are guarded by Tier.mu, but for
// those that do not change once it is live: id, scope, runs, size and sequence.
//
// A node is live while the directory holds it, then dying until the record that names its runs is durably gone
// (unindexed) and no reader is left (refs is 0); then its runs are free, or quarantined if damaged.
type node struct {
	id       tiers.ID
	scope    *scope
	runs     []run
	size     int64
	sequence uint64

	expires   time.Duration // on the tier's clock; 0: never
	heapIndex int           // in the expiry heap, -1: not there

	queue      *queue // of the replacement policy; nil unless live
	prev, next *node
	uses       uint8

	refs      int32 // readers
	pins      int32
	unindexed bool
	damaged   bool
}

func (n *node) units() int64 { return unitsOf(n.size) }

// maxTTL bounds how long a value is kept: as good as forever, and far from where durations and the Unix nanoseconds of
// a record overflow.
const maxTTL = 100 * 365 * 24 * time.Hour

// expiryAt returns node.expires of a value that at clock has rest of its TTL left.
func expiryAt(clock, rest time.Duration) time.Duration { return max(clock+min(rest, maxTTL), 1) }

// A scope counts what is stored in one tiers.Scope; the live nodes of it share it.
type scope struct {
	tiers.Scope
	tiers.Usage
}

// directory is what is stored: nodes by id, their scopes, and those that expire. It is guarded by Tier.mu.
type directory struct {
	nodes  map[tiers.ID]*node
	scopes map[tiers.Scope]*scope
	expiry expiryHeap
	pinned int64 // units of nodes that have a pin
}

func newDirectory(size int) directory {
	return directory{nodes: make(map[tiers.ID]*node, size), scopes: map[tiers.Scope]*scope{}}
}

func (d *directory) add(n *node) {
	if n.scope.Entries == 0 { // one of its own, not shared yet
		if shared := d.scopes[n.scope.Scope]; shared != nil {
			n.scope = shared
		} else {
			d.scopes[n.scope.Scope] = n.scope
		}
	}
	n.scope.Entries++
	n.scope.Bytes += n.size
	d.nodes[n.id] = n
	if n.pins > 0 {
		d.pinned += n.units()
	}
	if n.expires != 0 {
		d.schedule(n)
	}
}

func (d *directory) schedule(n *node)   { heap.Push(&d.expiry, n) }
func (d *directory) unschedule(n *node) { heap.Remove(&d.expiry, n.heapIndex) }

func (d *directory) pin(n *node) {
	if n.pins++; n.pins == 1 {
		d.pinned += n.units()
	}
}

func (d *directory) unpin(n *node) {
	if n.pins--; n.pins == 0 {
		d.pinned -= n.units()
	}
}

func (d *directory) remove(n *node) {
	delete(d.nodes, n.id)
	if n.pins > 0 {
		d.pinned -= n.units()
	}
	n.scope.Bytes -= n.size
	if n.scope.Entries--; n.scope.Entries == 0 {
		delete(d.scopes, n.scope.Scope)
	}
	if n.heapIndex >= 0 {
		d.unschedule(n)
	}
}

// expiryHeap orders nodes by when they expire.
type expiryHeap []*node

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *expiryHeap) Push(x any) {
	n := x.(*node)
	n.heapIndex = len(*h)
	*h = append(*h, n)
}

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	n.heapIndex = -1
	return n
}
