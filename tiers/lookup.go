package tiers

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// MaxLookupKeys bounds one lookup, which answers for a whole request of an engine.
const MaxLookupKeys = 256

// A Lookup is one question about many keys of a namespace.
type Lookup struct {
	Tenant    string
	Namespace string
	Keys      []string
	Expect    []Expect      // nil, or one for each key
	Claim     *ClaimWish    // nil: claim nothing
	Wait      time.Duration // how long to wait for what others encode; without Claim also for what nobody does
	Pin       time.Duration // how long hits must stay readable; zero: no pin
	Promote   bool          // begin reading hits on disk into host memory
}

// An Expect is what the asker believes of an embedding. Zero fields are not compared.
type Expect struct {
	Size  int64
	DType string
	Shape []int64
}

// Matches reports whether the meta is as expected. A wrong length under a client's uuid has killed whole
// deployments (vllm#55546), so who knows the contract of its model says so.
func (x Expect) Matches(m Meta) bool {
	return (x.Size == 0 || x.Size == m.Size) &&
		(x.DType == "" || x.DType == m.DType) &&
		(x.Shape == nil || slices.Equal(x.Shape, m.Shape))
}

// State is the answer for one key.
type State string

const (
	StateHit     State = "hit"     // readable
	StateMiss    State = "miss"    // not there, and not claimed by this lookup
	StateClaimed State = "claimed" // not there, and the asker's to encode
	StatePending State = "pending" // not there, and somebody else is encoding it
)

// A Result is the answer for one key; Entry is set for hits only.
type Result struct {
	State State
	Entry
	Mismatch bool          // a miss because the embedding is not as expected
	Retry    time.Duration // for pending: when the other's claim expires
}

// An Entry is what is stored under a name, without the bytes.
type Entry struct {
	Meta Meta
	Tier string
}

// An Answer holds one result for each key, in the order of the lookup. The caller must call Sent once.
type Answer struct {
	Epoch   uint64
	Claim   string // the token for everything claimed; empty: nothing is
	Pin     string // the token of the pin on all hits; empty: none was asked for, or the quota did not allow it
	Results []Result

	store  *Store
	waiter *waiter
	tenant string
}

// Sent tells how writing the answer to the client went. Claims count their TTL from here; if the client
// never got the answer, what it was granted goes to the next.
func (a *Answer) Sent(err error) {
	if err != nil && a.Pin != "" {
		_ = a.store.ReleasePin(a.tenant, a.Pin) // it may have expired already
	}
	switch {
	case a.waiter == nil:
	case err == nil:
		a.store.claims.sent(a.waiter)
	default:
		a.store.claims.unsent(a.waiter)
	}
}

func (l *Lookup) validate() error {
	if err := ValidateNamespace(l.Namespace); err != nil {
		return err
	}
	if len(l.Keys) == 0 || len(l.Keys) > MaxLookupKeys {
		return fmt.Errorf("%w: lookup of %d keys, allowed are 1 to %d", ErrInvalid, len(l.Keys), MaxLookupKeys)
	}
	for _, key := range l.Keys {
		if err := ValidateKey(key); err != nil {
			return err
		}
	}
	if l.Expect != nil && len(l.Expect) != len(l.Keys) {
		return fmt.Errorf("%w: %d expectations for %d keys", ErrInvalid, len(l.Expect), len(l.Keys))
	}
	if l.Wait < 0 || l.Pin < 0 || l.Pin > MaxPinTTL {
		return fmt.Errorf("%w: wait and pin must not be negative, and a pin at most %s", ErrInvalid, MaxPinTTL)
	}
	if l.Claim != nil {
		return l.Claim.Validate()
	}
	return nil
}

// Lookup says which keys are there, claims what is missing if asked to, and waits for what others have
// claimed. A lookup that obtained any claim returns at once.
func (s *Store) Lookup(ctx context.Context, l Lookup) (*Answer, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	if s.closing.Load() {
		return nil, ErrClosed
	}
	q := s.question(l)
	if l.Pin > 0 {
		q.pin = &pin{tenant: l.Tenant}
	}
	missing := q.look(ctx)
	if len(missing) > 0 && (l.Claim != nil || l.Wait > 0) {
		if err := q.settle(ctx, missing); err != nil {
			if q.pin != nil {
				s.pins.abandon(q.pin)
			}
			return nil, err
		}
	} else if len(missing) > 0 {
		q.peek(missing)
	}
	if q.pin != nil {
		q.answer.Pin = s.pins.seal(q.pin, l.Pin)
	}
	if l.Promote {
		q.promote()
	}
	return q.answer, nil
}

