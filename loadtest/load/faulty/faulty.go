// Package faulty is an HTTP server for tests that keeps what it is PUT, returns it to GET, and fails as it is told.
//
// A [Server] and what it keeps belong to the test that started it, and end with it.
package faulty

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Faults say what goes wrong. They are called by any number of requests at a time; nil: nothing does.
type Faults struct {
	// Instead answers a request in the place of the server and returns true, or does not and returns false.
	Instead func(http.ResponseWriter, *http.Request) bool
	// Corrupt changes what a GET is about to return, a copy of what is kept.
	Corrupt func(value []byte) []byte
}

// A Server is running until its test ends.
type Server struct {
	*httptest.Server
	faults   Faults
	requests atomic.Int64
	mu       sync.Mutex
	values   map[string][]byte
}

// Start returns a server on loopback.
func Start(t testing.TB, faults Faults) *Server {
	s := &Server{faults: faults, values: make(map[string][]byte)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Target is the server's URL as the load test writes it.
func (s *Server) Target() string { return "files+" + s.URL + "/" }

// Requests returns how many requests came.
func (s *Server) Requests() int64 { return s.requests.Load() }

// Keys returns how many values are kept under keys that begin so.
func (s *Server) Keys(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.values {
		if strings.HasPrefix(key, "/"+prefix) {
			n++
		}
	}
	return n
}

// Drop forgets all values.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.values)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	if s.faults.Instead != nil && s.faults.Instead(w, r) {
		return
	}
	if r.Method == http.MethodPut {
		value := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, value); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.values[r.URL.Path] = value
		s.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		return
	}
	s.mu.Lock()
	value, found := s.values[r.URL.Path]
	s.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	if s.faults.Corrupt != nil {
		value = s.faults.Corrupt(append([]byte(nil), value...))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(value)))
	_, _ = w.Write(value) // a client that has gone needs no answer
}
