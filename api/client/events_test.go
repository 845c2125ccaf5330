package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

func event(seq uint64, kind api.EventType, key string) api.Event {
	return api.Event{ID: api.EventID{Stream: 7, Seq: seq}, Seq: seq, Type: kind, Key: key}
}

// An eventServer answers each connection with the next of its answers and keeps what it was asked.
type eventServer struct {
	answers []func(w http.ResponseWriter, r *http.Request)
	asked   []string // Last-Event-ID of each connection
	ended   chan struct{}
}

func (s *eventServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := len(s.asked)
	s.asked = append(s.asked, r.Header.Get(api.HeaderLastEventID))
	s.answers[n](w, r)
}

// stream sends events and ends the connection.
func stream(t testing.TB, id api.EventID, events ...api.Event) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		b := append(api.AppendEventID(nil, id), api.EventComment...)
		for _, e := range events {
			var err error
			if b, err = api.AppendEvent(b, e); err != nil {
				t.Error(err)
			}
		}
		w.Header().Set("Content-Type", api.MediaEvents)
		_, _ = w.Write(b)
		_ = http.NewResponseController(w).Flush()
	}
}

// stay keeps the connection that answer has begun until the client ends it.
func (s *eventServer) stay(answer func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, r)
		<-r.Context().Done()
		close(s.ended)
	}
}

func TestEventsResume(t *testing.T) {
	s := &eventServer{ended: make(chan struct{})}
	s.answers = []func(http.ResponseWriter, *http.Request){
		stream(t, api.EventID{Stream: 7, Seq: 10}), // ends before the first event
		stream(t, api.EventID{Stream: 7, Seq: 10}, event(11, api.EventAdded, "a"), event(12, api.EventRemoved, "a")),
		func(w http.ResponseWriter, r *http.Request) { fail(w, api.Draining) },
		s.stay(stream(t, api.EventID{Stream: 7, Seq: 12}, event(20, api.EventReset, ""), event(21, api.EventAdded, "b"))),
	}
	c := serve(t, &fake{override: s.ServeHTTP})
	var got []api.Event
	for e, err := range c.Events(t.Context(), namespace, api.EventID{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == 4 {
			break
		}
	}
	<-s.ended // leaving the loop ends the connection
	want := []api.Event{event(11, api.EventAdded, "a"), event(12, api.EventRemoved, "a"), event(20, api.EventReset, ""), event(21, api.EventAdded, "b")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	ten, twelve := want[0].ID, want[1].ID
	ten.Seq = 10
	if diff := cmp.Diff([]string{"", ten.String(), twelve.String(), twelve.String()}, s.asked); diff != "" {
		t.Errorf("Last-Event-ID (-want +got):\n%s", diff)
	}
}

func TestEventsEnd(t *testing.T) {
	after := api.EventID{Stream: 7, Seq: 10}
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		want   error
	}{
		{"refused", func(w http.ResponseWriter, r *http.Request) { fail(w, api.Forbidden) }, client.ErrForbidden},
		{"not events", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "data: x\n\n") }, api.ErrEvent},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusFound) }, client.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &eventServer{answers: []func(http.ResponseWriter, *http.Request){test.answer}}
			c := serve(t, &fake{override: s.ServeHTTP})
			var errs []error
			for _, err := range c.Events(t.Context(), namespace, after) {
				errs = append(errs, err)
			}
			if len(errs) != 1 || !errors.Is(errs[0], test.want) || s.asked[0] != after.String() {
				t.Errorf("%v after asking for %q", errs, s.asked)
			}
		})
	}
	c := serve(t, new(fake))
	for _, err := range c.Events(t.Context(), "Qwen", after) {
		if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.InvalidNamespace {
			t.Error(err)
		}
	}
}

func TestEventsEndWithTheirContext(t *testing.T) {
	s := &eventServer{ended: make(chan struct{})}
	s.answers = []func(http.ResponseWriter, *http.Request){
		s.stay(stream(t, api.EventID{Stream: 7, Seq: 10}, event(11, api.EventAdded, "a"))),
	}
	c := serve(t, &fake{override: s.ServeHTTP})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Events(ctx, namespace, api.EventID{}) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Error(last)
	}
	<-s.ended
}
