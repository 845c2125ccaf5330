package tiers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
)

// counters are what the Store itself counts; they only grow.
type counters struct {
	puts, different, incompatible                atomic.Uint64
	hitsHost, hitsDisk                           atomic.Uint64
	missAbsent, missContract, missRoom, missLate atomic.Uint64
}

func (c *counters) missed(err error) {
	switch {
	case errors.Is(err, ErrNoRoom):
		c.missRoom.Add(1)
	case errors.Is(err, context.DeadlineExceeded):
		c.missLate.Add(1)
	default:
		c.missAbsent.Add(1)
	}
}

// StoreStats is the whole hierarchy at one moment. Maps are keyed by the word that metrics use.
type StoreStats struct {
	Tiers []Stats // in order of nearness to the GPU

	Hits      map[string]uint64 // by tier
	Misses    map[string]uint64 // by reason: absent, contract, no_room, deadline
	Conflicts map[string]uint64 // by kind: different, incompatible
	Puts      uint64            // embeddings created

	InFlightBytes int64 // of extents that bodies are being received into
	PinnedBytes   int64
	Pins          int
	ClaimedKeys   int
	WaitingKeys   int // keys that somebody waits for

	DiskReads     uint64 // promotions begun
	DiskReadsRode uint64 // gets that joined a promotion under way

	Demotions        uint64 // embeddings copied to disk
	DemotedBytes     uint64
	DemotionsFailed  uint64
	DemotionsDropped uint64 // deleted, evicted or never queued before their turn came
	Backlog          int    // embeddings waiting for their copy to disk
}

// Stats is cheap enough for every scrape.
func (s *Store) Stats() StoreStats {
	c := &s.counters
	st := StoreStats{
		Tiers:         []Stats{s.host.Stats()},
		Hits:          map[string]uint64{TierHost: c.hitsHost.Load(), TierDisk: c.hitsDisk.Load()},
		Misses:        map[string]uint64{"absent": c.missAbsent.Load(), "contract": c.missContract.Load(), "no_room": c.missRoom.Load(), "deadline": c.missLate.Load()},
		Conflicts:     map[string]uint64{"different": c.different.Load(), "incompatible": c.incompatible.Load()},
		Puts:          c.puts.Load(),
		InFlightBytes: s.admission.inFlight(),
	}
	if s.disk != nil {
		st.Tiers = append(st.Tiers, s.disk.Stats())
	}
	s.pins.stats(&st)
	s.claims.stats(&st)
	s.flights.stats(&st)
	s.writer.stats(&st)
	return st
}

func (p *pins) stats(st *StoreStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st.Pins, st.PinnedBytes = len(p.byToken), p.bytes
}

func (c *claims) stats(st *StoreStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.ClaimedKeys = c.held
	for _, k := range c.keys {
		if len(k.waiters) > 0 {
			st.WaitingKeys++
		}
	}
}

func (f *flights) stats(st *StoreStats) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st.DiskReads, st.DiskReadsRode = f.reads, f.rides
}

func (w *writer) stats(st *StoreStats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st.Demotions, st.DemotedBytes, st.DemotionsFailed = w.written, w.bytes, w.failed
	st.DemotionsDropped = w.overtaken + w.backlogFull
	st.Backlog = len(w.durable) + len(w.lazy) + w.writing
}

// NamespaceUsage is what one namespace of a tenant holds in its current epoch, by tier.
type NamespaceUsage struct {
	Scope Scope
	Tiers map[string]Usage
}

// Namespaces lists the tenant's namespaces that hold anything or were ever raised, sorted by name. An
// embedding in both tiers is counted in both.
func (s *Store) Namespaces(tenant string) []NamespaceUsage {
	byName := make(map[string]NamespaceUsage)
	use := func(scope Scope) NamespaceUsage {
		u, ok := byName[scope.Namespace]
		if !ok {
			u = NamespaceUsage{Scope: scope, Tiers: make(map[string]Usage)}
			byName[scope.Namespace] = u
		}
		return u
	}
	for _, t := range s.Stats().Tiers {
		for scope, usage := range t.Scopes {
			if scope.Tenant == tenant && !s.stale(scope) {
				use(scope).Tiers[t.Tier] = usage
			}
		}
	}
	for _, scope := range s.epochs.of(tenant) {
		use(scope)
	}
	list := make([]NamespaceUsage, 0, len(byName))
	for _, u := range byName {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b NamespaceUsage) int { return strings.Compare(a.Scope.Namespace, b.Scope.Namespace) })
	return list
}

func (e *epochs) of(tenant string) []Scope {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var scopes []Scope
	for ns, epoch := range e.current {
		if ns.tenant == tenant {
			scopes = append(scopes, Scope{Tenant: tenant, Namespace: ns.name, Epoch: epoch})
		}
	}
	return scopes
}
