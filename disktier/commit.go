package disktier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/keepsight/keepsight/tiers"
)

// sweepInterval is how late an expired value may be removed; to readers it is a miss on time.
const sweepInterval = time.Second

// commitLoop is the committer: the only goroutine that writes to the index.
func (t *Tier) commitLoop() {
	defer close(t.done)
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		if ops := t.takeQueue(); len(ops) > 0 {
			t.commit(ops)
			select {
			case <-sweep.C: // the queue of a busy tier may never be empty
				t.sweep()
			default:
			}
			continue
		}
		select {
		case <-t.wake:
		case <-sweep.C:
			t.sweep()
		case <-t.brokenIndex():
			t.rewrite()
		case <-t.finish:
			t.drain() // no call is left that could enqueue
			return
		}
	}
}

// drain commits all that is queued.
func (t *Tier) drain() {
	t.mu.Lock()
	t.urgent = true
	t.mu.Unlock()
	for ops := t.takeQueue(); len(ops) > 0; ops = t.takeQueue() {
		t.commit(ops)
	}
}

// commit makes a batch of operations durable and publishes them.
func (t *Tier) commit(ops []*op) {
	t.nameEvicted(ops)
	t.syncBlocks(ops)
	for _, name := range t.publish(ops, t.apply(ops)) {
		t.opts.Evicted(name)
	}
}

// nameEvicted reads the names of what the batch evicts, while the index still has them.
func (t *Tier) nameEvicted(ops []*op) {
	if t.opts.Evicted == nil {
		return
	}
	for _, o := range ops {
		if o.evicted == "" || o.evicted == tiers.EvictedPurged {
			continue
		}
		if r, err := t.index.Load().get(o.id); err == nil && r.sequence == o.node.sequence {
			o.name = r.name
		}
	}
}

// syncBlocks makes the values of the batch durable. A sync that fails is counted, and every Put whose write had begun
// by then fails, also those of later batches: the next sync may succeed without having written what this one did not.
func (t *Tier) syncBlocks(ops []*op) {
	touched := map[int]bool{}
	for _, o := range ops {
		if o.kind == opPut {
			t.blocks.touched(o.node.runs, touched)
		}
	}
	for i := range touched {
		if err := t.blocks.files[i].Datasync(); err != nil {
			t.syncFailures.Add(1)
			t.ioErrors.Add(1)
			t.log.Error("sync of a block file failed", "file", blockName(i), "error", err)
		}
	}
}

// unsynced reports whether the operation's value may not be durable after syncBlocks.
func (t *Tier) unsynced(o *op) bool {
	return o.kind == opPut && o.syncFailures != t.syncFailures.Load()
}

// apply writes the batch to the index, durably. When the index turns out to be broken it is rewritten and the
// batch applied to the new one.
func (t *Tier) apply(ops []*op) error {
	if err := t.writable(); err != nil {
		return err
	}
	fill := func(b *pebble.Batch) error { return t.fill(b, ops) }
	err := t.index.Load().apply(fill)
	if err == nil {
		return nil
	}
	if t.index.Load().fs.frozen() {
		return fmt.Errorf("%w: %v", tiers.ErrNotDurable, err)
	}
	if err := t.rewrite(); err != nil {
		return fmt.Errorf("%w: %v", tiers.ErrNotDurable, err)
	}
	if err := t.index.Load().apply(fill); err != nil {
		return fmt.Errorf("%w: %v", tiers.ErrNotDurable, err)
	}
	return nil
}

var errIndexLost = errors.New("the index is lost")

// writable returns an error when the index was given up.
func (t *Tier) writable() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.health.readOnly == reasonIndexLost {
		return fmt.Errorf("%w: %w", tiers.ErrNotDurable, errIndexLost)
	}
	return nil
}

