package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	head := c.peekHead()
	if head == nil {
		if err := c.SetReadDeadline(time.Now().Add(c.server.HeadTimeout)); err != nil {
			return nil, err
		}
	}
	c.broken = nil
	r, err := http.ReadRequest(c.r)
	switch {
	case err == nil:
	case c.broken == errHeadTooLarge:
		return nil, refusal(http.StatusRequestHeaderFieldsTooLarge)
	case c.broken != nil: // http.ReadRequest may have taken what came before for a line
		return nil, c.broken
	case unsupportedEncoding(err):
		return nil, refusal(http.StatusNotImplemented)
	default:
		return nil, refusal(http.StatusBadRequest)
	}
	if err := check(r); err != nil {
		return nil, err
	}
	r.Close = r.Close || ambiguous(r, head)
	r = r.WithContext(c.ctx)
	r.RemoteAddr = c.remote
	return r, nil
}

// peekHead returns the head, if all of it has been read already, as it has of nearly every request. It is valid until
// more is read.
func (c *conn) peekHead() []byte {
	buffered, _ := c.r.Peek(c.r.Buffered())
	end := bytes.Index(buffered, []byte("\r\n\r\n"))
	if end < 0 {
		return nil
	}
	return buffered[:end]
}

// unsupportedEncoding reports what net/http has no exported type for.
func unsupportedEncoding(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "unsupported transfer encoding") || strings.HasPrefix(text, "too many transfer encodings")
}

// ambiguous reports a request whose end another may see elsewhere, who goes by a header that http.ReadRequest passes
// over and removes: a Content-Length beside chunks, or chunks in HTTP/1.0. If the client's bytes come by way of a proxy
// that does, what we take for the next request may be one that it has never seen. RFC 9112, 6.1, has the connection end.
// A head that has come in pieces is not there to look at.
func ambiguous(r *http.Request, head []byte) bool {
	other := "\ntransfer-encoding"
	switch {
	case r.ContentLength < 0:
		other = "\ncontent-length"
	case r.ProtoAtLeast(1, 1):
		return false
	}
	return head == nil || bytes.Contains(bytes.ToLower(head), []byte(other))
}

// check refuses what http.ReadRequest lets pass and net/http's own server does not.
func check(r *http.Request) error {
	switch {
	case r.ProtoMajor != 1:
		return refusal(http.StatusHTTPVersionNotSupported)
	case r.URL.Host != "": // the Host header is removed then, and cannot be checked; only proxies are asked so
		return refusal(http.StatusBadRequest)
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
		if _, err := b.conn.socket.send(b.conn.impatient, []byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
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
	if b.conn.SetReadDeadline(time.Now().Add(linger)) != nil {
		return false
	}
	_, _ = io.CopyN(io.Discard, b, discardBytes+1) // done tells
	return b.done
}
