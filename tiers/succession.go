package tiers

import (
	"fmt"
	"time"
)

// How claims end, and who gets the keys then: a PUT ends the claim on its key and wakes everybody; anything
// else that ends a claim hands each key to exactly one waiter.

// handOver ends the holder's claim on the key and gives it to exactly one waiter that wants it: the first
// that holds no claim yet, else the first. Without one the key is free.
func (c *claims) handOver(id ID, k *claimedKey) {
	c.take(id, k)
	var heir *waiter
	for _, w := range k.waiters {
		if !w.claims {
			continue
		}
		if w.token == "" {
			heir = w
			break
		}
		if heir == nil {
			heir = w
		}
	}
	if heir == nil {
		c.forgetIfIdle(id, k)
		return
	}
	k.waiters = remove(k.waiters, heir)
	delete(heir.pending, id)
	c.grant(heir, id)
	heir.signal()
}

// take removes the key from its holder, and the holder's claim with its last key.
func (c *claims) take(id ID, k *claimedKey) {
	cl := k.holder
	k.holder = nil
	c.held--
	delete(cl.ids, id)
	if len(cl.ids) == 0 {
		cl.expiry.Stop()
		for _, token := range cl.tokens {
			delete(c.byToken, token)
		}
	}
}

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// fulfil ends the claim on an id because its embedding is there now, and wakes who waited for nothing else.
func (c *claims) fulfil(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(id)
}

func (c *claims) end(id ID) {
	k := c.keys[id]
	if k == nil {
		return
	}
	if k.holder != nil {
		c.take(id, k)
	}
	for _, w := range k.waiters {
		delete(w.pending, id)
		if len(w.pending) == 0 {
			w.signal()
		}
	}
	delete(c.keys, id)
}

// fail hands the id on because the PUT that carried the token failed.
func (c *claims) fail(token string, id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys[id]; k != nil && k.holder != nil && k.holder == c.byToken[token] {
		c.handOver(id, k)
	}
}

func (c *claims) expire(cl *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A renewal may have moved the deadline after the timer fired and before this goroutine got the lock.
	if time.Now().Before(cl.expires) {
		return
	}
	c.giveUp(cl)
}

func (c *claims) giveUp(cl *claim) {
	for id := range cl.ids {
		c.handOver(id, c.keys[id])
	}
}

// purge ends all claims of a scope whose epoch has passed; who waited is told that the keys are missing.
func (c *claims) purge(scope Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.byToken {
		if cl.owner.scope == scope {
			for id := range cl.ids {
				c.end(id)
			}
		}
	}
}

// live returns the claim that the tenant holds under the token.
func (c *claims) live(tenant, token string) (*claim, error) {
	cl := c.byToken[token]
	if cl == nil || cl.owner.scope.Tenant != tenant {
		return nil, ErrNoClaim
	}
	return cl, nil
}

// RenewClaim restarts the claim's TTL.
func (s *Store) RenewClaim(tenant, token string, ttl time.Duration) error {
	if ttl <= 0 || ttl > MaxClaimTTL {
		return fmt.Errorf("%w: claim TTL must be above 0 and at most %s", ErrInvalid, MaxClaimTTL)
	}
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	cl, err := s.claims.live(tenant, token)
	if err != nil {
		return err
	}
	cl.extend(ttl)
	return nil
}

// PassOn hands one key of a claim to somebody who waits for it: the PUT that was to fulfil it failed before
// Begin was called, which does the same.
func (s *Store) PassOn(name Name, token string) { s.claims.fail(token, name.ID()) }

// GiveUpClaim hands every key of the claim to somebody who waits for it.
func (s *Store) GiveUpClaim(tenant, token string) error {
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	cl, err := s.claims.live(tenant, token)
	if err != nil {
		return err
	}
	s.claims.giveUp(cl)
	return nil
}
