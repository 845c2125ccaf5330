package disktier

import (
	"context"

	"github.com/keepsight/keepsight/tiers"
)

type opKind int

const (
	opPut opKind = iota
	opRemove
	opEpoch
)

// An op is one change of the index, in the order of the queue. Its node's space is settled when it ends.
type op struct {
	kind opKind
	id   tiers.ID
	node *node // put: what becomes live; remove: what is dying, or nil

	name tiers.Name // put; evicted: what it was called, if the record says
	meta tiers.Meta // put

	syncFailures int64 // put: the count of failed syncs when the write of its value began

	before  uint64 // remove: records with a lower sequence go, newer ones stay
	evicted string // remove: the reason, if the tier itself chose it

	scope tiers.Scope // epoch

	sequence uint64
	err      error         // set before done is closed
	done     chan struct{} // closed when the change is durable, or failed
}

// wait returns what became of the operation, or ctx's error if that ends first.
func (o *op) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enqueue hands an operation to the committer. The caller holds t.mu: so the order of sequences is that of
// the queue, of the batches and of a node's turn in the directory.
func (t *Tier) enqueue(o *op) *op {
	t.sequence++
	o.sequence = t.sequence
	o.done = make(chan struct{})
	if o.kind == opPut {
		o.node.sequence = o.sequence
		t.putting++
	}
	t.queue = append(t.queue, o)
	t.queued[o.id] = o
	if o.evicted != tiers.EvictedCapacity {
		t.hurry()
	}
	return o
}

// hurry makes the committer take the queue. Evictions alone do not: that would cost a sync of their own, and until
// somebody waits for their space the next Put's will do. The caller holds t.mu.
func (t *Tier) hurry() {
	t.urgent = true
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// maxBatch bounds the operations of one batch, and so how long the first of them waits for the last.
const maxBatch = 256

// takeQueue takes the operations of the next batch off the queue.
func (t *Tier) takeQueue() []*op {
	limit := t.index.Load().maxBatchBytes()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.urgent {
		return nil
	}
	n, bytes := 0, 0
	for n < len(t.queue) && n < maxBatch && bytes < limit {
		o := t.queue[n]
		bytes += len(o.meta.Extra) + len(o.meta.Safetensors) + tiers.MaxKeyLen
		n++
	}
	ops := t.queue[:n:n]
	if t.queue = t.queue[n:]; len(t.queue) == 0 {
		t.queue, t.urgent = nil, false
	}
	return ops
}
