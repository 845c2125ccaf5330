package http1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// ErrClosed is what Serve returns after Shutdown or Close.
var ErrClosed = http.ErrServerClosed

// A Server serves connections. Its fields are set before Serve is called and not changed.
type Server struct {
	Handler        http.Handler
	HeadTimeout    time.Duration // for a TLS handshake, and for a head once its first byte has come
	IdleTimeout    time.Duration // for that first byte
	MaxHeadBytes   int           // of a request
	MaxConnections int           // who comes when there are so many is turned away
	// Rejected hears of each who was turned away, Failed of handlers that panicked and of accepts that failed.
	Rejected func()
	Failed   func(what string, cause any)
	// Context returns the context of the requests of a connection. It may add to ctx, which ends with the server.
	Context func(ctx context.Context, conn net.Conn) context.Context

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	closing   bool
	idle      chan struct{} // closed when the last connection has gone, after closing
	ctx       context.Context
	cancel    context.CancelFunc
}

// acceptPause lets a passing lack of descriptors pass.
const acceptPause = 10 * time.Millisecond

// Serve accepts connections until the server is closed.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		return ErrClosed
	}
	for {
		accepted, err := l.Accept()
		switch {
		case err == nil:
			s.start(accepted)
		case s.isClosing():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default: // no descriptors, or a client that left at once
			s.Failed("accept", err)
			time.Sleep(acceptPause)
		}
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.conns == nil {
		s.listeners, s.conns, s.idle = make(map[net.Listener]bool), make(map[*conn]bool), make(chan struct{})
		s.ctx, s.cancel = context.WithCancel(context.Background())
	}
	s.listeners[l] = true
	return true
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start serves a connection, unless there are too many.
func (s *Server) start(accepted net.Conn) {
	c, err := newConn(s, accepted)
	if err != nil {
		s.Failed("accept", err)
		_ = accepted.Close()
		return
	}
	s.mu.Lock()
	full, closing := len(s.conns) >= s.MaxConnections, s.closing
	if !full && !closing {
		s.conns[c] = true
	}
	s.mu.Unlock()
	if full || closing {
		if full {
			s.Rejected()
		}
		_ = accepted.Close()
		return
	}
	go c.serve()
}

// forget removes a connection that has ended.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.closing && len(s.conns) == 0 {
		close(s.idle)
	}
}

// Connections returns how many there are.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// shut ends accepting, cuts the connections that cut picks, and returns a channel that is closed once all have gone.
func (s *Server) shut(cut func(*conn) bool) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil { // Serve was never called
		s.closing = true
		gone := make(chan struct{})
		close(gone)
		return gone, nil
	}
	var errs []error
	if !s.closing {
		s.closing = true
		if len(s.conns) == 0 {
			close(s.idle)
		}
	}
	for l := range s.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
		delete(s.listeners, l)
	}
	for c := range s.conns {
		if cut(c) {
			c.socket.cut() // its goroutine finds out
		}
	}
	return s.idle, errors.Join(errs...)
}

// Shutdown ends accepting and the connections that are between requests, and waits for the others to end theirs.
func (s *Server) Shutdown(ctx context.Context) error {
	gone, err := s.shut(func(c *conn) bool { return !c.busy })
	select {
	case <-gone:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("requests in progress: %w", ctx.Err()))
	}
}

// Close cuts all connections. Their handlers may not have found out when it returns; Shutdown waits for them.
func (s *Server) Close() error {
	_, err := s.shut(func(*conn) bool { return true })
	if s.cancel != nil {
		s.cancel()
	}
	return err
}

// begin marks a connection busy, unless the server is closing.
func (s *Server) begin(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = !s.closing
	return c.busy
}

// end marks it idle, and reports whether another request may come.
func (s *Server) end(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = false
	return !s.closing
}
