package tiers

import (
	"context"
	"fmt"
	"sync"
)

// ErrEpochLower means that a raise named an epoch below the current one.
var ErrEpochLower = fmt.Errorf("%w: the namespace is past this epoch", ErrStaleEpoch)

// epochs holds the current epoch of each namespace that was ever raised; all others are at 0.
type epochs struct {
	mu      sync.RWMutex
	current map[namespace]uint64
	raising sync.Mutex // one raise at a time, so that the durable and the visible order agree
}

type namespace struct{ tenant, name string }

func newEpochs(saved []Scope) *epochs {
	e := &epochs{current: make(map[namespace]uint64)}
	for _, s := range saved {
		e.current[namespace{s.Tenant, s.Namespace}] = s.Epoch
	}
	return e
}

func (e *epochs) get(tenant, ns string) uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.current[namespace{tenant, ns}]
}

// Scope returns the scope that the tenant's namespace is at now.
func (s *Store) Scope(tenant, ns string) Scope {
	return Scope{Tenant: tenant, Namespace: ns, Epoch: s.epochs.get(tenant, ns)}
}

func (s *Store) stale(scope Scope) bool {
	return scope.Epoch != s.epochs.get(scope.Tenant, scope.Namespace)
}

// RaiseEpoch moves the namespace to the scope's epoch and makes everything older unreachable. The raise
// is durable before it returns, unless there is no disk tier. Naming the current epoch again is no work;
// a lower one is ErrEpochLower. What the older epoch stored is dropped in the background.
//
// A PUT that passed its epoch check just before the raise is stored under the older epoch's id, where
// nobody finds it; Commit checks again after publishing and removes it.
func (s *Store) RaiseEpoch(ctx context.Context, scope Scope) error {
	if err := ValidateNamespace(scope.Namespace); err != nil {
		return err
	}
	s.epochs.raising.Lock()
	defer s.epochs.raising.Unlock()
	old := s.Scope(scope.Tenant, scope.Namespace)
	switch {
	case scope.Epoch == old.Epoch:
		return nil
	case scope.Epoch < old.Epoch:
		return ErrEpochLower
	}
	if s.disk != nil {
		if err := s.disk.SaveEpoch(ctx, scope); err != nil {
			return fmt.Errorf("save epoch: %w: %w", ErrNotDurable, err)
		}
	}
	s.epochs.mu.Lock()
	s.epochs.current[namespace{scope.Tenant, scope.Namespace}] = scope.Epoch
	s.epochs.mu.Unlock()

	s.pins.purge(old)
	s.claims.purge(old)
	s.events.append(Event{Type: EventEpoch, Scope: scope})
	s.background(func(ctx context.Context) { s.purge(ctx, old) })
	return nil
}

// purge drops what an ended epoch left in the tiers. A failure costs space until eviction reclaims it.
func (s *Store) purge(ctx context.Context, scope Scope) {
	if err := s.host.Purge(ctx, scope); err != nil {
		s.log.Warn("purge host tier", "error", err)
	}
	if s.disk == nil {
		return
	}
	if err := s.disk.Purge(ctx, scope); err != nil {
		s.log.Warn("purge disk tier", "error", err)
	}
}
