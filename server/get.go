package server

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// A reading is one GET or HEAD: what its headers ask for.
type reading struct {
	s           *Server
	c           *call
	name        tiers.Name
	expect      *api.Expect
	safetensors bool
}

// get answers with the bytes of an embedding.
func (s *Server) get(c *call) error {
	r, err := s.reading(c)
	if err != nil {
		return err
	}
	if r.conditional() {
		// What it is may make its bytes superfluous: then they are not read from disk. A miss is Get's to count.
		if entry, err := s.store.Stat(c.ctx(), r.name); err == nil {
			if done, err := r.settled(entry); done || err != nil {
				return err
			}
		}
	}
	e, tier, err := s.store.Get(c.ctx(), r.name)
	if err != nil {
		return err
	}
	defer e.Release()
	entry := tiers.Entry{Meta: e.Meta, Tier: tier}
	if done, err := r.settled(entry); done || err != nil {
		return err // another embedding took the name since Stat
	}
	return r.answer(entry, e.Bytes())
}

// head answers with what get would say, without the bytes. It counts as no use.
func (s *Server) head(c *call) error {
	r, err := s.reading(c)
	if err != nil {
		return err
	}
	entry, err := s.store.Stat(c.ctx(), r.name)
	if err != nil {
		return err
	}
	if done, err := r.settled(entry); done || err != nil {
		return err
	}
	prefix := r.describe(entry)
	c.w.Header().Set("Content-Length", strconv.FormatInt(int64(len(prefix))+entry.Meta.Size, 10))
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// delete removes an embedding.
func (s *Server) delete(c *call) error {
	if err := s.store.Delete(c.ctx(), c.name(s.store)); err != nil {
		return err
	}
	return c.empty()
}

// reading parses the request and waits for the embedding if the client asks for that.
func (s *Server) reading(c *call) (*reading, error) {
	r := &reading{s: s, c: c, name: c.name(s.store), safetensors: api.AcceptsSafetensors(c.r.Header)}
	var err error
	if r.expect, err = api.ParseExpect(c.r.Header); err != nil {
		return nil, err
	}
	wait, err := parseWait(c.r.URL)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		// That nothing came is found once more, and counted, by who reads.
		ctx, stop := c.attend()
		err := s.store.Wait(ctx, r.name, wait)
		stop()
		if err != nil && !errors.Is(err, tiers.ErrNotFound) {
			return nil, err
		}
	}
	return r, nil
}

func parseWait(u *url.URL) (time.Duration, error) {
	if u.RawQuery == "" {
		return 0, nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	values := query["wait_ms"]
	if err != nil || len(values) != 1 || len(query) != 1 {
		return 0, &api.Error{Code: api.InvalidQuery, Detail: "the only query parameter is wait_ms, once"}
	}
	return api.ParseWait(values[0])
}

func (r *reading) conditional() bool {
	return r.expect != nil || r.c.r.Header.Get("If-None-Match") != ""
}

// settled refuses an embedding that is not the expected one, and answers 304 for one that the client has.
func (r *reading) settled(entry tiers.Entry) (done bool, err error) {
	if !r.expect.Matches(entry.Meta.Size, entry.Meta.DType, entry.Meta.Shape) {
		return false, r.s.mismatch()
	}
	match := r.c.r.Header.Get("If-None-Match")
	if match == "" {
		return false, nil
	}
	r.describe(entry)
	if !api.MatchETag(match, r.c.w.Header().Get("ETag")) {
		return false, nil
	}
	r.c.w.Header().Del("Content-Type")
	r.c.w.WriteHeader(http.StatusNotModified)
	return true, nil
}

// describe sets the headers that say what the embedding is, and returns what precedes its bytes in the body.
func (r *reading) describe(entry tiers.Entry) (prefix []byte) {
	stat := statOf(entry)
	h := r.c.w.Header()
	h.Set(api.HeaderEpoch, api.FormatEpoch(r.name.Epoch))
	if !r.safetensors {
		stat.Set(h)
		return nil
	}
	header := []byte(entry.Meta.Safetensors)
	if header == nil {
		header = api.FormatSafetensors(stat.Tensor)
	}
	stat.SetSafetensors(h, header)
	return api.AppendSafetensorsPrefix(nil, header)
}

func statOf(entry tiers.Entry) api.Stat {
	return api.Stat{
		Tensor: tensorOf(entry.Meta),
		Sum:    api.Sum(entry.Meta.Sum),
		Cost:   entry.Meta.Cost,
		TTL:    entry.Meta.TTL,
		Tier:   entry.Tier,
	}
}

func tensorOf(m tiers.Meta) api.Tensor {
	return api.Tensor{Size: m.Size, DType: m.DType, Shape: m.Shape, Meta: m.Extra}
}

// answer sends the body, or the one range of it that the client asks for.
func (r *reading) answer(entry tiers.Entry, payload []byte) error {
	prefix := r.describe(entry)
	size := int64(len(prefix) + len(payload))
	part, partial, err := r.part(size)
	h := r.c.w.Header()
	if err != nil {
		r.c.contentRange = api.UnsatisfiedContentRange(size)
		return err
	}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", part.ContentRange(size))
	}
	h.Set("Content-Length", strconv.FormatInt(part.Length, 10))
	r.c.tier = entry.Tier
	r.c.w.WriteHeader(status)
	first, second := cut(part, prefix, payload)
	_, err = r.c.w.send(first, second)
	r.s.metrics.sent(entry.Tier, r.c.w.sent)
	if err == nil && !partial {
		r.s.metrics.saved(entry.Meta.Cost)
	}
	return sent(err)
}

// part returns what of the body to send.
func (r *reading) part(size int64) (part api.Range, partial bool, err error) {
	whole := api.Range{Length: size}
	if match := r.c.r.Header.Get("If-Range"); match != "" && match != r.c.w.Header().Get("ETag") {
		return whole, false, nil
	}
	part, partial, err = api.ParseRange(r.c.r.Header.Get("Range"), size)
	if !partial {
		part = whole
	}
	return part, partial, err
}

// cut returns the range of prefix and payload, one after the other, without joining them.
func cut(part api.Range, prefix, payload []byte) (first, second []byte) {
	start, end := part.Start, part.Start+part.Length
	n := int64(len(prefix))
	if start < n {
		first = prefix[start:min(end, n)]
	}
	if end > n {
		second = payload[max(start, n)-n : end-n]
	}
	return first, second
}
