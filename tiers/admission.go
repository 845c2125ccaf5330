package tiers

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Limits bound one tenant's share. Zero means no bound but the store's own.
type Limits struct {
	InFlightBytes int64 // bodies being received at once
	PinnedBytes   int64 // embeddings held by pins
}

// admission bounds the bytes of bodies being received, for all tenants and for each.
type admission struct {
	bodies *semaphore.Weighted
	limits func(tenant string) Limits

	mu      sync.Mutex
	tenants map[string]int64
	total   int64
}

func newAdmission(bytes int64, limits func(string) Limits) *admission {
	return &admission{bodies: semaphore.NewWeighted(bytes), limits: limits, tenants: make(map[string]int64)}
}

// enter waits briefly, first come first served, for room for a body; refund gives the room back. A tenant
// over its own share is refused at once, before it can queue in front of others.
func (a *admission) enter(ctx context.Context, tenant string, size int64) (refund func(), err error) {
	if err := a.charge(tenant, size); err != nil {
		return nil, err
	}
	if err := a.queue(ctx, size); err != nil {
		a.pay(tenant, size)
		return nil, err
	}
	return func() {
		a.bodies.Release(size)
		a.pay(tenant, size)
	}, nil
}

func (a *admission) queue(ctx context.Context, size int64) error {
	if a.bodies.TryAcquire(size) {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, admissionWait)
	defer cancel()
	if err := a.bodies.Acquire(wait, size); err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: too many bodies in flight", ErrNoRoom)
}

func (a *admission) charge(tenant string, size int64) error {
	limit := a.limits(tenant).InFlightBytes
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit > 0 && a.tenants[tenant]+size > limit {
		return fmt.Errorf("%w: bytes in flight", ErrOverLimit)
	}
	a.tenants[tenant] += size
	a.total += size
	return nil
}

func (a *admission) pay(tenant string, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total -= size
	if a.tenants[tenant] -= size; a.tenants[tenant] == 0 {
		delete(a.tenants, tenant)
	}
}

func (a *admission) inFlight() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}
