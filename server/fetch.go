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
	r := &reads{s: s, ctx: ctx, scope: c.scope(s.store), keys: req.Keys, expect: expectations(req.Expect)}
	defer func() {
		cancel()
		r.close()
	}()
	c.w.Header().Set("Content-Type", api.MediaFetch)
	c.w.WriteHeader(http.StatusOK)
	f := frames{s: s, c: c}
	for {
		next := r.next()
		if next == nil {
			return nil
		}
		if err := f.write(next); err != nil {
			return err
		}
	}
}

// reads gets the keys of a fetch in their order, a few ahead of who takes them.
type reads struct {
	s      *Server
	ctx    context.Context
	scope  tiers.Scope
	keys   []string
	expect []tiers.Expect // nil, or one for each key
	begun  int
	ahead  []*fetched // begun and not taken, in order
}

// next returns the read of the next key, which may not have ended, or nil after the last. The caller awaits and
// releases it.
func (r *reads) next() *fetched {
	for r.begun < len(r.keys) && len(r.ahead) < fetchAhead {
		r.ahead = append(r.ahead, r.begin(r.begun))
		r.begun++
	}
	if len(r.ahead) == 0 {
		return nil
	}
	first := r.ahead[0]
	r.ahead = r.ahead[1:]
	return first
}

// begin gets a key: at once what is in host memory, and beside the writing what is not.
func (r *reads) begin(i int) *fetched {
	f := &fetched{index: i}
	name := tiers.Name{Scope: r.scope, Key: r.keys[i]}
	var expect tiers.Expect
	if r.expect != nil {
		expect = r.expect[i]
	}
	entry, err := r.s.store.Stat(r.ctx, name)
	switch {
	case err == nil && !expect.Matches(entry.Meta):
		f.err = r.s.mismatch() // what is known to be another is not read from disk
	case err == nil && entry.Tier == tiers.TierHost:
		f.get(r.ctx, r.s, name, expect)
	default:
		f.done = make(chan struct{})
		go func() {
			defer close(f.done)
			f.get(r.ctx, r.s, name, expect)
		}()
	}
	return f
}

// close releases what nobody takes.
func (r *reads) close() {
	for _, f := range r.ahead {
		f.await()
		f.release()
	}
}

// A fetched is what became of one key, once done is closed; a nil done is closed.
type fetched struct {
	index     int
	done      chan struct{}
	embedding *tiers.Embedding // nil for a miss
	tier      string
	err       error
}

// ready reports whether await would not wait.
func (f *fetched) ready() bool {
	select {
	case <-f.done:
		return true
	default:
		return f.done == nil
	}
}

func (f *fetched) await() {
	if f.done != nil {
		<-f.done
	}
}

func (f *fetched) release() {
	if f.embedding != nil {
		f.embedding.Release()
	}
}

// get gets the embedding if it is as expected: another may have taken the name since somebody looked.
func (f *fetched) get(ctx context.Context, s *Server, name tiers.Name, expect tiers.Expect) {
	if f.embedding, f.tier, f.err = s.store.Get(ctx, name); f.err != nil {
		return
	}
	if !expect.Matches(f.embedding.Meta) {
		f.embedding.Release()
		f.embedding, f.err = nil, s.mismatch()
	}
}

// errMismatch means that an embedding is not the expected one.
var errMismatch = refusal(api.ContractMismatch)

func (s *Server) mismatch() error {
	s.metrics.mismatches.Add(1)
	return errMismatch
}

// frames writes a fetch stream.
type frames struct {
	s   *Server
	c   *call
	buf []byte
}

// write sends a frame as soon as it can, and what is complete before it waits.
func (f *frames) write(next *fetched) error {
	var err error
	if !next.ready() {
		err = f.c.w.flush()
	}
	next.await()
	defer next.release()
	if err != nil {
		return sent(err)
	}
	header, err := frameHeader(next)
	if err != nil {
		return err
	}
	if f.buf, err = api.AppendFrame(f.buf[:0], header); err != nil {
		return err
	}
	if next.embedding == nil {
		_, err := f.c.w.send(f.buf)
		return sent(err)
	}
	if _, err := f.c.w.send(f.buf, next.embedding.Bytes()); err != nil {
		return sent(err)
	}
	f.s.metrics.sent(next.tier, header.Size)
	f.s.metrics.saved(next.embedding.Meta.Cost)
	return nil
}

// frameHeader describes a result; its error is one that ends the stream.
func frameHeader(got *fetched) (api.FrameHeader, error) {
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
