package disktier

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/keepsight/keepsight/tiers"
)

// brokenIndex returns a channel that is closed when the index needs to be rewritten, or nil when it was given up.
func (t *Tier) brokenIndex() <-chan struct{} {
	if t.writable() != nil {
		return nil
	}
	return t.index.Load().fs.broken
}

// rewrite copies the index into a new directory and puts that in the place of the broken one. What was synced
// without success may be lost on disk but is still there to be read: pebble was told that all is well, and
// reads go on meanwhile. Records that are lost end their nodes. If the old index cannot be read, which may pass, or the
// new one not be written, the tier is read-only from then on, with all that is in the old one. Only the committer calls it.
func (t *Tier) rewrite() error {
	old := t.index.Load()
	lost, fresh, err := t.copyIndex(old)
	if err != nil {
		t.log.Error("index cannot be rewritten, disk tier is read-only", "error", err)
		t.mu.Lock()
		t.health.readOnly = reasonIndexLost
		t.mu.Unlock()
		return errIndexLost
	}
	t.index.Store(fresh)
	old.fs.freeze()
	if err := errors.Join(old.close(), t.opts.FS.RemoveAll(old.dir)); err != nil {
		t.log.Warn("broken index is not removed", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.health.note(noteIndexRewrote)
	clear(t.undead)
	for _, n := range lost {
		if t.queued[n.id] == nil { // else the record of a newer value is on its way, and the old one's is overwritten
			t.counters.corruptions++
		}
		if n.queue != nil {
			t.counters.evictions[tiers.EvictedDamaged]++
			t.retire(n)
			t.unindexed(n)
		}
	}
	t.log.Warn("index was rewritten", "lost", len(lost))
	return nil
}

// copyIndex writes what is live into a new index. It returns the nodes whose records are lost.
func (t *Tier) copyIndex(old *index) (lost []*node, fresh *index, err error) {
	// A rewrite that was cut short may have left this one behind.
	if err := t.opts.FS.RemoveAll(t.indexDir(old.number + 1)); err != nil {
		return nil, nil, err
	}
	fresh, err = t.openIndex(old.number + 1)
	if err != nil {
		return nil, nil, err
	}
	defer fresh.fs.freezeAfter(patience)()
	nodes, epochs := t.indexed()
	copies := copier{old: old, fresh: fresh, batch: fresh.db.NewBatch()}
	for _, n := range nodes {
		if err == nil {
			err = copies.record(n)
		}
	}
	for _, s := range epochs {
		if err == nil {
			err = copies.set(epochKey(s), binary.LittleEndian.AppendUint64(nil, s.Epoch))
		}
	}
	if err = errors.Join(err, copies.flush()); err == nil {
		err = fresh.markComplete()
	}
	if err != nil {
		fresh.fs.freeze()
		return nil, nil, errors.Join(err, fresh.close(), t.opts.FS.RemoveAll(fresh.dir))
	}
	return copies.lost, fresh, nil
}

// indexed returns the nodes that the index should hold, in the order of the index, and the epochs.
func (t *Tier) indexed() ([]*node, []tiers.Scope) {
	epochs := t.Epochs()
	t.mu.Lock()
	defer t.mu.Unlock()
	nodes := make([]*node, 0, len(t.stored.nodes))
	for _, n := range t.stored.nodes {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b *node) int { return bytes.Compare(a.id[:], b.id[:]) })
	return nodes, epochs
}

// A copier fills a new index from an old one, in batches.
type copier struct {
	old, fresh *index
	batch      *pebble.Batch
	lost       []*node
}

func (c *copier) record(n *node) error {
	r, err := c.old.get(n.id)
	switch {
	case err != nil && !lostRecord(err):
		return err
	case err != nil || r.sequence != n.sequence:
		c.lost = append(c.lost, n)
		return nil
	}
	return c.set(recordKey(n.id), appendRecord(nil, n.id, r))
}

func (c *copier) set(key, value []byte) error {
	if err := c.batch.Set(key, value, nil); err != nil {
		return err
	}
	if c.batch.Len() < c.fresh.maxBatchBytes() {
		return nil
	}
	err := c.flush()
	c.batch = c.fresh.db.NewBatch()
	return err
}

// flush commits the batch without a sync: markComplete syncs the log, and with it all that came before.
func (c *copier) flush() error {
	defer c.batch.Close()
	if err := c.fresh.db.Apply(c.batch, pebble.NoSync); err != nil {
		return fmt.Errorf("copy index: %w", err)
	}
	return c.fresh.trusted()
}
