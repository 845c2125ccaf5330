package hosttier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

const (
	// maxShare is the part of the arena that one embedding may take: 1/8.
	maxShare = 8

	// reserveWait is how long Reserve waits for memory in use to come back. Beyond it the caller is better off
	// being told: an image can be encoded again in less.
	reserveWait = 100 * time.Millisecond

	// reserveRetry is how often a waiting Reserve looks again. An extent freed wakes it at once, but a reader
	// that lets go of a stored embedding makes it evictable without freeing anything.
	reserveRetry = 5 * time.Millisecond
)

// Reserve implements [tiers.Host]. An embedding that could take more than an eighth of the arena is
// ErrTooLarge.
func (t *Tier) Reserve(ctx context.Context, size int64) (*arena.Extent, error) {
	switch largest := t.arena.Size() / maxShare; {
	case size <= 0:
		return nil, fmt.Errorf("%w: reserve %d bytes", tiers.ErrInvalid, size)
	case size > largest:
		t.tooLarge.Add(1)
		return nil, fmt.Errorf("%w: reserve %d bytes, allowed are %d", tiers.ErrTooLarge, size, largest)
	}
	if !t.enter() {
		return nil, tiers.ErrClosed
	}
	defer t.leave()
	if extent, err := t.allocFree(size); err == nil {
		return extent, nil
	}
	return t.allocWaiting(ctx, size)
}

// allocFree takes memory that is free. An eviction excludes it, so that what was evicted for a large extent is
// not taken piece by piece for small ones.
func (t *Tier) allocFree(size int64) (*arena.Extent, error) {
	t.evicting.RLock()
	defer t.evicting.RUnlock()
	return t.arena.Alloc(size)
}

// allocWaiting evicts, and waits for memory in use to come back while that does not help.
func (t *Tier) allocWaiting(ctx context.Context, size int64) (*arena.Extent, error) {
	ctx, cancel := context.WithTimeout(ctx, reserveWait)
	defer cancel()
	retry := time.NewTicker(reserveRetry)
	defer retry.Stop()
	for {
		freed := t.arena.Freed() // before the attempt, so that a Free right after it wakes us
		extent, err := t.allocEvicting(size)
		if err == nil {
			return extent, nil
		}
		select {
		case <-freed:
		case <-retry.C:
		case <-t.closing:
			return nil, tiers.ErrClosed
		case <-ctx.Done():
			t.noRoom.Add(1)
			return nil, fmt.Errorf("%w: reserve %d bytes: %w", tiers.ErrNoRoom, size, ctx.Err())
		}
	}
}

// allocEvicting makes room and takes it. Each round of its loop takes entries out or finds room that others
// freed, so it ends.
func (t *Tier) allocEvicting(size int64) (*arena.Extent, error) {
	t.evicting.Lock()
	defer t.evicting.Unlock()
	if !t.evictBytes(size) {
		return nil, arena.ErrFull
	}
	for {
		extent, err := t.arena.Alloc(size)
		if !errors.Is(err, arena.ErrFull) {
			return extent, err
		}
		if !t.evictWindow(size, isClean) && !t.evictWindow(size, isAny) {
			return nil, err
		}
	}
}

func isClean(e *entry) bool { return e.embedding.Clean() }
func isAny(*entry) bool     { return true }
