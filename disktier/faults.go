package disktier

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keepsight/keepsight/tiers"
)

// A disk that damages faultLimit different values within faultWindow is taken for failing: from then on the tier
// serves what it can and accepts nothing.
const (
	faultLimit  = 5
	faultWindow = time.Minute
)

// Reasons for which a tier is read-only or degraded, in Stats.Reason.
const (
	reasonDiskErrors = "disk_errors"
	reasonIndexLost  = "index_lost"
	reasonDiskFull   = "disk_full"
	reasonStalled    = "index_stalled"
)

// Notes in Stats.Notes.
const (
	noteBuffered     = "buffered_io"         // the file system does no O_DIRECT
	noteIndexAside   = "index_set_aside"     // the index could not be opened and was renamed; the tier started empty
	noteFormatAside  = "format_set_aside"    // another version's files were renamed; the tier started empty
	noteRecordsLost  = "records_lost"        // records could not be read when the tier was opened
	noteIndexRewrote = "index_was_rewritten" // a sync of the index failed, or it was corrupt
)

// health is what the tier has found wrong with itself. It is guarded by Tier.mu.
type health struct {
	readOnly string // why, or empty
	notes    []string
	faults   []fault // of the last faultWindow
}

type fault struct {
	id tiers.ID
	at time.Duration
}

// note remembers what an operator should know, and reports whether it is new.
func (h *health) note(what string) bool {
	if slices.Contains(h.notes, what) {
		return false
	}
	h.notes = append(h.notes, what)
	return true
}

// fault counts damage to a value towards the limit. The caller holds t.mu.
func (t *Tier) fault(id tiers.ID) {
	now := t.clock()
	kept := t.health.faults[:0]
	for _, f := range t.health.faults {
		if f.id != id && now-f.at < faultWindow {
			kept = append(kept, f)
		}
	}
	t.health.faults = append(kept, fault{id: id, at: now})
	if len(t.health.faults) >= faultLimit && t.health.readOnly == "" {
		t.health.readOnly = reasonDiskErrors
		t.log.Error("disk tier is read-only: too many damaged values", "values", faultLimit, "within", faultWindow)
	}
}

// damaged takes a value whose bytes are not what was stored out of the tier, never to use its extents
// again in this run, and returns the miss that the reader gets. The caller holds a reference on n.
func (t *Tier) damaged(n *node, why string) error {
	t.log.Error("value is damaged", "reason", why, "units", n.runs)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counters.misses++
	t.counters.corruptions++
	n.damaged = true
	if n.queue != nil { // else somebody else removed it while it was read
		t.drop(n, tiers.EvictedDamaged)
	}
	t.fault(n.id)
	return fmt.Errorf("%w: damaged on disk", tiers.ErrNotFound)
}

// unreadable deals with a live node whose record cannot be had: a miss. A record that is there but damaged,
// or missing though nothing removed it, ends the node; its bytes are good, so its extents stay in use. When x, the
// index that was asked, cannot be read, it is marked broken, and the rewrite will sort out what is left: x, because by
// now another may have taken its place. When only the process was short of something, the next read may do.
func (t *Tier) unreadable(n *node, x *index, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counters.misses++
	switch {
	case errors.Is(err, errDamagedRecord), errors.Is(err, errNoRecord) && t.queued[n.id] == nil:
		if n.queue != nil {
			t.log.Error("record is damaged", "error", err)
			t.counters.corruptions++
			t.drop(n, tiers.EvictedDamaged)
		}
	case !errors.Is(err, errNoRecord) && t.health.readOnly != reasonIndexLost:
		t.ioErrors.Add(1)
		if !passing(err) {
			x.fs.breakIndex(err.Error())
		}
	}
	return fmt.Errorf("%w: record cannot be read", tiers.ErrNotFound)
}
