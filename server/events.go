package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// events streams what happens in a namespace until the client leaves or the service drains.
func (s *Server) events(c *call) error {
	after, err := s.lastEvent(c.r.Header)
	if err != nil {
		return err
	}
	ctx, stop := c.attend()
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	sub := s.store.Subscribe(c.who.tenant, c.path.Namespace, after)
	h := c.w.Header()
	h.Set("Content-Type", api.MediaEvents)
	h.Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusOK)
	return s.stream(ctx, c, sub)
}

// lastEvent returns the number of the event that the client heard last, 0 for none. One from another life of
// the service means nothing here: the 1 that stands for it is older than any event, and leads to a reset.
func (s *Server) lastEvent(h http.Header) (uint64, error) {
	last := h.Get(api.HeaderLastEventID)
	if last == "" {
		return 0, nil
	}
	id, err := api.ParseEventID(last)
	if err != nil {
		return 0, err
	}
	if id.Stream != s.life {
		return 1, nil
	}
	return id.Seq, nil
}

// stream writes events as they come, and a comment now and then in between: it keeps the connection known to
// whatever stands in its way, and lets the server notice that a client has gone. As often it looks whether the
// client may still listen.
func (s *Server) stream(ctx context.Context, c *call, sub *tiers.Subscription) error {
	buf := api.AppendEventID(nil, api.EventID{Stream: s.life, Seq: sub.Last()})
	due := time.Now().Add(s.config.pace.heartbeat)
	for {
		if err := c.flushStream(buf); err != nil {
			return err
		}
		wait, cancel := context.WithDeadline(ctx, due)
		e, err := sub.Next(wait)
		cancel()
		if now := time.Now(); !now.Before(due) { // on a stream that never pauses, too
			if !s.mayListen(c) {
				return nil
			}
			due = now.Add(s.config.pace.heartbeat)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			buf = append(buf[:0], api.EventComment...)
		case err != nil:
			return err
		default:
			if buf, err = api.AppendEvent(buf[:0], s.event(e)); err != nil {
				return err
			}
		}
	}
}

// mayListen reports whether the stream is still what its token gives a right to: the tokens may have changed.
func (s *Server) mayListen(c *call) bool {
	who, err := s.access.authenticate(c.r.Header)
	return err == nil && who.tenant == c.who.tenant && who.may(verbRead, c.path.Namespace)
}

// flushStream sends an event or a comment.
func (c *call) flushStream(p []byte) error {
	if _, err := c.w.Write(p); err != nil {
		return sent(err)
	}
	return sent(c.w.flush())
}

func (s *Server) event(e tiers.Event) api.Event {
	if e.Type == tiers.EventReset {
		e.Scope = s.store.Scope(e.Scope.Tenant, e.Scope.Namespace)
	}
	return api.Event{
		ID:    api.EventID{Stream: s.life, Seq: e.Seq},
		Type:  api.EventType(e.Type),
		Key:   e.Key,
		Size:  e.Size,
		Epoch: e.Scope.Epoch,
	}
}