// A question is a lookup being answered. It belongs to one goroutine.
type question struct {
	store  *Store
	lookup Lookup
	scope  Scope
	ids    []ID
	pin    *pin // of the hits; nil when none is asked for
	answer *Answer
}

func (s *Store) question(l Lookup) *question {
	scope := s.Scope(l.Tenant, l.Namespace)
	return &question{
		store:  s,
		lookup: l,
		scope:  scope,
		ids:    scope.appendIDs(make([]ID, 0, len(l.Keys)), l.Keys),
		answer: &Answer{Epoch: scope.Epoch, Results: make([]Result, len(l.Keys)), store: s, tenant: l.Tenant},
	}
}

// look fills in what is there and returns the indexes of what is not.
func (q *question) look(ctx context.Context) (missing []int) {
	for i := range q.ids {
		if !q.find(ctx, i) {
			missing = append(missing, i)
		}
	}
	return missing
}

// find answers for one key unless it is missing.
func (q *question) find(ctx context.Context, i int) bool {
	result := &q.answer.Results[i]
	result.State = StateMiss
	entry, err := q.store.stat(ctx, q.ids[i])
	if err != nil {
		return false
	}
	if q.lookup.Expect != nil && !q.lookup.Expect[i].Matches(entry.Meta) {
		q.store.counters.missContract.Add(1)
		result.Mismatch = true // no claim on it either: a PUT of what is expected would be a conflict
		return true
	}
	if q.pin != nil {
		if entry, err = q.store.grip(ctx, q.pin, q.scope, q.ids[i]); err != nil {
			return false
		}
	}
	result.State, result.Entry = StateHit, entry
	return true
}

// settle claims or waits for what is missing, and looks again at what came meanwhile.
func (q *question) settle(ctx context.Context, missing []int) error {
	ids := make([]ID, len(missing))
	for j, i := range missing {
		ids[j] = q.ids[i]
	}
	c := q.store.claims
	w := c.join(q.scope, ids, q.lookup.Claim)
	q.answer.waiter = w
	err := q.wait(ctx, w)
	token, standings := c.leave(w, ids)
	if err != nil {
		c.unsent(w)
		return err
	}
	q.answer.Claim = token
	for j, i := range missing {
		switch result := &q.answer.Results[i]; {
		case standings[j].claimed:
			result.State = StateClaimed
		case q.find(ctx, i):
		case standings[j].pending:
			result.State, result.Retry = StatePending, standings[j].retry
		}
	}
	return nil
}

// wait returns once the waiter has something to answer, its time is over, or with ctx's error.
func (q *question) wait(ctx context.Context, w *waiter) error {
	if !w.parked || q.lookup.Wait == 0 {
		return nil
	}
	timer := time.NewTimer(q.lookup.Wait)
	defer timer.Stop()
	select {
	case <-w.wake:
	case <-timer.C:
	case <-q.store.drain:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// peek says which missing keys others are encoding, for a lookup that neither claims nor waits.
func (q *question) peek(missing []int) {
	for _, i := range missing {
		if retry, pending := q.store.claims.pending(q.ids[i]); pending {
			q.answer.Results[i].State, q.answer.Results[i].Retry = StatePending, retry
		}
	}
}

// promote begins to read what was found on disk; nobody waits for it. It is a hint, so what exceeds the
// reads that the store has time for is left to the GETs.
func (q *question) promote() {
	s := q.store
	for i, result := range q.answer.Results {
		if result.State != StateHit || result.Tier != TierDisk {
			continue
		}
		if !s.promoting.TryAcquire(1) {
			return
		}
		id := q.ids[i]
		started := s.background(func(ctx context.Context) {
			defer s.promoting.Release(1)
			if e, err := s.fetchFromDisk(ctx, id); err == nil {
				e.Release()
			}
		})
		if !started {
			s.promoting.Release(1)
		}
	}
}

// Wait returns once the name is readable, or ErrNotFound when wait is over, or ctx's error. It claims nothing.
func (s *Store) Wait(ctx context.Context, name Name, wait time.Duration) error {
	l := Lookup{Tenant: name.Tenant, Namespace: name.Namespace, Keys: []string{name.Key}, Wait: wait}
	answer, err := s.Lookup(ctx, l)
	switch {
	case err != nil:
		return err
	case answer.Results[0].State != StateHit:
		return ErrNotFound
	}
	return nil
}
