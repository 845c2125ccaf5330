package server

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/keepsight/keepsight/api"
)

// ServeHTTP is the wrapper around everything: whatever a request asks for, it passes here first.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: newResponse(w.(writer), s.config.pace), r: r, id: requestID(r), op: "unknown"}
	linkOf(r.Context()).call = c
	start := time.Now()
	defer func() {
		c.keep(s, 0)
		s.record(c, time.Since(start))
	}()
	defer s.catch(c)
	s.setCommon(c)
	if err := s.admit(c); err != nil {
		s.refuse(c, err)
		return
	}
	s.echo.ServeHTTP(c.w, c.r)
}

// setCommon sets the headers that every answer carries.
func (s *Server) setCommon(c *call) {
	h := c.w.Header()
	h.Set(api.HeaderRequestID, c.id)
	h.Set("X-Content-Type-Options", "nosniff")
	if s.draining.Load() {
		// Clients take their next request elsewhere, so that no idle connection is left to be cut.
		h.Set("Connection", "close")
	}
}

// catch answers 500 after a panic of ours. A handler that gives up an answer it has begun panics with
// ErrAbortHandler; that one is net/http's to catch, which cuts the connection.
func (s *Server) catch(c *call) {
	switch caught := recover(); caught {
	case nil:
	case http.ErrAbortHandler:
		panic(caught)
	default:
		s.log.Error("panic", "request_id", c.id, "op", c.op, "panic", caught, "stack", string(debug.Stack()))
		s.fail(c, errPanic)
	}
}

// admit decides whether the call goes on to its handler, in an order that tells strangers nothing.
func (s *Server) admit(c *call) error {
	r := c.r
	if r.ContentLength != 0 {
		// Until a handler reads the body at its own pace; a body that no handler reads must not hold up
		// the connection either.
		if err := c.w.SetReadDeadline(time.Now().Add(s.config.pace.stall)); err != nil {
			return err
		}
	}
	if err := s.hosts.check(r); err != nil {
		return err
	}
	escaped := r.URL.EscapedPath()
	if escaped != string(api.RouteLive) && escaped != string(api.RouteReady) {
		who, err := s.access.authenticate(r.Header)
		if err != nil {
			return err
		}
		c.who = who
	}
	if raw := r.URL.RawPath; raw != "" && raw != escaped {
		// Part of it was to be escaped and is not. EscapedPath passes over it then, where the router does not:
		// they would grant one call and make another.
		return &api.Error{Code: api.InvalidKey, Detail: "the path is not percent-encoded"}
	}
	path, err := api.ParsePath(escaped)
	if err != nil {
		return err
	}
	c.path = path
	right, known := rightOf(path.Route, r.Method)
	if !known {
		return methodError(path.Route)
	}
	c.op = right.op
	if err := c.who.check(right.verb, path.Namespace); err != nil {
		return err
	}
	if s.origin.Check(r) != nil {
		// A page of another site makes the browser send this: a browser that a user has open is no reason to
		// trust whoever wrote the page in it.
		return refusal(api.Forbidden)
	}
	return nil
}

// methodError tells a method that the route does not have from a route that nobody gave rights to.
func methodError(route api.Route) error {
	if route.Methods() == nil {
		return refusal(api.Forbidden)
	}
	return refusal(api.MethodNotAllowed)
}

func allowed(route api.Route) string { return strings.Join(route.Methods(), ", ") }

// refusal is an error without more to say than its code.
func refusal(code api.Code) error { return &api.Error{Code: code} }

// requestID takes over the caller's id if it is fit for a log, so that one request has one name everywhere.
func requestID(r *http.Request) string {
	if id := r.Header.Get(api.HeaderRequestID); api.ValidRequestID(id) {
		return id
	}
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64())
	return hex.EncodeToString(id[:])
}

// router registers every route that has a handler.
func (s *Server) router() *echo.Echo {
	e := echo.New()
	for _, row := range []struct {
		method string
		route  api.Route
		handle func(*call) error
	}{
		{http.MethodPut, api.RouteEmbedding, s.put},
		{http.MethodGet, api.RouteEmbedding, s.get},
		{http.MethodHead, api.RouteEmbedding, s.head},
		{http.MethodDelete, api.RouteEmbedding, s.delete},
		{http.MethodPost, api.RouteLookup, s.lookup},
		{http.MethodPost, api.RouteFetch, s.fetch},
		{http.MethodPost, api.RouteClaim, s.renewClaim},
		{http.MethodDelete, api.RouteClaim, s.giveUpClaim},
		{http.MethodDelete, api.RoutePin, s.releasePin},
		{http.MethodGet, api.RouteEpoch, s.epoch},
		{http.MethodPut, api.RouteEpoch, s.raiseEpoch},
		{http.MethodGet, api.RouteEvents, s.events},
		{http.MethodGet, api.RouteNamespace, s.namespace},
		{http.MethodGet, api.RouteNamespaces, s.namespaces},
		{http.MethodGet, api.RouteStatus, s.status},
		{http.MethodGet, api.RouteLive, s.live},
		{http.MethodGet, api.RouteReady, s.ready},
		{http.MethodGet, api.RouteMetrics, s.scrape},
		{http.MethodGet, api.RouteOpenAPI, s.openAPI},
		{http.MethodGet, api.RoutePage, s.page},
	} {
		e.Add(row.method, echoPattern(row.route), func(ec echo.Context) error {
			c := linkOf(ec.Request().Context()).call
			if err := row.handle(c); err != nil {
				s.fail(c, err)
			}
			return nil
		})
	}
	e.HTTPErrorHandler = func(err error, ec echo.Context) {
		// Only a path that api.ParsePath accepts and echo does not find comes here: a fault of ours.
		s.fail(linkOf(ec.Request().Context()).call, err)
	}
	return e
}

// echoPattern writes {ns} as :ns.
func echoPattern(route api.Route) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(string(route))
}