// fill puts the operations into a batch, in order.
func (t *Tier) fill(b *pebble.Batch, ops []*op) error {
	latest := t.latest(ops)
	var value []byte
	for _, o := range ops {
		var err error
		switch {
		case t.unsynced(o):
		case o.kind == opPut:
			latest[o.id] = o.sequence
			value = appendRecord(value[:0], o.id, t.recordOf(o))
			err = b.Set(recordKey(o.id), value, nil)
		case o.kind == opRemove && latest[o.id] < o.before:
			err = b.Delete(recordKey(o.id), nil)
		case o.kind == opEpoch:
			err = b.Set(epochKey(o.scope), binary.LittleEndian.AppendUint64(nil, o.scope.Epoch), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// latest returns the sequence of the record that the index holds for each id of the batch, as far as it must
// not be removed: that of the live node. An eviction may be overtaken:
//
//	Put 2 of an id: queued
//	                        evictOne: takes node 1 of the same id, queues its removal
//	committer: applies and publishes 2
//	committer: comes to the removal, which must leave record 2 alone
func (t *Tier) latest(ops []*op) map[tiers.ID]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	latest := map[tiers.ID]uint64{}
	for _, o := range ops {
		if n := t.stored.nodes[o.id]; n != nil {
			latest[o.id] = n.sequence
		}
	}
	return latest
}

func (t *Tier) recordOf(o *op) record {
	r := record{name: o.name, meta: o.meta, runs: o.node.runs, sequence: o.sequence}
	if o.node.expires != 0 {
		r.expires = t.opts.Now().Add(o.node.expires - t.clock()).UnixNano()
	}
	return r
}

// publish ends the operations of a batch that is durable, or that failed with err. It returns the names of what
// was evicted and is not there again.
func (t *Tier) publish(ops []*op, err error) (evicted []tiers.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range ops {
		if o.err = err; err == nil && t.unsynced(o) {
			o.err = fmt.Errorf("%w: sync of a block file failed", tiers.ErrNotDurable)
		}
		if o.kind == opPut {
			t.putting--
		}
		switch {
		case o.err != nil:
			t.fail(o)
		case o.kind == opPut:
			t.publishPut(o.node)
		case o.kind == opRemove:
			t.publishRemove(o)
		case o.kind == opEpoch:
			t.epochs[scopeOfEpoch(o.scope)] = o.scope.Epoch
		}
		if t.queued[o.id] == o {
			delete(t.queued, o.id)
		}
		close(o.done)
		if o.evicted != "" && o.name.Key != "" && o.err == nil && t.stored.nodes[o.id] == nil {
			evicted = append(evicted, o.name)
		}
	}
	return evicted
}

// publishPut makes a node live, in the place of an older one of the same id.
func (t *Tier) publishPut(n *node) {
	t.counters.puts++
	t.counters.putBytes += uint64(n.size)
	delete(t.undead, n.id)
	t.space.arrived(n.units())
	old := t.stored.nodes[n.id]
	if old == nil {
		t.policy.add(n)
		t.stored.add(n)
		return
	}
	n.pins = old.pins
	t.policy.replace(old, n)
	t.stored.remove(old)
	t.stored.add(n)
	t.space.dying += old.units()
	t.unindexed(old) // its record was overwritten
}

// publishRemove frees what a removal took out of the directory, and what was published under its id since.
func (t *Tier) publishRemove(o *op) {
	if o.evicted != "" {
		t.counters.evictions[o.evicted]++
	}
	delete(t.undead, o.id)
	if o.node != nil {
		t.unindexed(o.node)
	}
	if n := t.stored.nodes[o.id]; n != nil && n.sequence < o.before {
		t.retire(n)
		t.unindexed(n)
	}
}

// fail gives up on an operation that may or may not be in the index. The extents that its record names must
// not be used again in this run: after a crash the record could be found and shown bytes that are not its own.
func (t *Tier) fail(o *op) {
	if o.node != nil && !t.unsynced(o) {
		t.undead[o.id] = true
	}
	switch {
	case o.kind == opPut:
		t.space.quarantine(o.node.runs)
		t.space.arrived(o.node.units())
		if errors.Is(o.err, tiers.ErrNotDurable) && t.health.readOnly == "" {
			t.fault(o.id)
		}
	case o.node != nil:
		o.node.damaged = true
		t.unindexed(o.node)
	}
}

// sweep removes what has outlived its TTL and what the directory has too much, as far as the queue takes it, and has
// evictions committed that nobody was in a hurry for.
func (t *Tier) sweep() {
	now := t.clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) > 0 {
		t.hurry()
	}
	var pinned []*node
	for len(t.stored.expiry) > 0 && t.stored.expiry[0].expires <= now && len(t.queue) < maxDrops {
		n := t.stored.expiry[0]
		if n.pins == 0 {
			t.drop(n, tiers.EvictedExpired)
			continue
		}
		t.stored.unschedule(n)
		pinned = append(pinned, n)
	}
	for _, n := range pinned {
		t.stored.schedule(n)
	}
	t.trim()
}
