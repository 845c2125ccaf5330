package tiers

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// MaxPinTTL bounds how long a dead client can keep memory occupied.
const MaxPinTTL = 10 * time.Minute

// pins keeps hits readable between a lookup and the GET that follows it: vLLM's engine dies when a
// reported hit cannot be loaded (vllm#51222). What was found in host memory is held by a reference in
// this table, which is searched before any tier; what was found on disk is pinned there.
//
// A pin defers eviction and expiry. DELETE, a new epoch and corruption win over it.
type pins struct {
	mu      sync.Mutex
	byToken map[string]*pin
	held    map[ID]*pinned
	bytes   int64            // of all that is held, each embedding once
	tenants map[string]int64 // the same for each tenant
	quota   int64
	limits  func(tenant string) Limits
}

// A pin is one lookup's promise.
type pin struct {
	tenant string
	ids    []ID
	expiry *time.Timer
}

// A pinned embedding is in the table while any pin promises it.
type pinned struct {
	id        ID
	scope     Scope
	size      int64
	embedding *Embedding // nil: it is pinned on disk
	promises  int
	unpin     func() // takes the reference or the disk pin back
}

func newPins(quota int64, limits func(string) Limits) *pins {
	return &pins{
		byToken: make(map[string]*pin),
		held:    make(map[ID]*pinned),
		tenants: make(map[string]int64),
		quota:   quota,
		limits:  limits,
	}
}

// get returns the pinned embedding with a reference for the caller, or nil when it is not held in memory.
func (p *pins) get(id ID) *Embedding {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.held[id]; h != nil && h.embedding != nil {
		return h.embedding.Retain()
	}
	return nil
}

// hold makes a pin of the grips, or returns "" and lets go of them when a quota does not allow it.
func (p *pins) hold(tenant string, grips []*pinned, ttl time.Duration) (token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.allow(tenant, grips) {
		for _, g := range grips {
			g.unpin()
		}
		return ""
	}
	made := &pin{tenant: tenant}
	for _, g := range grips {
		id := g.id
		made.ids = append(made.ids, id)
		h := p.held[id]
		switch {
		case h == nil:
			p.held[id] = g
			p.bytes += g.size
			p.tenants[tenant] += g.size
			h = g
		case h.embedding == nil && g.embedding != nil: // it moved to host memory since the first pin
			h.embedding, g.embedding = g.embedding, nil
			h.unpin, g.unpin = g.unpin, h.unpin
			g.unpin()
		default:
			g.unpin()
		}
		h.promises++
	}
	token = newToken(0)
	p.byToken[token] = made
	made.expiry = time.AfterFunc(ttl, func() { _ = p.release(tenant, token) })
	return token
}

// allow counts what is not held yet against the quotas.
func (p *pins) allow(tenant string, grips []*pinned) bool {
	var more int64
	fresh := make(map[ID]bool, len(grips))
	for _, g := range grips {
		if p.held[g.id] == nil && !fresh[g.id] {
			fresh[g.id] = true
			more += g.size
		}
	}
	if p.bytes+more > p.quota {
		return false
	}
	limit := p.limits(tenant).PinnedBytes
	return limit == 0 || p.tenants[tenant]+more <= limit
}

func (p *pins) release(tenant, token string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	made := p.byToken[token]
	if made == nil || made.tenant != tenant {
		return ErrNoPin
	}
	delete(p.byToken, token)
	made.expiry.Stop()
	for _, id := range made.ids {
		// A DELETE may have dropped what was promised, and a later pin may hold a new embedding of that
		// name: then its promise is ended here, which costs that pin its protection, never a wrong byte.
		if h := p.held[id]; h != nil {
			if h.promises--; h.promises == 0 {
				p.drop(id, h)
			}
		}
	}
	return nil
}

func (p *pins) drop(id ID, h *pinned) {
	delete(p.held, id)
	p.bytes -= h.size
	if p.tenants[h.scope.Tenant] -= h.size; p.tenants[h.scope.Tenant] == 0 {
		delete(p.tenants, h.scope.Tenant)
	}
	h.unpin()
}

// forget breaks every promise about the id.
func (p *pins) forget(id ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.held[id]; h != nil {
		p.drop(id, h)
	}
}

// purge breaks every promise about the scope.
func (p *pins) purge(scope Scope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.held {
		if h.scope == scope {
			p.drop(id, h)
		}
	}
}

func (p *pins) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for token, made := range p.byToken {
		made.expiry.Stop()
		delete(p.byToken, token)
	}
	for id, h := range p.held {
		p.drop(id, h)
	}
}

// grip takes hold of an embedding for a pin where it is found first, or returns an error that wraps
// ErrNotFound. The caller passes it to hold.
func (s *Store) grip(ctx context.Context, scope Scope, id ID) (*pinned, Entry, error) {
	e := s.pins.get(id)
	if e == nil {
		e, _ = s.host.Get(ctx, id)
	}
	if e != nil {
		g := &pinned{id: id, scope: scope, size: e.Meta.Size, embedding: e, unpin: e.Release}
		return g, Entry{Meta: e.Meta, Tier: TierHost}, nil
	}
	if s.disk == nil || !s.disk.Pin(id) {
		return nil, Entry{}, ErrNotFound
	}
	_, meta, err := s.disk.Stat(ctx, id)
	if err != nil {
		s.disk.Unpin(id)
		return nil, Entry{}, fmt.Errorf("stat on disk: %w", err)
	}
	g := &pinned{id: id, scope: scope, size: meta.Size, unpin: func() { s.disk.Unpin(id) }}
	return g, Entry{Meta: meta, Tier: TierDisk}, nil
}

// ReleasePin ends a pin before its time.
func (s *Store) ReleasePin(tenant, token string) error { return s.pins.release(tenant, token) }
