package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

const (
	// readBuffer holds the usual head; large reads of a body go past it.
	readBuffer = 4 << 10
	// slack is the part of the idle timeout by which its deadline may be off before it is set anew: setting it costs
	// as much as parsing a header.
	slack = 64
	// discardBytes is how much of a body that nobody wants is read to keep a connection: less than a new one costs.
	discardBytes = 64 << 10
	// linger is how long a connection whose client may still be sending is kept before it is closed: closing it at
	// once would take back the answer that is on its way.
	linger = 500 * time.Millisecond
)

// A conn is one connection. It belongs to the goroutine that serves it, but for busy.
type conn struct {
	server *Server
	socket *socket
	r      *bufio.Reader
	quota  int64     // how many more bytes may be read of a head
	broken error     // why the last read failed: while it is nil, a head that cannot be parsed is the client's fault
	idle   time.Time // the read deadline that is in force, if it is that of the idle timeout
	remote string
	ctx    context.Context
	busy   bool // a request is under way; guarded by Server.mu
	w      Response
	body   body

	impatient Full // c.impatience
}

func newConn(s *Server, accepted net.Conn) (*conn, error) {
	socket, err := newSocket(accepted)
	if err != nil {
		return nil, err
	}
	c := &conn{server: s, socket: socket, remote: accepted.RemoteAddr().String()}
	c.impatient = c.impatience
	c.body.conn = c
	c.w = Response{conn: c, body: &c.body, header: make(http.Header)}
	c.r = bufio.NewReaderSize(c, readBuffer)
	ctx := context.WithValue(s.ctx, http.LocalAddrContextKey, accepted.LocalAddr())
	c.ctx = s.Context(ctx, accepted)
	return c, nil
}

// Read implements io.Reader for the buffer: of a head, it reads no more than it may.
func (c *conn) Read(p []byte) (int, error) {
	if c.quota <= 0 {
		c.broken = errHeadTooLarge
		return 0, c.broken
	}
	n, err := c.socket.Read(p[:min(int64(len(p)), c.quota)])
	c.quota -= int64(n)
	c.broken = err
	return n, err
}

// serve answers requests until the client or the server has enough.
func (c *conn) serve() {
	defer c.server.forget(c)
	defer func() { _ = c.socket.Close() }() // the client may have closed it already
	defer c.catch()
	if !c.shakeHands() {
		return
	}
	for c.awaitRequest() {
		if !c.server.begin(c) {
			return
		}
		keep := c.exchange()
		if !c.server.end(c) || !keep {
			return
		}
	}
}

// shakeHands does what TLS begins with, in time.
func (c *conn) shakeHands() bool {
	secure, ok := c.socket.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.server.HeadTimeout)
	defer cancel()
	return secure.HandshakeContext(ctx) == nil // a client that does not manage hears of it from TLS
}

// awaitRequest waits for the first byte of a request.
func (c *conn) awaitRequest() bool {
	c.quota = int64(c.server.MaxHeadBytes) + readBuffer // the front of a body may come with it
	if c.r.Buffered() > 0 {
		return true
	}
	if c.startIdleTimeout() != nil {
		return false
	}
	_, err := c.r.Peek(1)
	return err == nil
}

// startIdleTimeout sets the read deadline to what the idle timeout makes it now, or leaves it there.
func (c *conn) startIdleTimeout() error {
	timeout := c.server.IdleTimeout
	deadline := time.Now().Add(timeout)
	if deadline.Sub(c.idle) <= timeout/slack {
		return nil
	}
	err := c.SetReadDeadline(deadline)
	c.idle = deadline
	return err
}

// SetReadDeadline sets the deadline of reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.idle = time.Time{}
	return c.socket.SetReadDeadline(t)
}

// impatience is the pace of what the connection sends by itself, and of a response whose handler sets no other.
func (c *conn) impatience(int64, int64) error {
	return c.socket.SetWriteDeadline(time.Now().Add(c.server.HeadTimeout))
}

// exchange reads a request and answers it, and reports whether the connection is fit for another.
func (c *conn) exchange() (keep bool) {
	request, err := c.readRequest()
	if err != nil {
		c.refuse(err)
		return false
	}
	c.quota = math.MaxInt64
	c.w.begin(request)
	if request.ContentLength != 0 && c.startIdleTimeout() != nil { // in case that the handler sets no deadline
		return false
	}
	c.handle(request)
	if c.w.finish() != nil {
		return false
	}
	if c.w.last || !c.body.discard() {
		c.lingerOn()
		return false
	}
	return true
}

// handle calls the handler. Nobody watches the client once it is over, even in a panic.
func (c *conn) handle(r *http.Request) {
	defer func() {
		if c.w.stop != nil {
			c.w.stop()
		}
	}()
	c.server.Handler.ServeHTTP(&c.w, r)
}

// catch ends a panic, which costs the connection and nothing else.
func (c *conn) catch() {
	switch cause := recover(); cause {
	case nil, http.ErrAbortHandler:
	default:
		c.server.Failed("panic", fmt.Sprintf("%v\n%s", cause, debug.Stack()))
	}
}

// lingerOn tells the client that nothing more comes, and reads what it still sends for a moment.
func (c *conn) lingerOn() {
	if half, ok := c.socket.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if c.SetReadDeadline(time.Now().Add(linger)) == nil {
		_, _ = io.Copy(io.Discard, c.socket) // it ends with the client, or at the deadline
	}
}
