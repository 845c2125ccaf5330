package tiers

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func eventStore() *Store { return &Store{events: newEventLog(time.UnixMicro(1000))} }

func (s *Store) emit(ns, key string) {
	s.events.append(Event{Type: EventAdded, Scope: Scope{Tenant: "t", Namespace: ns}, Key: key})
}

func next(t *testing.T, sub *Subscription) Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := sub.Next(ctx)
	if err != nil {
		t.Fatalf("next event: %v", err)
	}
	return e
}

func TestSubscriptionSeesItsNamespaceOnly(t *testing.T) {
	s := eventStore()
	sub := s.Subscribe("t", "a", 0)
	s.emit("b", "other namespace")
	s.events.append(Event{Type: EventAdded, Scope: Scope{Tenant: "u", Namespace: "a"}, Key: "other tenant"})
	s.emit("a", "mine")
	if e := next(t, sub); e.Key != "mine" || e.Seq != 1002 {
		t.Errorf("got %+v, want the event of namespace a, number 1002", e)
	}
}

func TestSubscriptionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := eventStore()
		sub := s.Subscribe("t", "a", 0)
		got := make(chan Event)
		go func() {
			e, _ := sub.Next(context.Background())
			got <- e
		}()
		synctest.Wait()
		s.emit("a", "late")
		if e := <-got; e.Key != "late" {
			t.Errorf("got %+v", e)
		}
	})
}

func TestSubscriptionResumes(t *testing.T) {
	s := eventStore()
	for _, key := range []string{"0", "1", "2"} {
		s.emit("a", key)
	}
	sub := s.Subscribe("t", "a", 1000)
	if e := next(t, sub); e.Key != "1" {
		t.Errorf("resumed after event 1000 with %+v, want key 1", e)
	}
}

func TestSubscriberWhoMissedEventsIsReset(t *testing.T) {
	cases := map[string]func(s *Store) *Subscription{
		"fell behind": func(s *Store) *Subscription {
			sub := s.Subscribe("t", "a", 0)
			for range eventHistory + 1 {
				s.emit("a", "flood")
			}
			return sub
		},
		"comes from before a restart": func(s *Store) *Subscription { return s.Subscribe("t", "a", 10) },
		"comes from the future":       func(s *Store) *Subscription { return s.Subscribe("t", "a", 1<<60) },
		"evictions were lost": func(s *Store) *Subscription {
			sub := s.Subscribe("t", "a", 0)
			s.events.forget()
			return sub
		},
	}
	for what, subscribe := range cases {
		t.Run(what, func(t *testing.T) {
			s := eventStore()
			sub := subscribe(s)
			reset := next(t, sub)
			if reset.Type != EventReset {
				t.Fatalf("first event is %+v, want a reset", reset)
			}
			s.emit("a", "after")
			if e := next(t, sub); e.Key != "after" {
				t.Errorf("after the reset came %+v", e)
			}
			if e := next(t, s.Subscribe("t", "a", reset.Seq)); e.Key != "after" {
				t.Errorf("resuming from the reset's number gave %+v", e)
			}
		})
	}
}

func TestEventNumbersAscendAcrossRestarts(t *testing.T) {
	before := newEventLog(time.UnixMicro(1000))
	for range 10 {
		before.append(Event{})
	}
	after := newEventLog(time.UnixMicro(2000))
	if after.next <= before.next {
		t.Errorf("after a restart numbers begin at %d, before it ended at %d", after.next, before.next)
	}
}
