package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/server/internal/http1"
	"github.com/keepsight/keepsight/tiers"
)

// A call is one request on its way through the service. It belongs to the goroutine that serves it.
type call struct {
	w    *response
	r    *http.Request
	id   string // of the request, for the log and the problem
	path api.Path
	who  *principal // nil until access is granted
	op   string     // what the metrics call it
	tier string     // where the answer was found

	contentRange string // of a range that cannot be satisfied
	charged      int64  // bytes of the heap, for its JSON body and answer
}

// ctx ends when the client goes away.
func (c *call) ctx() context.Context { return c.r.Context() }

// scope returns the scope that the namespace of the path is at now.
func (c *call) scope(s *tiers.Store) tiers.Scope { return s.Scope(c.who.tenant, c.path.Namespace) }

// name returns the name that the path means now.
func (c *call) name(s *tiers.Store) tiers.Name {
	return tiers.Name{Scope: c.scope(s), Key: c.path.Key}
}

// decode reads the JSON body of a call that has one.
func (c *call) decode(s *Server, v api.Validator) error {
	if err := api.CheckJSON(c.r.Header); err != nil {
		return err
	}
	if c.r.ContentLength > api.MaxJSONBody {
		return refusal(api.TooLarge)
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.recycle(buf)
	if err := c.readJSON(s, buf); err != nil {
		return err
	}
	err := api.ParseRequest(*buf, v)
	c.keep(s, parsedCost)
	return err
}

const (
	// jsonCost is how much memory a call with a JSON body takes at most, for each byte of the body: the body,
	// and what a decoder makes of it.
	jsonCost = 4
	// jsonRead is how much of a body is paid for before any of it has come: most lookups fit.
	jsonRead = 16 << 10
	// jsonWait is how long such a call may queue for memory. An engine would rather encode than wait longer.
	jsonWait = 100 * time.Millisecond
	// parsedCost is the most that a valid request holds once its body is gone: 256 keys of 512 bytes, each
	// with an expectation of 200 bytes, and what slices have to spare.
	parsedCost = 256 << 10
	// maxRecycled bounds the buffers that are kept for later calls: what 64 keys and their answer take, often over.
	maxRecycled = 64 << 10
)

// readJSON reads the body and pays for it as it comes, so that who announces much and sends nothing keeps
// little from others.
func (c *call) readJSON(s *Server, buf *[]byte) error {
	body, length := s.paced(c), c.r.ContentLength
	most := length
	if length < 0 { // chunked: its end tells
		most = api.MaxJSONBody + 1
	}
	b, paid := (*buf)[:0], 0
	defer func() { *buf = b }()
	for int64(len(b)) < most {
		if len(b) == paid {
			step := min(max(paid, jsonRead), int(most)-paid)
			if err := c.charge(s, jsonCost*int64(step)); err != nil {
				return err
			}
			b = slices.Grow(b, step)
			paid += step
		}
		n, err := body.Read(b[len(b):paid])
		b = b[:len(b)+n]
		switch {
		case err == nil, int64(len(b)) == most:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return refusal(api.BodyTooSlow)
		case err == io.EOF && length < 0:
			return nil
		default: // whatever the connection died of, or chunks that are none
			return refusal(api.TruncatedBody)
		}
	}
	if most > api.MaxJSONBody {
		return refusal(api.TooLarge)
	}
	return nil
}

// charge reserves heap for what a client can make us hold, until the call ends, as the store reserves arena
// for an embedding: else a thousand clients that send a megabyte of keys, or leave their answers unread, would
// exhaust what the service may take.
func (c *call) charge(s *Server, n int64) error {
	if !s.json.TryAcquire(n) {
		wait, cancel := context.WithTimeout(c.ctx(), jsonWait)
		defer cancel()
		if err := s.json.Acquire(wait, n); err != nil {
			return tiers.ErrNoRoom
		}
	}
	c.charged += n
	return nil
}

// keep returns what was charged beyond n bytes.
func (c *call) keep(s *Server, n int64) {
	if over := c.charged - n; over > 0 {
		s.json.Release(over)
		c.charged -= over
	}
}

// recycle keeps a buffer for a later call, unless it is so large that a pool full of them would be memory that
// nobody counts.
func (s *Server) recycle(buf *[]byte) {
	if cap(*buf) <= maxRecycled {
		s.buffers.Put(buf)
	}
}

// json answers 200 with the value.
func (c *call) json(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, api.MediaJSON, body)
}

// send answers with a small body. An error of the write is the client's, and means that it did not get all of it.
func (c *call) send(status int, media string, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	_, err := c.w.Write(body)
	return sent(err)
}

// empty answers 204.
func (c *call) empty() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// attend returns the context for waiting on anybody else than the client: it ends when the client goes away.
func (c *call) attend() (ctx context.Context, stop func()) { return c.w.Attend(c.ctx()) }

// A writer is the response of package http1.
type writer interface {
	http.ResponseWriter
	Pace(http1.Full)
	Send(parts ...[]byte) (int64, error)
	FlushError() error
	Attend(context.Context) (context.Context, func())
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// A response records what became of a request, and gives a client that does not keep up a moving deadline: one that
// does not read must not hold an embedding for ever. It is the one [http.ResponseWriter] that handlers see.
type response struct {
	writer
	meter  meter
	mark   time.Time // when the client was made to take something
	sent   int64     // bytes of the body
	status int       // 0 until the header is written
	code   api.Code  // of the problem that was sent, if one was
}

func newResponse(w writer, p pace) *response {
	r := &response{writer: w, meter: meter{pace: p}}
	w.Pace(r.full)
	return r
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	w.status = status
	w.writer.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	n, err := w.send(p)
	return int(n), err
}

// send writes parts of the body, one after the other.
func (w *response) send(parts ...[]byte) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.mark = time.Now()
	n, err := w.Send(parts...)
	w.sent += n
	return n, err
}

// full sets the deadline for taking more, as http1.Full.
func (w *response) full(taken, left int64) error {
	now := time.Now()
	w.meter.passed(taken, now.Sub(w.mark))
	w.mark = now
	if deadline, fresh := w.meter.next(now, left); fresh {
		return w.SetWriteDeadline(deadline)
	}
	return nil
}

// flush sends what is held back.
func (w *response) flush() error {
	w.mark = time.Now()
	return w.FlushError()
}
