package disktier

import (
	"context"
	"math"

	"github.com/keepsight/keepsight/tiers"
)

// Delete implements tiers.Tier. The embedding is gone for readers at once, and after kill -9 too when
// Delete returns nil.
func (t *Tier) Delete(ctx context.Context, id tiers.ID) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	t.mu.Lock()
	n := t.stored.nodes[id]
	if n == nil && t.queued[id] == nil {
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
	// What was queued before is published before the first round ends; the second takes it.
	t.mu.Lock()
	barrier := t.enqueue(&op{kind: opRemove, before: 0})
	t.mu.Unlock()
	if err := t.purge(ctx, s, math.MaxUint64); err != nil {
		return err
	}
	if err := barrier.wait(ctx); err != nil {
		return err
	}
	return t.purge(ctx, s, barrier.sequence)
}

// purge removes what is live in the scope and older than before.
func (t *Tier) purge(ctx context.Context, s tiers.Scope, before uint64) error {
	var last *op
	t.mu.Lock()
	for _, n := range t.stored.nodes {
		if n.scope.Scope == s && n.sequence < before {
			last = t.drop(n, tiers.EvictedPurged)
		}
	}
	t.mu.Unlock()
	if last == nil {
		return nil
	}
	return last.wait(ctx)
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
	n.pins++
	return true
}

// Unpin implements tiers.Disk.
func (t *Tier) Unpin(id tiers.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.stored.nodes[id]; n != nil && n.pins > 0 {
		n.pins--
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
