package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

var (
	// errDraining refuses new work while the service stops.
	errDraining = errors.New("draining")
	// errClientGone means that the client did not stay for its answer: there is nobody to tell.
	errClientGone = errors.New("client gone")
	errPanic      = errors.New("panic")
)

// sent marks an error of writing an answer.
func sent(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}

// problem is the one place where an error becomes an answer: its code, and a detail that is safe to send.
func problem(err error) (code api.Code, detail string) {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Code, e.Detail
	}
	for _, row := range []struct {
		is   error
		code api.Code
	}{
		{errDraining, api.Draining},
		{tiers.ErrClosed, api.Draining},
		{tiers.ErrNoRoom, api.NoMemory},
		{tiers.ErrTooLarge, api.TooLarge},
		{tiers.ErrOverLimit, api.TenantOverLimit},
		{tiers.ErrExistsDifferent, api.ExistsDifferent},
		{tiers.ErrExistsIncompatible, api.ExistsIncompatible},
		{tiers.ErrEpochLower, api.EpochLower}, // wraps ErrStaleEpoch
		{tiers.ErrStaleEpoch, api.StaleEpoch},
		{tiers.ErrNotDurable, api.NotDurable},
		{tiers.ErrUnavailable, api.Unavailable},
		{tiers.ErrNoClaim, api.NoSuchClaim},
		{tiers.ErrNoPin, api.NoSuchPin},
		{tiers.ErrNotFound, api.NotFound},
		{tiers.ErrInvalid, api.InvalidTensor},
		{io.ErrUnexpectedEOF, api.TruncatedBody},
		{os.ErrDeadlineExceeded, api.BodyTooSlow},
		{context.DeadlineExceeded, api.Unavailable},
	} {
		if errors.Is(err, row.is) {
			return row.code, ""
		}
	}
	return api.Internal, ""
}

// fail answers with the problem that err is. If the client has gone, or an answer has begun, the connection
// is cut, which tells whoever is there that this is not the whole.
func (s *Server) fail(c *call, err error) {
	if errors.Is(err, errClientGone) || errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler)
	}
	code, detail := problem(err)
	if code == api.Internal {
		s.log.Error("request failed", "request_id", c.id, "op", c.op, "error", err)
	}
	if c.w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	c.w.code = code
	h := c.w.Header()
	clear(h) // of what the handler meant to answer
	s.setCommon(c)
	h.Set(api.HeaderError, string(code))
	switch {
	case code == api.Unauthenticated:
		h.Set("WWW-Authenticate", challenge)
	case code == api.RangeNotSatisfiable:
		h.Set("Content-Range", c.contentRange)
	case code == api.MethodNotAllowed:
		h.Set("Allow", allowed(c.path.Route))
	case code.Status() == http.StatusServiceUnavailable || code.Status() == http.StatusTooManyRequests:
		// Spread over some seconds, so that who was refused at once does not come back at once.
		h.Set("Retry-After", strconv.Itoa(1+rand.IntN(5)))
	}
	if unread(c.r) {
		h.Set("Connection", "close")
	}
	body, _ := json.Marshal(api.NewProblem(code, c.id, detail)) // strings and integers always encode
	_ = c.send(code.Status(), api.MediaProblem, body)           // who has gone does not hear of it
}

// challenge tells a client how to say who it is.
const challenge = `Bearer realm="keepsight"`

// keepBytes is how much of a body that nobody wants is read to keep a connection: less than a new one costs.
const keepBytes = 64 << 10

// unread reports whether so much of the body may be left that closing the connection is the better end. A
// body that is slow would hold the answer back, too.
func unread(r *http.Request) bool {
	return r.ContentLength < 0 || r.ContentLength > keepBytes
}
