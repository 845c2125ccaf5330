package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/keepsight/keepsight/api"
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
	refund       func() // returns what decode was admitted for; nil without a JSON body
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
	length := c.r.ContentLength
	switch {
	case length > api.MaxJSONBody:
		return refusal(api.TooLarge)
	case length < 0: // chunked: DecodeRequest finds out
		if err := c.admitJSON(s, api.MaxJSONBody); err != nil {
			return err
		}
		return api.DecodeRequest(s.paced(c), v)
	}
	if err := c.admitJSON(s, length); err != nil {
		return err
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	*buf = slices.Grow((*buf)[:0], int(length))[:length]
	if _, err := io.ReadFull(s.paced(c), *buf); err != nil {
		return bodyError(err)
	}
	return api.ParseRequest(*buf, v)
}

const (
	// jsonCost is how much memory a call with a JSON body takes at most, for each byte of the body: the body,
	// the values made of it, and the answer.
	jsonCost = 4
	// jsonWait is how long such a call may queue for memory. An engine would rather encode than wait longer.
	jsonWait = 100 * time.Millisecond
)

// admitJSON reserves heap for a JSON body until the call ends, as the store reserves arena for an embedding:
// else a thousand clients that send a megabyte of keys, slowly, would exhaust what the service may take.
func (c *call) admitJSON(s *Server, length int64) error {
	if !s.json.TryAcquire(jsonCost * length) {
		wait, cancel := context.WithTimeout(c.ctx(), jsonWait)
		defer cancel()
		if err := s.json.Acquire(wait, jsonCost*length); err != nil {
			return tiers.ErrNoRoom
		}
	}
	c.refund = func() { s.json.Release(jsonCost * length) }
	return nil
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

// A response records what became of a request, and writes under a moving deadline: a client that does not
// read must not hold an embedding for ever. It is the one [http.ResponseWriter] that handlers see.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	meter   meter
	status  int      // 0 until the header is written
	code    api.Code // of the problem that was sent, if one was
}

func newResponse(w http.ResponseWriter, p pace) *response {
	return &response{ResponseWriter: w, control: http.NewResponseController(w), meter: meter{pace: p}}
}

// WriteHeader implements http.ResponseWriter. Informational answers are no answer yet.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// writeStep is how much is written under one deadline. One write of 8 MiB is no faster than eight of these.
const writeStep = 1 << 20

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (written int, err error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	for {
		n, err := w.step(p[written:min(len(p), written+writeStep)])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

func (w *response) step(p []byte) (int, error) {
	begin := time.Now()
	if deadline, fresh := w.meter.next(begin, int64(len(p))); fresh {
		if err := w.control.SetWriteDeadline(deadline); err != nil {
			return 0, err
		}
	}
	n, err := w.ResponseWriter.Write(p)
	w.meter.passed(begin, n)
	return n, err
}

// flush sends what is buffered.
func (w *response) flush() error {
	begin := time.Now()
	err := w.control.Flush()
	w.meter.passed(begin, 0)
	return err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
