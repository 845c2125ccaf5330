package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"

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
}

// ctx ends when the client goes away.
func (c *call) ctx() context.Context { return c.r.Context() }

// namespace returns the scope that the namespace of the path is at now.
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
	if length < 0 || length > api.MaxJSONBody {
		return api.DecodeRequest(s.paced(c), v) // it knows the bound
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	*buf = slices.Grow((*buf)[:0], int(length))[:length]
	if _, err := io.ReadFull(s.paced(c), *buf); err != nil {
		return bodyError(err)
	}
	return api.ParseRequest(*buf, v)
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

// A response records what became of a request. It is the one [http.ResponseWriter] that handlers see.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int // 0 until the header is written
	bytes   int64
	code    api.Code // of the problem that was sent, if one was
}

func newResponse(w http.ResponseWriter) *response {
	return &response{ResponseWriter: w, control: http.NewResponseController(w)}
}

// WriteHeader implements http.ResponseWriter. Informational answers are no answer yet.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
