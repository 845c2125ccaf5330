package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A visit is a handler that says when it begins and goes on when it is let.
type visit struct{ began, goOn chan struct{} }

func newVisit() visit { return visit{make(chan struct{}, 1), make(chan struct{})} }

func (v visit) handle(w http.ResponseWriter, r *http.Request) {
	v.began <- struct{}{}
	<-v.goOn
	echo(w, r)
}

// TestShutdownIdle ends connections that are between requests at once: fresh ones, used ones, and ones that have not
// said hello yet.
func TestShutdownIdle(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) {
			f := serve(t, network, echo)
			used := f.dial()
			used.send(plain("/a"))
			used.want(answer(`GET /a ""`))
			fresh, err := net.Dial(f.addr.Network(), f.addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer fresh.Close()
			f.shutDown()
			if _, err := used.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a used connection: %v", err)
			}
			if _, err := net.Dial(f.addr.Network(), f.addr.String()); err == nil {
				t.Error("the server still listens")
			}
			if n := f.Connections(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

// TestShutdownBusy waits for the answer to a request in progress, and for no other.
func TestShutdownBusy(t *testing.T) {
	v := newVisit()
	f := serve(t, "tcp", v.handle)
	c := f.dial()
	c.send(plain("/a") + plain("/b"))
	wait(t, "the request", v.began)
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Shutdown(late); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown in progress: %v", err)
	}
	close(v.goOn)
	f.shutDown()
	got, _ := io.ReadAll(c) // what was not read of the pipeline resets the connection
	if text := dates.ReplaceAllString(string(got), ""); text != answer(`GET /a ""`) {
		t.Errorf("answer %q", text)
	}
}

// TestShutdownLingering waits for a client that may still be sending, as long as lingering lasts.
func TestShutdownLingering(t *testing.T) {
	f := serve(t, "tcp", echo)
	c := f.dial()
	c.send("GET /a HTTP/1.0\r\n\r\n")
	if got := c.rest(); got != lastAnswer(`GET /a ""`) {
		t.Errorf("answer %q", got)
	}
	if n := f.Connections(); n != 1 {
		t.Errorf("%d connections linger", n)
	}
	f.shutDown()
}

// TestCloseBusy cuts an answer that is on its way. Shutdown waits for its handler.
func TestCloseBusy(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) {
			ended, cause := make(chan struct{}), error(nil)
			f := serve(t, network, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "1000000000")
				for cause == nil {
					_, cause = w.(*Response).Send(make([]byte, step))
				}
				<-r.Context().Done()
				close(ended)
			})
			c := f.dial()
			c.send(plain("/"))
			if _, err := io.ReadFull(c, make([]byte, step)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := f.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			f.shutDown()
			wait(t, "the handler's end", ended)
			if !errors.Is(cause, net.ErrClosed) {
				t.Errorf("the handler is told %v", cause)
			}
		})
	}
}

// TestNeverServed closes a server that nobody used, and does not serve after that.
func TestNeverServed(t *testing.T) {
	f := newFixture(t, echo)
	if err := errors.Join(f.Shutdown(t.Context()), f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	l := newStage()
	if err := f.Serve(l); err != ErrClosed {
		t.Errorf("Serve: %v", err)
	}
}

// TestConnectionLimit turns away who comes when there are too many, and takes others once there is room.
func TestConnectionLimit(t *testing.T) {
	f := serve(t, "tcp", echo, func(s *Server) { s.MaxConnections = 1 })
	inside := f.dial()
	inside.send(plain("/a"))
	inside.want(answer(`GET /a ""`))
	turned := f.dial()
	if got := turned.rest(); got != "" {
		t.Errorf("one too many gets %q", got)
	}
	if n := f.rejected.Load(); n != 1 {
		t.Errorf("%d were turned away", n)
	}
	inside.send("GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	inside.want(lastAnswer(`GET /b ""`))
	inside.Close()
	for f.Connections() > 0 { // it finds out by itself
		if t.Context().Err() != nil {
			t.Fatal("the connection stays")
		}
	}
	c := f.dial()
	c.send(plain("/c"))
	c.want(answer(`GET /c ""`))
}

// A failing listener fails before it accepts.
type failing struct {
	*stage
	failures []error
}

func (l *failing) Accept() (net.Conn, error) {
	if len(l.failures) > 0 {
		err := l.failures[0]
		l.failures = l.failures[1:]
		return nil, err
	}
	return l.stage.Accept()
}

// TestAcceptErrors goes on after a lack of descriptors, and reports it.
func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &failing{newStage(), []error{syscall.EMFILE, syscall.ECONNABORTED}}
		f := newFixture(t, echo)
		f.listen(l)
		here, there := net.Pipe()
		defer here.Close()
		l.conns <- there
		ask(t, here, plain("/a"), answer(`GET /a ""`))
		if n := f.failed.Load(); n != 2 {
			t.Errorf("%d failures", n)
		}
	})
}

// TestListenerCloses ends Serve with the listener's error if it is not the server that closes it.
func TestListenerCloses(t *testing.T) {
	f := newFixture(t, echo)
	l := newStage()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// TestHandshake ends a client that does not say hello in time.
func TestHandshake(t *testing.T) {
	f := serve(t, "tls", echo, func(s *Server) { s.HeadTimeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", f.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	c := &client{conn, t}
	defer c.Close()
	if got := c.rest(); got != "" {
		t.Errorf("got %q", got)
	}
}
