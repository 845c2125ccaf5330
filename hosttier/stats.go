package hosttier

import (
	"maps"

	"github.com/keepsight/keepsight/tiers"
)

// Stats implements [tiers.Tier]. UsedBytes counts every extent of the arena in use: embeddings stored, bodies
// in flight, and embeddings that left the tier while somebody still reads them.
func (t *Tier) Stats() tiers.Stats {
	stats := tiers.Stats{
		Tier:          tiers.TierHost,
		Health:        tiers.HealthOK,
		CapacityBytes: t.arena.Size(),
		UsedBytes:     t.arena.Used(),
		Hits:          t.hits.Load(),
		Misses:        t.misses.Load(),
		ReadBytes:     t.readBytes.Load(),
		Refusals:      map[string]uint64{"no_room": t.noRoom.Load(), "too_large": t.tooLarge.Load()},
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	stats.Entries = int64(len(t.entries))
	stats.Scopes = maps.Clone(t.scopes)
	stats.Puts, stats.PutBytes = t.puts, t.putBytes
	stats.Evictions = maps.Clone(t.evictions)
	return stats
}
