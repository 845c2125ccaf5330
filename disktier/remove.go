package disktier

import (
	"context"

	"github.com/keepsight/keepsight/tiers"
)

// Delete implements tiers.Tier. The embedding is gone for readers at once, and after kill -9 too when
// Delete returns nil. Until a removal that failed has succeeded, Delete of its id tries it again.
func (t *Tier) Delete(ctx context.Context, id tiers.ID) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	t.mu.Lock()
	n := t.stored.nodes[id]
	if n == nil && t.queued[id] == nil && !t.undead[id] {
		t.mu.Unlock()
		return nil
	}
	if n != nil {
		t.retire(n)
	}
	// Something queued earlier may still publish the id or remove its record: this follows both.
	o := t.enqueue(&op{kind: opRemove, id: id, node: n})
	o.before = o.sequence
	t.mu.Unlock()
	return o.wait(ctx)
}

// Purge implements tiers.Purger.
func (t *Tier) Purge(ctx context.Context, s tiers.Scope) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	// The barrier fails, however little there is to purge, while a removal that failed before may leave its record behind.
	// What was queued before is published before the first round ends; the second takes it. What comes later is left alone:
	// a writer of the scope could keep the purge busy for ever.
	t.mu.Lock()
	barrier := t.enqueue(&op{kind: opRemove, before: 0})
	t.mu.Unlock()
	if err := t.purge(ctx, s, barrier.sequence); err != nil {
		return err
	}
	if err := barrier.wait(ctx); err != nil {
		return err
	}
	return t.purge(ctx, s, barrier.sequence)
}

// maxDrops bounds the removals that are queued at a time when much has to go: each takes 600 bytes of memory, and
// whoever comes next waits for all of them.
const maxDrops = 1024

// purge removes what is live in the scope and older than before. An error of the index does not end it early: what
// cannot be removed durably is at least not found any more.
func (t *Tier) purge(ctx context.Context, s tiers.Scope, before uint64) (err error) {
	for {
		last := t.purgeSome(s, before)
		if last == nil {
			return err
		}
		if failed := last.wait(ctx); failed != nil {
			err = failed
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// purgeSome begins to remove up to maxDrops values, and returns the last removal, or nil when none is left.
func (t *Tier) purgeSome(s tiers.Scope, before uint64) (last *op) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dropped := 0
	for _, n := range t.stored.nodes {
		if n.scope.Scope != s || n.sequence >= before {
			continue
		}
		last = t.drop(n, tiers.EvictedPurged)
		if dropped++; dropped == maxDrops {
			break
		}
	}
	return last
}

// Pin implements tiers.Disk.
func (t *Tier) Pin(id tiers.ID) bool {
	now := t.clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.stored.nodes[id]
	if n == nil || n.expired(now) {
		return false
	}
	t.stored.pin(n)
	return true
}

// Unpin implements tiers.Disk.
func (t *Tier) Unpin(id tiers.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.stored.nodes[id]; n != nil && n.pins > 0 {
		t.stored.unpin(n)
	}
}

// Epochs implements tiers.Disk.
func (t *Tier) Epochs() []tiers.Scope {
	t.mu.Lock()
	defer t.mu.Unlock()
	epochs := make([]tiers.Scope, 0, len(t.epochs))
	for s, epoch := range t.epochs {
		s.Epoch = epoch
		epochs = append(epochs, s)
	}
	return epochs
}

// SaveEpoch implements tiers.Disk.
func (t *Tier) SaveEpoch(ctx context.Context, s tiers.Scope) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	t.mu.Lock()
	o := t.enqueue(&op{kind: opEpoch, scope: s})
	t.mu.Unlock()
	return o.wait(ctx)
}

// scopeOfEpoch is s without its epoch: what has an epoch.
func scopeOfEpoch(s tiers.Scope) tiers.Scope {
	s.Epoch = 0
	return s
}
