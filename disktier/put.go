package disktier

import (
	"context"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/tiers"
)

const (
	// maxPuts bounds the Puts that wait for the committer, also those whose callers gave up: a few batches.
	maxPuts = 1024
	// stallPatience is how long the index may wait for the disk before Puts are refused.
	stallPatience = 2 * time.Second
)

// Reasons in Stats.Refusals.
const (
	refusedReadOnly = "read_only"
	refusedTooLarge = "too_large"
	refusedStalled  = "index_stalled"
	refusedNoSpace  = "no_space"
	refusedIOError  = "io_error"
)

// Put implements tiers.Tier: when it returns nil the embedding survives kill -9. When ctx ends early the embedding lands
// whole or not at all.
func (t *Tier) Put(ctx context.Context, e *tiers.Embedding) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	units := unitsOf(e.Meta.Size)
	if err := t.accepts(units); err != nil {
		return err
	}
	runs, err := t.reserve(ctx, units)
	if err != nil {
		return t.refuse(refusedNoSpace, err)
	}
	syncFailures := t.syncFailures.Load()
	if err := t.blocks.write(runs, e.Blocks()); err != nil {
		t.ioErrors.Add(1)
		t.mu.Lock()
		t.space.quarantine(runs)
		t.space.arrived(units)
		t.fault(e.ID)
		t.mu.Unlock()
		t.log.Error("write failed", "error", err)
		return t.refuse(refusedIOError, fmt.Errorf("%w: write value: %v", tiers.ErrUnavailable, err))
	}
	n := &node{id: e.ID, scope: &scope{Scope: e.Name.Scope}, runs: runs, size: e.Meta.Size, heapIndex: -1}
	if !e.Meta.Expires.IsZero() {
		n.expires = expiryAt(t.clock(), e.Meta.Expires.Sub(t.opts.Now()))
	}
	t.mu.Lock()
	o := t.enqueue(&op{kind: opPut, id: e.ID, node: n, name: e.Name, meta: e.Meta, syncFailures: syncFailures})
	t.mu.Unlock()
	return o.wait(ctx)
}

// accepts refuses what cannot be stored now, before any work is done for it.
func (t *Tier) accepts(units int64) error {
	t.mu.Lock()
	readOnly, putting := t.health.readOnly, t.putting
	t.mu.Unlock()
	switch {
	case readOnly != "":
		return t.refuse(refusedReadOnly, fmt.Errorf("%w: disk tier is read-only: %s", tiers.ErrUnavailable, readOnly))
	case units > t.blocks.capacity/unitBytes:
		return t.refuse(refusedTooLarge, fmt.Errorf("%w: %d units of 64 KiB on disk", tiers.ErrTooLarge, units))
	case putting >= maxPuts || t.index.Load().fs.stalledFor() > stallPatience:
		return t.refuse(refusedStalled, fmt.Errorf("%w: the index waits for the disk", tiers.ErrUnavailable))
	}
	return nil
}

// refuse counts a Put that was not taken and returns err.
func (t *Tier) refuse(reason string, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counters.refusals[reason]++
	return err
}
