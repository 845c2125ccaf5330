package disktier

import (
	"maps"
	"slices"

	"github.com/keepsight/keepsight/tiers"
)

// counters only grow. They are guarded by Tier.mu.
type counters struct {
	hits, misses        uint64
	puts, putBytes      uint64
	readBytes           uint64
	corruptions         uint64
	evictions, refusals map[string]uint64
}

// Stats implements tiers.Tier. Used, quarantined and free bytes add up to the capacity; what the disk has
// refused to give counts as free.
func (t *Tier) Stats() tiers.Stats {
	stalled := t.index.Load().fs.stalledFor() > 0
	t.mu.Lock()
	defer t.mu.Unlock()
	s := tiers.Stats{
		Tier:             tiers.TierDisk,
		Notes:            slices.Clone(t.health.notes),
		CapacityBytes:    t.blocks.capacity,
		UsedBytes:        t.blocks.held - t.space.free.units*unitBytes - t.space.quarantined*unitBytes,
		QuarantinedBytes: t.space.quarantined * unitBytes,
		Entries:          int64(len(t.stored.nodes)),
		Scopes:           make(map[tiers.Scope]tiers.Usage, len(t.stored.scopes)),
		Hits:             t.counters.hits,
		Misses:           t.counters.misses,
		Puts:             t.counters.puts,
		PutBytes:         t.counters.putBytes,
		ReadBytes:        t.counters.readBytes,
		Corruptions:      t.counters.corruptions,
		IOErrors:         t.ioErrors.Load(),
		Evictions:        maps.Clone(t.counters.evictions),
		Refusals:         maps.Clone(t.counters.refusals),
	}
	for _, sc := range t.stored.scopes {
		s.Scopes[sc.Scope] = sc.Usage
	}
	s.Health, s.Reason = t.healthNow(stalled)
	return s
}

func (t *Tier) healthNow(stalled bool) (tiers.Health, string) {
	switch {
	case t.health.readOnly != "":
		return tiers.HealthReadOnly, t.health.readOnly
	case stalled:
		return tiers.HealthDegraded, reasonStalled
	case t.space.full:
		return tiers.HealthDegraded, reasonDiskFull
	}
	return tiers.HealthOK, ""
}
