package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/keepsight/keepsight/api"
)

// Pauses before a lost event stream is opened again: doubled each time, up to the longest.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// Events returns what happens in a namespace, from after on, or from now on if after is zero. A connection
// that ends is opened again where it ended. The sequence ends when ctx does, or with an error that opening
// it again would not change. After an api.EventReset what the caller knows of the namespace may be wrong.
func (c *Client) Events(ctx context.Context, namespace string, after api.EventID) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		pause := shortestPause
		for {
			last, err := c.follow(ctx, namespace, after, yield)
			switch {
			case errors.Is(err, errStopped):
				return
			case ctx.Err() != nil:
				yield(api.Event{}, fmt.Errorf("keepsight: events: %w", context.Cause(ctx)))
				return
			case !resumable(err):
				yield(api.Event{}, err)
				return
			}
			if last != after {
				after, pause = last, shortestPause
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, longestPause)
		}
	}
}

// errStopped means that the caller of the sequence left its loop.
var errStopped = errors.New("stopped")

// follow yields the events of one connection and returns how far it came.
func (c *Client) follow(ctx context.Context, namespace string, after api.EventID, yield func(api.Event, error) bool) (api.EventID, error) {
	path, err := namespacePath(api.RouteEvents, namespace)
	if err != nil {
		return after, err
	}
	r := c.request(http.MethodGet, path)
	r.header.Set("Accept", api.MediaEvents)
	if after != (api.EventID{}) {
		r.header.Set(api.HeaderLastEventID, after.String())
	}
	resp, err := c.send(ctx, r, http.StatusOK)
	if err != nil {
		return after, err
	}
	defer resp.Close() // a stream has no end to drain to
	events := api.NewEventReader(resp)
	for {
		e, err := events.Next()
		if last := events.Last(); last != (api.EventID{}) {
			after = last
		}
		if err != nil {
			return after, err
		}
		if !yield(e, nil) {
			return after, errStopped
		}
	}
}

// resumable reports whether opening the stream again may help: after the end of a connection and after
// refusals that pass.
func resumable(err error) bool {
	var refused *Error
	var invalid *api.Error
	switch {
	case errors.As(err, &refused):
		return errors.Is(err, ErrUnavailable)
	case errors.As(err, &invalid), errors.Is(err, ErrProtocol), errors.Is(err, api.ErrEvent):
		return false
	}
	return true
}
