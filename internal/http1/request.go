package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

var errHeadTooLarge = errors.New("request head too large")

// A refusal is a request that no handler sees.
type refusal int

func (r refusal) Error() string { return http.StatusText(int(r)) }

// readRequest reads a head. If not all of it is there, the rest must come in time.
func (c *conn) readRequest() (*http.Request, error) {
	if !c.headIsHere() {
		if err := c.SetReadDeadline(time.Now().Add(c.server.HeadTimeout)); err != nil {
			return nil, err
		}
	}
	r, err := http.ReadRequest(c.r)
	switch {
	case err == nil:
	case errors.Is(err, errHeadTooLarge):
		return nil, refusal(http.StatusRequestHeaderFieldsTooLarge)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(net.Error)):
		return nil, err
	case strings.Contains(err.Error(), "transfer encoding"): // net/http has no type for it
		return nil, refusal(http.StatusNotImplemented)
	default:
		return nil, refusal(http.StatusBadRequest)
	}
	if err := check(r); err != nil {
		return nil, err
	}
	r = r.WithContext(c.ctx)
	r.RemoteAddr = c.remote
	return r, nil
}

// headIsHere reports whether a whole head has been read already, as it has of nearly every request.
func (c *conn) headIsHere() bool {
	buffered, _ := c.r.Peek(c.r.Buffered())
	return bytes.Contains(buffered, []byte("\r\n\r\n"))
}

// check refuses what http.ReadRequest lets pass and net/http's own server does not.
func check(r *http.Request) error {
	switch {
	case r.ProtoMajor != 1:
		return refusal(http.StatusHTTPVersionNotSupported)
	case r.Host == "" && r.ProtoAtLeast(1, 1), !httpguts.ValidHostHeader(r.Host):
		return refusal(http.StatusBadRequest)
	}
	for name, values := range r.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return refusal(http.StatusBadRequest)
			}
		}
	}
	if expect := r.Header.Get("Expect"); expect != "" && !strings.EqualFold(expect, "100-continue") {
		return refusal(http.StatusExpectationFailed)
	}
	return nil
}

// refuse answers a request that is none.
func (c *conn) refuse(err error) {
	status, ok := err.(refusal)
	if !ok {
		return // nobody is there, or it was too slow to be worth an answer
	}
	text := http.StatusText(int(status))
	answer := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"+
		"Connection: close\r\n\r\n%s", status, text, len(text), text)
	if c.socket.SetWriteDeadline(time.Now().Add(linger)) != nil {
		return
	}
	if _, err := c.socket.Write(answer); err == nil {
		c.lingerOn()
	}
}

// A body is the body of a request.
type body struct {
	conn *conn
	rest io.ReadCloser // as net/http frames it
	left int64         // bytes; -1: its end tells
	ask  bool          // the client waits to be asked for it
	done bool          // it was read to its end
}

// begin takes the place of a request's body.
func (b *body) begin(r *http.Request) {
	*b = body{conn: b.conn, rest: r.Body, left: r.ContentLength, done: r.ContentLength == 0}
	if !b.done {
		b.ask = r.ProtoAtLeast(1, 1) && r.Header.Get("Expect") != ""
		r.Body = b
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.ask {
		b.ask = false
		if _, err := b.conn.socket.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return 0, err
		}
	}
	n, err := b.rest.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	b.done = b.done || err == io.EOF || b.left == 0
	return n, err
}

// Close implements io.Closer. What is not read is the connection's to deal with.
func (b *body) Close() error { return nil }

// discard reads what little is left, and reports whether the next bytes are those of the next request.
func (b *body) discard() bool {
	if b.done {
		return true
	}
	if b.ask || b.left > discardBytes {
		return false
	}
	if b.conn.SetReadDeadline(time.Now().Add(linger)) != nil {
		return false
	}
	_, _ = io.CopyN(io.Discard, b, discardBytes+1) // done tells
	return b.done
}
