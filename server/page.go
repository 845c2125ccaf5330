package server

import (
	_ "embed"
	"net/http"
	"strings"

	"github.com/keepsight/keepsight/api"
)

// livePage is one file that needs nothing else: it asks /v1/status once a second.
//
//go:embed page.html
var livePage []byte

// page answers with the live page.
func (s *Server) page(c *call) error { return s.sendPage(c, http.StatusOK) }

func (s *Server) sendPage(c *call, status int) error {
	h := c.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
	h.Set("Cache-Control", "no-cache")
	return c.send(status, "text/html; charset=utf-8", livePage)
}

// refuse answers for a call that did not reach its handler. A browser that opens the live page cannot send a
// token yet: it gets the page, which says nothing of the service and asks for one, with its 401.
func (s *Server) refuse(c *call, err error) {
	code, _ := problem(err)
	html := strings.Contains(c.r.Header.Get("Accept"), "text/html")
	if code == api.Unauthenticated && html && c.r.Method == http.MethodGet && c.r.URL.Path == string(api.RoutePage) {
		c.w.code = code
		c.w.Header().Set(api.HeaderError, string(code))
		c.w.Header().Set("WWW-Authenticate", challenge)
		_ = s.sendPage(c, code.Status()) // who has gone does not see it
		return
	}
	s.fail(c, err)
}
