package disktier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
)

// space accounts for every unit that is held: free, quarantined, or used by a node that is live, dying or
// on its way in. It is guarded by Tier.mu.
type space struct {
	free        *freeSpace
	quarantined int64
	dying       int64         // used by nodes that left the directory and are not free yet
	incoming    int64         // used by nodes that are not live yet
	ahead       int64         // to keep free, so that a Put rarely waits for an eviction to become durable
	changed     chan struct{} // closed and replaced whenever dying or incoming falls

	full    bool          // the disk refused to give more
	retryAt time.Duration // when to ask it again
}

// aheadBytes bounds what is kept free ahead of need: eight of the usual large values.
const aheadBytes = 64 << 20

func newSpace(capacity int64) space {
	return space{
		free:    newFreeSpace(),
		ahead:   min(aheadBytes, capacity/32) / unitBytes,
		changed: make(chan struct{}),
	}
}

func (s *space) release(runs []run) {
	for _, r := range runs {
		s.free.add(r)
	}
}

// announce wakes the Put that waits for space: what it waited for has happened, or will not.
func (s *space) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// arrived notes that incoming units became part of a live node, or were given up.
func (s *space) arrived(units int64) {
	s.incoming -= units
	s.announce()
}

func (s *space) quarantine(runs []run) {
	for _, r := range runs {
		s.quarantined += int64(r.units)
	}
}

