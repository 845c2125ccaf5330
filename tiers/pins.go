package tiers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keepsight/keepsight/tiers/arena"
)

const (
	// MaxPinTTL bounds how long a dead client can keep memory occupied.
	MaxPinTTL = 10 * time.Minute
	// maxPromises bounds the table, to about 10 MiB: pins of what is pinned already cost no quota.
	maxPromises = 1 << 17
)

// pins keeps hits readable between a lookup and the GET that follows it: vLLM's engine dies when a
// reported hit cannot be loaded (vllm#51222). What was found in host memory is held by a reference in
// this table, which is searched before any tier; what was found on disk is pinned there.
//
// A pin defers eviction and expiry. DELETE, a new epoch and corruption win over it. So that a deleted
// embedding cannot come back through this table, it enters only while the tier still has it, and that is
// looked up under the mutex that forget takes after it was deleted from the tiers:
//
//	lookup: gets v1 from host       (locked) host no longer holds v1: no pin
//	DELETE:                   host.Delete                                    forget
type pins struct {
	mu       sync.Mutex
	byToken  map[string]*pin
	held     map[ID]*pinned
	promises int
	bytes    int64            // of extents under what is held, each embedding once
	tenants  map[string]int64 // the same for each tenant
	quota    int64
	limits   func(tenant string) Limits
	host     Host
	disk     Disk
}

// A pin is one lookup's promise about all its hits.
type pin struct {
	tenant string
	holds  []*pinned
	over   bool // a quota did not allow all of it, so nothing is promised
	expiry *time.Timer
}

// A pinned embedding is in the table while any pin promises it.
type pinned struct {
	id        ID
	scope     Scope
	bytes     int64
	embedding *Embedding // nil: it is pinned on disk
	promises  int
}

func newPins(o StoreOptions) *pins {
	return &pins{
		byToken: make(map[string]*pin),
		held:    make(map[ID]*pinned),
		tenants: make(map[string]int64),
		quota:   o.PinBytes,
		limits:  o.Limits,
		host:    o.Host,
		disk:    o.Disk,
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

// holds reports whether it is this very embedding that a pin holds.
func (p *pins) holds(e *Embedding) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[e.ID]
	return h != nil && h.embedding == e
}

// hold adds an embedding in memory to the pin, and reports false when it has left the tiers since it was
// found. It retains what it keeps.
func (p *pins) hold(made *pin, e *Embedding) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[e.ID]
	if h == nil || h.embedding == nil {
		if !p.host.Holds(e) {
			return false
		}
	}
	switch {
	case h == nil:
		h = &pinned{id: e.ID, scope: e.Name.Scope, bytes: e.extent.Len()}
		if !p.admit(made, h) {
			return true
		}
		h.embedding = e.Retain()
	case h.embedding == nil: // it moved to host memory since the first pin
		h.embedding = e.Retain()
		p.disk.Unpin(h.id)
	}
	p.promise(made, h)
	return true
}

// holdOnDisk adds an embedding to the pin where it is on disk, and reports false when it is not there.
func (p *pins) holdOnDisk(made *pin, scope Scope, id ID, size int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[id]
	if h == nil {
		h = &pinned{id: id, scope: scope, bytes: arena.RoundUp(size)}
		if !p.disk.Pin(id) {
			return false
		}
		if !p.admit(made, h) {
			p.disk.Unpin(id)
			return true
		}
	}
	p.promise(made, h)
	return true
}

// admit counts an embedding that is not held yet against the quotas.
func (p *pins) admit(made *pin, h *pinned) bool {
	limit := p.limits(made.tenant).PinnedBytes
	if p.bytes+h.bytes > p.quota || limit > 0 && p.tenants[made.tenant]+h.bytes > limit {
		made.over = true
		return false
	}
	p.held[h.id] = h
	p.bytes += h.bytes
	p.tenants[made.tenant] += h.bytes
	return true
}

func (p *pins) promise(made *pin, h *pinned) {
	h.promises++
	p.promises++
	made.holds = append(made.holds, h)
	made.over = made.over || p.promises > maxPromises
}

// seal makes the pin a promise to the client, or "" if there is nothing to promise or a quota forbids it.
func (p *pins) seal(made *pin, ttl time.Duration) (token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if made.over || len(made.holds) == 0 {
		p.letGo(made)
		return ""
	}
	token = newToken(0)
	p.byToken[token] = made
	made.expiry = time.AfterFunc(ttl, func() { _ = p.release(made.tenant, token) })
	return token
}

// abandon ends a pin that was never sealed.
func (p *pins) abandon(made *pin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letGo(made)
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
	p.letGo(made)
	return nil
}

// letGo takes the pin's promises back. Those that a DELETE broke are out of the table; another embedding may
// be in there under the id since, which is none of this pin's.
func (p *pins) letGo(made *pin) {
	for _, h := range made.holds {
		p.promises--
		if h.promises--; h.promises == 0 && p.held[h.id] == h {
			p.drop(h)
		}
	}
	made.holds = nil
}

func (p *pins) drop(h *pinned) {
	delete(p.held, h.id)
	p.bytes -= h.bytes
	if p.tenants[h.scope.Tenant] -= h.bytes; p.tenants[h.scope.Tenant] == 0 {
		delete(p.tenants, h.scope.Tenant)
	}
	if h.embedding != nil {
		h.embedding.Release()
	} else {
		p.disk.Unpin(h.id)
	}
}

// forget breaks every promise about the id. Whoever deletes it from the tiers does that first.
func (p *pins) forget(id ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.held[id]; h != nil {
		p.drop(h)
	}
}

// purge breaks every promise about the scope.
func (p *pins) purge(scope Scope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.held {
		if h.scope == scope {
			p.drop(h)
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
	for _, h := range p.held {
		p.drop(h)
	}
}

// grip finds an embedding and adds it to the pin where it is found first. A miss wraps ErrNotFound.
func (s *Store) grip(ctx context.Context, made *pin, scope Scope, id ID) (Entry, error) {
	e := s.pins.get(id)
	if e == nil {
		e, _ = s.host.Get(ctx, id)
	}
	if e != nil {
		defer e.Release()
		if s.pins.hold(made, e) {
			return Entry{Meta: e.Meta, Tier: TierHost}, nil
		}
	}
	if s.disk == nil {
		return Entry{}, ErrNotFound
	}
	_, meta, err := s.disk.Stat(ctx, id)
	if err != nil {
		return Entry{}, fmt.Errorf("stat on disk: %w", err)
	}
	if !s.pins.holdOnDisk(made, scope, id, meta.Size) {
		return Entry{}, ErrNotFound
	}
	return Entry{Meta: meta, Tier: TierDisk}, nil
}

// ReleasePin ends a pin before its time.
func (s *Store) ReleasePin(tenant, token string) error { return s.pins.release(tenant, token) }
