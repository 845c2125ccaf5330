package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// fetchAhead is how many embeddings are read while one is written: enough to hide a disk read behind a
// socket write, and few enough that a slow client holds little memory.
const fetchAhead = 2

// fetch streams the bytes of many keys in the order of the request. What goes wrong after the first byte ends
// the stream early, which says that the rest missed.
func (s *Server) fetch(c *call) error {
	var req api.FetchRequest
	if err := c.decode(s, &req); err != nil {
		return err
	}
	if req.Pin != "" {
		defer func() { _ = s.store.ReleasePin(c.who.tenant, req.Pin) }() // it may have expired already
	}
	ctx, cancel := context.WithCancel(c.ctx())
	defer cancel()
	ahead := s.readAhead(ctx, c.scope(s.store), req)
	defer func() {
		cancel()
		for next := range ahead {
			(<-next).release()
		}
	}()
	c.w.Header().Set("Content-Type", api.MediaFetch)
	c.w.WriteHeader(http.StatusOK)
	f := frames{s: s, c: c, giveUp: cancel}
	for next := range ahead {
		if err := f.write(next); err != nil {
			return err
		}
	}
	return nil
}

// A fetched is what became of one key.
type fetched struct {
	index     int
	embedding *tiers.Embedding // nil for a miss
	tier      string
	err       error
}

func (f fetched) release() {
	if f.embedding != nil {
		f.embedding.Release()
	}
}

// readAhead gets the keys in order, a few at a time. Each result comes through a channel of its own, so that
// a slow one does not let a later one overtake it.
func (s *Server) readAhead(ctx context.Context, scope tiers.Scope, req api.FetchRequest) <-chan chan fetched {
	expect := expectations(req.Expect)
	ahead := make(chan chan fetched, fetchAhead-1)
	go func() {
		defer close(ahead)
		for i, key := range req.Keys {
			next := make(chan fetched, 1)
			select {
			case ahead <- next:
			case <-ctx.Done():
				return
			}
			go func() {
				f := fetched{index: i}
				var x tiers.Expect
				if expect != nil {
					x = expect[i]
				}
				f.embedding, f.tier, f.err = s.getExpected(ctx, tiers.Name{Scope: scope, Key: key}, x)
				next <- f
			}()
		}
	}()
	return ahead
}

// errMismatch means that an embedding is not the expected one.
var errMismatch = refusal(api.ContractMismatch)

// getExpected gets an embedding if it is as expected. What is known to be another is not read from disk.
func (s *Server) getExpected(ctx context.Context, name tiers.Name, expect tiers.Expect) (*tiers.Embedding, string, error) {
	entry, err := s.store.Stat(ctx, name)
	if err == nil && !expect.Matches(entry.Meta) {
		s.metrics.mismatches.Add(1)
		return nil, "", errMismatch
	}
	e, tier, err := s.store.Get(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if !expect.Matches(e.Meta) { // another took the name since Stat
		e.Release()
		s.metrics.mismatches.Add(1)
		return nil, "", errMismatch
	}
	return e, tier, nil
}

// frames writes a fetch stream.
type frames struct {
	s      *Server
	c      *call
	giveUp context.CancelFunc // ends the reading ahead
	buf    []byte
}

// write sends the next frame as soon as there is one, and what is complete before it waits.
func (f *frames) write(next <-chan fetched) error {
	var got fetched
	select {
	case got = <-next:
	default:
		if err := f.c.w.flush(); err != nil {
			f.giveUp()
			(<-next).release()
			return sent(err)
		}
		got = <-next
	}
	defer got.release()
	header, err := frameHeader(got)
	if err != nil {
		return err
	}
	if f.buf, err = api.AppendFrame(f.buf[:0], header); err != nil {
		return err
	}
	if _, err := f.c.w.Write(f.buf); err != nil || got.embedding == nil {
		return sent(err)
	}
	if _, err := f.c.w.Write(got.embedding.Bytes()); err != nil {
		return sent(err)
	}
	f.s.metrics.sent(got.tier, header.Size)
	f.s.metrics.saved(got.embedding.Meta.Cost)
	return nil
}

// frameHeader describes a result; its error is one that ends the stream.
func frameHeader(got fetched) (api.FrameHeader, error) {
	h := api.FrameHeader{Index: got.index, State: api.Missing}
	switch {
	case got.err == nil:
		h.State = api.Hit
		h.Tensor = tensorOf(got.embedding.Meta)
		h.Sum = api.Sum(got.embedding.Meta.Sum)
	case errors.Is(got.err, tiers.ErrNotFound):
	case errors.Is(got.err, errMismatch), errors.Is(got.err, tiers.ErrNoRoom):
		h.Code, _ = problem(got.err)
	default:
		return h, got.err
	}
	return h, nil
}