// reserve takes units out of the free space: growing the block files while the capacity allows, then
// evicting until they fit in maxRuns runs.
func (t *Tier) reserve(ctx context.Context, units int64) ([]run, error) {
	select {
	case <-t.reserving:
		defer func() { t.reserving <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.closing:
		return nil, tiers.ErrClosed
	}
	for {
		runs, changed, err := t.tryReserve(units)
		if runs != nil || err != nil {
			return runs, err
		}
		if changed == nil {
			t.grow()
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.closing:
			return nil, tiers.ErrClosed
		}
	}
}

// tryReserve takes units out of the free space, or evicts for them and returns a channel to wait for. It returns
// nothing at all when the block files may grow.
func (t *Tier) tryReserve(units int64) (runs []run, changed <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mayGrow() && units > t.evictable() {
		return nil, nil, fmt.Errorf("%w: no room beside what is pinned or damaged", tiers.ErrUnavailable)
	}
	switch fits := t.evictEntry(); {
	case !fits && len(t.queue) >= maxDrops:
		t.hurry()
		return nil, t.space.changed, nil
	case !fits:
		return nil, nil, fmt.Errorf("%w: all entries are pinned", tiers.ErrUnavailable)
	}
	if runs := t.space.free.alloc(units); runs != nil {
		t.space.incoming += units
		t.evictAhead()
		return runs, nil, nil
	}
	if t.mayGrow() {
		return nil, nil, nil
	}
	if !t.evictFor(units) {
		return nil, nil, fmt.Errorf("%w: nothing on disk may be evicted", tiers.ErrUnavailable)
	}
	return nil, t.space.changed, nil
}

// evictable returns how many units would be free if everything was evicted that may be.
func (t *Tier) evictable() int64 {
	return t.blocks.held/unitBytes - t.space.quarantined - t.stored.pinned
}

// evictFor evicts until enough units are free or dying, and reports whether there is anything to wait for. When
// enough are free already and yet do not fit, the space is fragmented: then as much again is evicted, which ends
// in one run at the latest when all is gone.
func (t *Tier) evictFor(units int64) bool {
	want := units
	if free := t.space.free.units; free >= units && t.space.dying == 0 {
		want = free + units
	}
	for t.space.free.units+t.space.dying < want && t.evictOne(tiers.EvictedCapacity) {
	}
	t.hurry()
	return t.space.dying > 0 || t.space.incoming > 0
}

// evictAhead starts evictions that nobody waits for yet: they become durable with the Put that they made room for.
func (t *Tier) evictAhead() {
	for !t.mayGrow() && t.space.free.units+t.space.dying < t.space.ahead && t.evictOne(tiers.EvictedCapacity) {
	}
}

// evictEntry makes the directory have room for one more entry, or returns false: all are pinned, or the queue takes
// no more removals now.
func (t *Tier) evictEntry() bool {
	for len(t.stored.nodes) >= t.opts.MaxEntries {
		if len(t.queue) >= maxDrops || !t.evictOne(tiers.EvictedCapacity) {
			return false
		}
	}
	return true
}

// trim brings the directory down to its bound, as far as the queue takes it: sweep goes on with what is left.
func (t *Tier) trim() {
	for len(t.stored.nodes) > t.opts.MaxEntries && len(t.queue) < maxDrops && t.evictOne(tiers.EvictedCapacity) {
	}
}

// evictOne makes the policy's next victim leave the directory and queues the deletion of its record.
func (t *Tier) evictOne(reason string) bool {
	n := t.policy.victim()
	if n == nil {
		return false
	}
	t.drop(n, reason)
	return true
}

// drop makes a live node leave the directory and queues the deletion of its record.
func (t *Tier) drop(n *node, reason string) *op {
	t.retire(n)
	return t.enqueue(&op{kind: opRemove, id: n.id, node: n, before: n.sequence + 1, evicted: reason})
}

// retire makes a live node dying.
func (t *Tier) retire(n *node) {
	t.stored.remove(n)
	t.policy.remove(n)
	t.space.dying += n.units()
}

// unindexed notes that no durable record names the runs of a dying node any more.
func (t *Tier) unindexed(n *node) {
	n.unindexed = true
	t.reclaim(n)
}

// reclaim frees the runs of a node that is gone from memory and index and that nobody reads.
func (t *Tier) reclaim(n *node) {
	if !n.unindexed || n.refs > 0 {
		return
	}
	t.space.dying -= n.units()
	if n.damaged {
		t.space.quarantine(n.runs)
	} else {
		t.space.release(n.runs)
	}
	t.space.announce()
}

const (
	// growthRetry is how soon a disk that was full is asked again.
	growthRetry = 10 * time.Second
	// diskReserve is what growing leaves of the disk, but at most a sixteenth of the capacity: the index must
	// be able to write when the values have taken all they can. (A ballast file would do the same for more code.)
	diskReserve = 256 << 20
)

// mayGrow reports whether more of the capacity can be had from the disk. The caller holds t.mu.
func (t *Tier) mayGrow() bool {
	return t.blocks.held < t.blocks.capacity && !(t.space.full && t.clock() < t.space.retryAt)
}

// grow takes one step of space from the disk. The caller holds the reserving token, so it is alone.
func (t *Tier) grow() {
	i, size := t.blocks.next()
	start := t.blocks.held
	added := int64(i)*t.blocks.blockBytes + size - start
	err := t.roomFor(added)
	if err == nil {
		err = t.blocks.resize(i, size)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if !t.space.full {
			t.log.Warn("disk tier cannot grow", "held_bytes", start, "error", err)
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.ioErrors.Add(1)
		}
		t.space.full, t.space.retryAt = true, t.clock()+growthRetry
		return
	}
	t.space.full = false
	t.blocks.held += added
	t.space.free.add(run{start: uint32(start / unitBytes), units: uint32(added / unitBytes)})
}

// roomFor returns ENOSPC if the disk would be left with less than the reserve.
func (t *Tier) roomFor(bytes int64) error {
	usage, err := t.opts.FS.GetDiskUsage(t.dir)
	if err != nil {
		return nil // not every file system says; fallocate will
	}
	if int64(usage.AvailBytes) < bytes+min(diskReserve, t.blocks.capacity/16) {
		return fmt.Errorf("%w: the rest is kept for the index", unix.ENOSPC)
	}
	return nil
}
