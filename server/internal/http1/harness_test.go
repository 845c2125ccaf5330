package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// A fixture is a server that runs for the length of a test.
type fixture struct {
	*Server
	t       testing.TB
	network string
	addr    net.Addr
	served  chan error // what Serve returned

	failed, rejected atomic.Int32
	failure          atomic.Value // the last, as text
}

// serve starts a server on a network: tcp, unix or tls.
func serve(t testing.TB, network string, handler http.HandlerFunc, edits ...func(*Server)) *fixture {
	t.Helper()
	f := newFixture(t, handler, edits...)
	f.network = network
	f.listen(listen(t, network))
	return f
}

// newFixture makes a server that listens to nobody yet.
func newFixture(t testing.TB, handler http.HandlerFunc, edits ...func(*Server)) *fixture {
	t.Helper()
	f := &fixture{t: t, served: make(chan error, 1)}
	f.Server = &Server{
		Handler:        handler,
		HeadTimeout:    patience,
		IdleTimeout:    patience,
		MaxHeadBytes:   16 << 10,
		MaxConnections: 100,
		Rejected:       func() { f.rejected.Add(1) },
		Failed: func(what string, cause any) {
			f.failed.Add(1)
			f.failure.Store(fmt.Sprint(what, ": ", cause))
		},
		Context: func(ctx context.Context, _ net.Conn) context.Context { return ctx },
	}
	for _, edit := range edits {
		edit(f.Server)
	}
	return f
}

// listen serves a listener until the test ends, and then waits for every connection to be gone.
func (f *fixture) listen(l net.Listener) {
	f.addr = l.Addr()
	go func() { f.served <- f.Serve(l) }()
	f.t.Cleanup(func() {
		if err := f.Close(); err != nil {
			f.t.Errorf("Close: %v", err)
		}
		f.shutDown()
		if err := <-f.served; !errors.Is(err, ErrClosed) {
			f.t.Errorf("Serve: %v", err)
		}
	})
}

func (f *fixture) shutDown() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		f.t.Errorf("Shutdown: %v", err)
	}
}

func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	switch network {
	case "unix":
		l, err = net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	default:
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	if network == "tls" {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate()}})
	}
	return l
}

// certificate borrows the one that net/http tests with.
func certificate() tls.Certificate {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Certificates[0]
}

// A client is a connection of a test to the server.
type client struct {
	net.Conn
	t testing.TB
}

// dial connects. Neither side may keep the test waiting for long.
func (f *fixture) dial() *client {
	f.t.Helper()
	conn, err := net.Dial(f.addr.Network(), f.addr.String())
	if err != nil {
		f.t.Fatal(err)
	}
	if f.network == "tls" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	return &client{conn, f.t}
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// dates are what of an answer no test can know.
var dates = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// rest returns all that the server sends before it closes the connection, without dates. It fails the test if the
// server does not.
func (c *client) rest() string {
	c.t.Helper()
	got, err := io.ReadAll(c)
	if err != nil {
		c.t.Errorf("the connection does not end well: %v after %q", err, got)
	}
	return dates.ReplaceAllString(string(got), "")
}

// want reads an answer, without its date, and no more.
func (c *client) want(raw string) {
	c.t.Helper()
	const date = "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n"
	got := make([]byte, len(raw)+len(date))
	n, err := io.ReadFull(c, got)
	if text := dates.ReplaceAllString(string(got[:n]), ""); text != raw || err != nil {
		c.t.Fatalf("answer %q, %v, want %q", text, err, raw)
	}
}

// respond answers with a body of known length.
func respond(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // who has gone does not hear of it
}

// echo answers with the request, and what became of its body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	text := fmt.Sprintf("%s %s %q", r.Method, r.RequestURI, body)
	if err != nil {
		text += " " + err.Error()
	}
	respond(w, http.StatusOK, text)
}

// answer is what respond sends to a client whose connection lives on.
func answer(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// lastAnswer is what respond sends to a client whose connection ends.
func lastAnswer(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}

// refused is the answer to what is no request.
func refused(status int) string {
	text := http.StatusText(status)
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, text, len(text), text)
}

// plain is a request for path.
func plain(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" }

// wait waits for what must come.
func wait[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s does not come", what)
	}
	return v
}
