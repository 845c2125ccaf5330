package http1

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A seen is what a handler saw of a request.
type seen struct {
	Method, URI, Proto, Host string
	Header                   http.Header
	Length                   int64 // -1: chunks
	Body                     string
	BodyError                string
}

// A script is a connection whose client sent some bytes, so many at a time, and then no more.
type script struct {
	unsent *bytes.Reader
	step   int
	got    bytes.Buffer
	seen   []seen
	once   sync.Once // closes
	closed chan struct{}
}

func newScript(raw []byte, step int) *script {
	return &script{unsent: bytes.NewReader(raw), step: step, closed: make(chan struct{})}
}

func (s *script) Read(p []byte) (int, error)       { return s.unsent.Read(p[:min(len(p), s.step)]) }
func (s *script) Write(p []byte) (int, error)      { return s.got.Write(p) }
func (s *script) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s *script) LocalAddr() net.Addr              { return new(net.TCPAddr) }
func (s *script) RemoteAddr() net.Addr             { return new(net.TCPAddr) }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

type scriptKey struct{}

// record writes down what it sees, for the script that the request comes from, and answers.
func record(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s := r.Context().Value(scriptKey{}).(*script)
	e := seen{r.Method, r.RequestURI, r.Proto, r.Host, r.Header.Clone(), r.ContentLength, string(body), ""}
	if err != nil {
		e.BodyError = err.Error()
	}
	s.seen = append(s.seen, e)
	respond(w, http.StatusOK, "ok")
}

// A stage is a listener that is given its connections.
type stage struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newStage() *stage { return &stage{make(chan net.Conn), make(chan struct{})} }

func (l *stage) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *stage) Addr() net.Addr { return new(net.TCPAddr) }

func (l *stage) Close() error {
	select {
	case <-l.closed:
		return net.ErrClosed
	default:
		close(l.closed)
		return nil
	}
}

// play has a server serve the script to its end.
func (l *stage) play(t *testing.T, s *script) {
	l.conns <- s
	select {
	case <-s.closed:
	case <-time.After(patience):
		t.Fatal("the server hangs")
	}
}

// FuzzRequest sends the same bytes to net/http's server and to ours. Both must see the same requests, up to the first
// that ours refuses and net/http's does not, for a reason that refuses knows.
func FuzzRequest(f *testing.F) {
	for _, e := range exchanges {
		if len(e.raw) < 4<<10 {
			f.Add([]byte(e.raw+plain("/next")), uint16(1<<12))
			f.Add([]byte(e.raw+plain("/next")), uint16(7))
		}
	}
	model, ours := newStage(), newStage()
	reference := &http.Server{
		Handler:                      http.HandlerFunc(record),
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               16 << 10,
		ErrorLog:                     log.New(io.Discard, "", 0),
		ConnContext:                  withScript,
	}
	go func() { _ = reference.Serve(model) }()
	f.Cleanup(func() { reference.Close() })
	newFixture(f, record, func(s *Server) { s.Context = withScript }).listen(ours)

	f.Fuzz(func(t *testing.T, raw []byte, step uint16) {
		want, got := newScript(raw, int(step)+1), newScript(raw, int(step)+1)
		model.play(t, want)
		ours.play(t, got)
		n := len(got.seen)
		if n > len(want.seen) {
			t.Fatalf("only ours sees %+v", got.seen[len(want.seen):])
		}
		if diff := cmp.Diff(want.seen[:n], got.seen, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("a request differs, -net/http +ours:\n%s", diff)
		}
		if n == len(want.seen) {
			return
		}
		answers := got.got.String()
		last := answers[max(0, strings.LastIndex(answers, "HTTP/1.1 ")):]
		if !strings.Contains(last, "\r\nConnection: close\r\n") {
			t.Fatalf("ours ends without a word: %q", answers)
		}
		if refuses(want.seen, n, strings.HasPrefix(last, "HTTP/1.1 200 ")) == "" {
			t.Fatalf("ours does not see %+v, but answers %q", want.seen[n], last)
		}
	})
}

func withScript(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, scriptKey{}, conn)
}

// refuses returns why ours does not see the nth request that net/http sees, because it ended the connection after the
// one before, or answered with an error instead. Apart from these, both are the same.
func refuses(all []seen, n int, ended bool) string {
	if ended {
		if n > 0 && (all[n-1].Proto == "HTTP/1.0" || all[n-1].Length < 0) {
			return "the request before was ambiguous, or its head came in pieces"
		}
		return ""
	}
	e := all[n]
	expect := e.Header.Get("Expect")
	switch {
	case n > 0 && all[n-1].Method == http.MethodPost:
		return "an empty line after a POST"
	case !strings.HasPrefix(e.URI, "/") && e.URI != "*", e.Method == http.MethodConnect:
		return "what proxies are asked"
	case e.Host == "":
		return "a Host header without a host"
	case e.Proto == "HTTP/2.0":
		return "HTTP/2"
	case expect != "" && !strings.EqualFold(expect, "100-continue"):
		return "more expectations than one"
	}
	return ""
}

// TestScriptsAreServed makes sure that the fuzzer's connections lead to the handler.
func TestScriptsAreServed(t *testing.T) {
	l := newStage()
	newFixture(t, record, func(s *Server) { s.Context = withScript }).listen(l)
	s := newScript([]byte(plain("/a")+"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc"), 5)
	l.play(t, s)
	var got []string
	for _, e := range s.seen {
		got = append(got, fmt.Sprintf("%s %q %s", e.URI, e.Body, e.BodyError))
	}
	if diff := cmp.Diff([]string{`/a "" `, `/b "abc" unexpected EOF`}, got); diff != "" {
		t.Error(diff)
	}
}
