package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// The sentinels follow the codes, and what is not from keepsight is not taken for a miss.
func TestErrors(t *testing.T) {
	status, header, body := 0, http.Header{}, ""
	f := &fake{override: func(w http.ResponseWriter, r *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}}
	c := serve(t, f)
	get := func() *client.Error {
		t.Helper()
		_, err := c.Stat(t.Context(), namespace, "a", client.GetOptions{})
		e, ok := errors.AsType[*client.Error](err)
		if !ok {
			t.Fatalf("%v", err)
		}
		return e
	}
	for _, code := range api.Codes() {
		status, header = code.Status(), http.Header{api.HeaderError: {string(code)}}
		e := get()
		if e.Code != code || errors.Is(e, client.ErrNotFound) != (code.Outcome() == api.Miss) || errors.Is(e, client.ErrUnavailable) != (code.Outcome() == api.Retry) {
			t.Errorf("%s: %v", code, e)
		}
	}
	for name, answer := range map[string]struct {
		status int
		header http.Header
	}{
		"a web server's 404":    {404, http.Header{"Content-Type": {"text/html"}}},
		"a code of another":     {404, http.Header{api.HeaderError: {"missing"}}},
		"a code and its status": {500, http.Header{api.HeaderError: {"not_found"}}},
		"a proxy's 502":         {502, nil},
	} {
		status, header = answer.status, answer.header
		if e := get(); e.Code != "" || errors.Is(e, client.ErrNotFound) || errors.Is(e, client.ErrUnavailable) {
			t.Errorf("%s: %v", name, e)
		}
	}
	status, header = 503, http.Header{
		api.HeaderError: {"no_memory"}, "Retry-After": {"3"}, api.HeaderRequestID: {"a b"},
	}
	if e := get(); e.RetryAfter != 3*time.Second || e.RequestID != "" {
		t.Errorf("%+v", e)
	}
	header.Set("Retry-After", "65000")
	if e := get(); e.RetryAfter > time.Hour {
		t.Errorf("%+v", e)
	}
	status, header, body = 404, http.Header{api.HeaderError: {"no_such_pin"}}, `{"detail":"line\nend \u001b[31m"}`
	if err := c.ReleasePin(t.Context(), "gone"); !errors.Is(err, client.ErrNoSuchPin) || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("%q", err)
	}
	status, header, body = 302, http.Header{"Location": {"http://127.0.0.1:1/"}}, ""
	if err := c.Live(t.Context()); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("a redirect: %v", err)
	}
}

func TestErrorsHoldNoKeyAndNoToken(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	c := connect(t, server.URL)
	server.Close()
	_, err := c.Stat(t.Context(), namespace, "private-key", client.GetOptions{})
	if err == nil || strings.Contains(err.Error(), "private-key") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"keepsight: No such embedding (not_found): a detail [request r-1]":     &client.Error{Code: api.NotFound, Detail: "a detail", RequestID: "r-1"},
		"keepsight: No memory is free (no_memory)":                             &client.Error{Code: api.NoMemory},
		"keepsight: status 502 without a code: is this keepsight?":             &client.Error{Status: 502},
		"keepsight: No such embedding":                                         client.ErrNotFound,
		"keepsight: buffer too small: the embedding has 9 bytes, the buffer 3": &client.ShortBufferError{Need: 9, Have: 3},
	} {
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}
