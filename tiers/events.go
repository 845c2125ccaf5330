package tiers

import (
	"context"
	"sync"
	"time"
)

// eventHistory is how many events a subscriber may fall behind, or be away, before it must start over.
// At 200 bytes each they take under 2 MiB.
const eventHistory = 8192

// EventType says what happened.
type EventType string

const (
	EventAdded   EventType = "added"   // an embedding became visible
	EventRemoved EventType = "removed" // the last tier that held it dropped it
	EventEpoch   EventType = "epoch"   // the namespace moved on; everything older is gone
	EventReset   EventType = "reset"   // events were lost: the subscriber knows nothing any more
)

// An Event tells a cache-aware router about one change in a scope. Key and Size are empty for epoch and reset.
type Event struct {
	Seq   uint64 // ascending, also across restarts
	Type  EventType
	Scope Scope
	Key   string
	Size  int64
}

// eventLog keeps the newest events of all namespaces in a ring. Subscribers read it at their own pace
// and own nothing in it, so a slow one costs no memory: it is told to start over.
type eventLog struct {
	mu      sync.Mutex
	ring    []Event
	next    uint64        // sequence number of the next event
	first   uint64        // oldest sequence number still in the ring
	changed chan struct{} // closed and replaced on every append
}

// newEventLog starts the sequence at the microseconds of the clock: a restarted service goes on above
// every number it gave before, and a subscriber that was away is reset instead of misled.
func newEventLog(now time.Time) *eventLog {
	start := uint64(now.UnixMicro())
	return &eventLog{ring: make([]Event, eventHistory), next: start, first: start, changed: make(chan struct{})}
}

func (l *eventLog) append(e Event) { l.appendIf(e, func() bool { return true }) }

// appendIf asks whether the event is still true in the moment that it gets its number. A PUT makes its
// embedding visible before it appends, so a removal can never follow the addition of what is there.
func (l *eventLog) appendIf(e Event, still func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !still() {
		return
	}
	e.Seq = l.next
	l.ring[e.Seq%eventHistory] = e
	l.next++
	l.first = max(l.first, l.next-min(l.next, eventHistory))
	close(l.changed)
	l.changed = make(chan struct{})
}

// forget makes every subscriber start over.
func (l *eventLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++ // so that even a subscriber who was up to date is behind
	l.first = l.next
	close(l.changed)
	l.changed = make(chan struct{})
}

// A Subscription reads the events of one namespace in order. It belongs to one goroutine.
type Subscription struct {
	log        *eventLog
	tenant, ns string
	cursor     uint64
}

// Subscribe returns the events of the tenant's namespace after the sequence number, or from now on when
// after is 0. If some of them are no longer known, the first event is a reset.
func (s *Store) Subscribe(tenant, ns string, after uint64) *Subscription {
	l := s.events
	l.mu.Lock()
	defer l.mu.Unlock()
	cursor := after + 1
	if after == 0 {
		cursor = l.next
	}
	return &Subscription{log: l, tenant: tenant, ns: ns, cursor: cursor}
}

// Last returns the number of the event that comes before the next one: subscribing after it resumes here.
func (sub *Subscription) Last() uint64 { return sub.cursor - 1 }

// Next waits for the next event or the end of ctx.
func (sub *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, changed, ok := sub.take()
		if ok {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// take returns the next event of the namespace if there is one, else the channel to wait on.
func (sub *Subscription) take() (Event, <-chan struct{}, bool) {
	l := sub.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if sub.cursor < l.first || sub.cursor > l.next {
		sub.cursor = l.next
		return Event{Seq: l.next - 1, Type: EventReset, Scope: Scope{Tenant: sub.tenant, Namespace: sub.ns}}, nil, true
	}
	for sub.cursor < l.next {
		e := l.ring[sub.cursor%eventHistory]
		sub.cursor++
		if e.Scope.Tenant == sub.tenant && e.Scope.Namespace == sub.ns {
			return e, nil, true
		}
	}
	return Event{}, l.changed, false
}

// Evictions carries word of evictions from the tiers to the Store, which exists only after them.
type Evictions struct {
	names    chan Name
	overflow chan struct{} // holds one token once a name was lost
}

// NewEvictions returns a queue as long as the event history: who falls behind by more is reset anyway.
func NewEvictions() *Evictions {
	return &Evictions{names: make(chan Name, eventHistory), overflow: make(chan struct{}, 1)}
}

// Evicted is the EvictedFunc to give to each tier.
func (v *Evictions) Evicted(name Name) {
	select {
	case v.names <- name:
	default:
		select {
		case v.overflow <- struct{}{}:
		default:
		}
	}
}

// watchEvictions turns evictions into events once no tier holds the embedding any more.
func (s *Store) watchEvictions(ctx context.Context, v *Evictions) {
	for {
		select {
		case name := <-v.names:
			s.events.appendIf(Event{Type: EventRemoved, Scope: name.Scope, Key: name.Key}, func() bool {
				return !s.present(name.ID())
			})
		case <-v.overflow:
			s.events.forget()
		case <-ctx.Done():
			return
		}
	}
}
