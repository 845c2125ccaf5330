package disktier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/tiers"
)

// maxReaders bounds the values that are read at a time: on the disk measured, eight readers doubled the
// p99 of four for no more bytes per second.
const maxReaders = 4

// Get implements tiers.Tier.
func (t *Tier) Get(ctx context.Context, id tiers.ID) (*tiers.Embedding, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.leave()
	n, r, err := t.find(id, true)
	if err != nil {
		return nil, err
	}
	defer t.unref(n)
	select {
	case <-t.readers:
		defer func() { t.readers <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	extent, err := t.opts.Reserve(ctx, n.size)
	if err != nil {
		return nil, fmt.Errorf("read value: %w", err)
	}
	payload := extent.Bytes()[:tiers.RoundToBlock(n.size)]
	sum, err := t.blocks.readSum(n.runs, payload, n.size)
	if err != nil {
		extent.Free()
		t.ioErrors.Add(1)
		return nil, t.damaged(n, fmt.Sprintf("read failed: %v", err))
	}
	if sum != r.meta.Sum {
		extent.Free()
		return nil, t.damaged(n, "checksum differs")
	}
	t.mu.Lock()
	t.counters.hits++
	t.counters.readBytes += uint64(n.size)
	t.mu.Unlock()
	e := tiers.NewEmbedding(r.name, t.metaOf(n, r), extent)
	e.MarkClean()
	return e, nil
}

// Stat implements tiers.Tier.
func (t *Tier) Stat(_ context.Context, id tiers.ID) (tiers.Name, tiers.Meta, error) {
	if err := t.enter(); err != nil {
		return tiers.Name{}, tiers.Meta{}, err
	}
	defer t.leave()
	n, r, err := t.find(id, false)
	if err != nil {
		return tiers.Name{}, tiers.Meta{}, err
	}
	defer t.unref(n)
	return r.name, t.metaOf(n, r), nil
}

// metaOf returns the record's meta with the end of its TTL by the tier's clock.
func (t *Tier) metaOf(n *node, r record) tiers.Meta {
	meta := r.meta
	if n.expires != 0 {
		meta.Expires = t.start.Add(n.expires)
	}
	return meta
}

// find returns the live node of id, with a reference that unref gives back, and its record. A Get counts
// as a use and, when it fails, as a miss.
//
// Directory and index are read one after the other, and the committer may come in between:
//
//	find: takes node 1
//	                        committer: applies the record of node 2, or the deletion
//	find: reads record 2, or none
//	                        committer: publishes
//
// So a record that is not the node's is looked at again if the directory has moved on. If it has not,
// the committer is about to publish, and its lock orders the next look after that: see settle.
func (t *Tier) find(id tiers.ID, get bool) (*node, record, error) {
	for {
		n := t.ref(id, get)
		if n == nil {
			return nil, record{}, tiers.ErrNotFound
		}
		x := t.index.Load()
		r, err := x.get(id)
		if err == nil && r.sequence == n.sequence {
			return n, r, nil
		}
		if err == nil || errors.Is(err, errNoRecord) || errors.Is(err, tiers.ErrClosed) {
			if t.settle(n) {
				t.unref(n)
				continue
			}
			err = errNoRecord
		}
		defer t.unref(n)
		return nil, record{}, t.unreadable(n, x, err)
	}
}

// ref takes a reference on the live node of id, or returns nil.
func (t *Tier) ref(id tiers.ID, get bool) *node {
	now := t.clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.stored.nodes[id]
	if n == nil || n.expired(now) {
		if get {
			t.counters.misses++
		}
		return nil
	}
	n.refs++
	if get {
		t.policy.use(n)
	}
	return n
}

// expired reports whether the TTL is over; a pin keeps the value readable beyond it.
func (n *node) expired(now time.Duration) bool {
	return n.expires != 0 && n.expires <= now && n.pins == 0
}

func (t *Tier) unref(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.refs--
	t.reclaim(n)
}

// settleTime is how long a read waits for a commit of the same id that it met halfway. It takes a millisecond,
// unless the disk is full; then the read is a miss.
const settleTime = 100 * time.Millisecond

// settle reports whether it is worth looking again for n's id, whose record was not that of n.
func (t *Tier) settle(n *node) bool {
	t.mu.Lock()
	moved, last := t.stored.nodes[n.id] != n, t.queued[n.id]
	t.mu.Unlock()
	if moved {
		return true
	}
	if last == nil {
		// Nothing is on its way. Either it arrived between the two looks at index and directory, or the index
		// lost the record; asking it again tells, unless it cannot be read now.
		r, err := t.index.Load().get(n.id)
		return err == nil && r.sequence == n.sequence || err != nil && !errors.Is(err, errNoRecord)
	}
	timeout := time.NewTimer(settleTime)
	defer timeout.Stop()
	select {
	case <-last.done:
		return true
	case <-timeout.C:
		return false
	}
}
