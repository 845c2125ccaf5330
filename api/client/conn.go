package client

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"syscall"
	"time"
)

const (
	// maxHeaderBytes holds the 8 KiB of a meta and all other headers.
	maxHeaderBytes = 64 << 10
	// readBuffer holds the response to a lookup of 64 keys, 8 KiB: two reads of 4 KiB take 4 µs more.
	readBuffer = 16 << 10
	// smallBody is copied behind its head.
	smallBody = 32 << 10
)

var (
	errHeadTooLong = errors.New("too many bytes of headers")
	errNoAnswer    = errors.New("the service closed the connection without an answer")
)

// A conn is a connection to the service. One exchange uses it at a time. It is cut, rather than closed, when
// a call ends before its answer does: that takes no lock, waits for nothing and ends whatever read or write
// is in progress.
type conn struct {
	socket net.Conn
	stream net.Conn        // what is read and written: the socket, or TLS on it
	poll   syscall.RawConn // the socket; nil if it is none of the system's

	in    *bufio.Reader     // of Read
	lines *textproto.Reader // of in
	out   []byte            // the head of a request; its memory is used again

	budget int64     // bytes that may be read yet
	heard  bool      // whether a byte came since the exchange began
	broken error     // why reading failed; while it is nil, what cannot be parsed is the bytes' fault
	since  time.Time // when it became idle
}

func newConn(socket, stream net.Conn) *conn {
	c := &conn{socket: socket, stream: stream}
	if s, ok := socket.(syscall.Conn); ok {
		c.poll, _ = s.SyscallConn() // without it, silent believes
	}
	c.in = bufio.NewReaderSize(c, readBuffer)
	c.lines = textproto.NewReader(c.in)
	return c
}

// begin makes the connection ready for an exchange.
func (c *conn) begin() { c.budget, c.heard, c.broken = maxHeaderBytes, false, nil }

// Read implements io.Reader for the buffer, within the budget.
func (c *conn) Read(p []byte) (int, error) {
	if c.budget <= 0 {
		c.broken = protocolError("%w", errHeadTooLong)
		return 0, c.broken
	}
	n, err := c.stream.Read(p[:min(int64(len(p)), c.budget)])
	c.budget -= int64(n)
	c.heard = c.heard || n > 0
	c.broken = err
	return n, err
}

// fault says why something could not be read. Parsers return errors of one kind for bytes that are wrong and
// for a connection that broke, and some repeat the bytes, which nobody should print.
func (c *conn) fault(what string) error {
	switch {
	case c.broken == nil:
		return protocolError("the %s cannot be parsed", what)
	case !errors.Is(c.broken, io.EOF):
		return c.broken
	case !c.heard:
		return errNoAnswer // nothing was broken off
	}
	return io.ErrUnexpectedEOF
}

// exhausted reports whether nothing that came is still to be read. TLS may hold some of it; a read that may not
// wait shows it, and leaves TLS as it was.
func (c *conn) exhausted() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	if c.stream == c.socket {
		return true
	}
	_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	n, err := c.stream.Read(make([]byte, 1))
	_ = c.socket.SetReadDeadline(time.Time{})
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// send writes the head in c.out and the body, together if the body is small: one system call, and one record of
// TLS. net.Buffers would save the copy, but the race detector does not see its system call as it sees that of
// Write, and complains of what a test shares with its server.
func (c *conn) send(body []byte) error {
	if len(body) <= smallBody {
		c.out = append(c.out, body...)
		body = nil
	}
	if _, err := c.stream.Write(c.out); err != nil || len(body) == 0 {
		return err
	}
	_, err := c.stream.Write(body)
	return err
}

// cut ends the connection at once.
func (c *conn) cut() { _ = c.socket.Close() }

// close ends a connection on which nothing is in progress, as its protocol wants it.
func (c *conn) close() { _ = c.stream.Close() }

// stopWriting ends a write in progress and every later one, and leaves reading alone. resumeWriting undoes it.
func (c *conn) stopWriting() { _ = c.socket.SetWriteDeadline(time.Unix(1, 0)) }

func (c *conn) resumeWriting() { _ = c.socket.SetWriteDeadline(time.Time{}) }

// hangUp tells the service for good that nothing more will be written.
func (c *conn) hangUp() {
	if half, ok := c.socket.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
