package http1

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// smallWrite is up to where a write waits for what follows, to go with it.
const smallWrite = 4 << 10

// A Response is the answer to one request. It implements http.ResponseWriter.
type Response struct {
	conn   *conn
	body   *body // of the request
	header http.Header
	full   Full
	stop   func() // of Attend; nil before

	status  int   // 0 until WriteHeader
	left    int64 // bytes of the body to come; -1: its end tells
	chunked bool
	bare    bool   // no body is sent, whatever the headers say of it
	old     bool   // HTTP/1.0
	last    bool   // the connection ends with it
	held    []byte // a head, and small writes behind it
	err     error  // of an earlier write
}

// begin makes w the answer to another request. A connection has one of each: handlers are done with them when they
// return.
func (w *Response) begin(r *http.Request) {
	clear(w.header)
	*w = Response{
		conn:   w.conn,
		header: w.header,
		held:   w.held[:0],
		body:   w.body,
		full:   w.conn.impatient,
		bare:   r.Method == http.MethodHead,
		old:    !r.ProtoAtLeast(1, 1),
		last:   r.Close,
	}
	w.body.begin(r)
	w.conn.socket.deadline = time.Time{} // the last response's
}

// Pace sets what hears of a client that does not keep up, instead of giving it HeadTimeout for each step.
func (w *Response) Pace(full Full) { w.full = full }

// Header implements http.ResponseWriter.
func (w *Response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. It is called once.
func (w *Response) WriteHeader(status int) {
	if w.status != 0 || status < 200 || status > 999 {
		panic(fmt.Sprintf("http1: status %d after %d", status, w.status))
	}
	w.status = status
	w.bare = w.bare || w.bodiless()
	w.frame()
	w.appendHead()
}

// bodiless reports whether the status means that there is no body.
func (w *Response) bodiless() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// frame decides how the client is to know where the body ends.
func (w *Response) frame() {
	w.left = -1
	if length := w.header.Get("Content-Length"); length != "" {
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil || n < 0 {
			panic("http1: Content-Length " + length)
		}
		w.left = n
	}
	if w.body.ask {
		// A client that waits to be asked for a body may send it after all, while the answer is on its way: nobody
		// could tell what comes then from a request. And from here on, asking would break the answer.
		w.body.ask, w.last = false, true
	}
	if w.body.left > discardBytes || strings.EqualFold(w.header.Get("Connection"), "close") {
		w.last = true
	}
	if w.left < 0 && !w.bare {
		w.chunked = !w.old
		w.last = w.last || w.old
	}
}

// appendHead writes status line and headers as they are now.
func (w *Response) appendHead() {
	b := append(w.held, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(append(append(b, ' '), http.StatusText(w.status)...), "\r\n"...)
	for name, values := range w.header {
		switch {
		case name == "Connection", name == "Transfer-Encoding", name == "Date":
			continue // the connection's own
		case name == "Content-Length" && w.bodiless(), !httpguts.ValidHeaderFieldName(name):
			continue
		}
		for _, value := range values {
			b = append(append(b, name...), ": "...)
			b = append(appendLine(b, value), "\r\n"...)
		}
	}
	b = append(b, "Date: "...)
	b = time.Now().UTC().AppendFormat(b, http.TimeFormat)
	b = append(b, "\r\n"...)
	switch {
	case w.last:
		b = append(b, "Connection: close\r\n"...)
	case w.old:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	if w.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	w.held = append(b, "\r\n"...)
}

// appendLine keeps a value from ending its line.
func appendLine(b []byte, value string) []byte {
	start := len(b)
	b = append(b, value...)
	for i, c := range b[start:] {
		if c == '\r' || c == '\n' {
			b[start+i] = ' '
		}
	}
	return b
}

// Write implements http.ResponseWriter.
func (w *Response) Write(p []byte) (int, error) {
	n, err := w.Send(p)
	return int(n), err
}

// Send writes parts of the body, one after the other, in one system call where the socket takes them. It returns how
// many bytes of the body were sent, or held for what follows.
func (w *Response) Send(parts ...[]byte) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n := size(parts)
	switch {
	case w.err != nil:
		return 0, w.err
	case n == 0:
		return 0, nil
	case w.bodiless():
		return 0, http.ErrBodyNotAllowed
	case w.left >= 0 && n > w.left:
		return 0, http.ErrContentLength
	}
	if w.left >= 0 {
		w.left -= n
	}
	if w.bare {
		return n, nil // to HEAD: a handler may answer it as it answers GET
	}
	if w.chunked {
		w.held = append(strconv.AppendInt(w.held, n, 16), "\r\n"...)
	}
	if n <= smallWrite {
		for _, part := range parts {
			w.held = append(w.held, part...)
		}
		w.endChunk()
		if len(w.held) > 2*smallWrite {
			return n, w.flush(w.full)
		}
		return n, nil
	}
	held := int64(len(w.held))
	sent, err := w.conn.socket.send(w.full, w.held, parts...)
	w.held, w.err = w.held[:0], err
	w.endChunk()
	return max(0, sent-held), err
}

func (w *Response) endChunk() {
	if w.chunked {
		w.held = append(w.held, "\r\n"...)
	}
}

// flush sends what is held.
func (w *Response) flush(full Full) error {
	if w.err == nil && len(w.held) > 0 {
		_, w.err = w.conn.socket.send(full, w.held)
		w.held = w.held[:0]
	}
	return w.err
}

// FlushError sends what is held, the head at least. It is for http.ResponseController, too.
func (w *Response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.flush(w.full)
}

// errShort means that a handler sent less than it announced.
var errShort = errors.New("the answer is shorter than its Content-Length")

// finish sends the end of the answer, at a pace of its own: the handler's does not know of it. An error means that the
// client got less than it was told of.
func (w *Response) finish() error {
	if w.status == 0 {
		if !w.bare && len(w.header["Content-Length"]) == 0 {
			w.header.Set("Content-Length", "0")
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.left > 0 && !w.bare {
		_ = w.flush(w.conn.impatient)
		return errShort
	}
	if w.chunked {
		w.held = append(w.held, "0\r\n\r\n"...)
	}
	return w.flush(w.conn.impatient)
}

// SetReadDeadline sets the deadline for reads of the request's body.
func (w *Response) SetReadDeadline(t time.Time) error { return w.conn.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes, for a Full function. It holds while the client must take something.
func (w *Response) SetWriteDeadline(t time.Time) error { return w.conn.socket.SetWriteDeadline(t) }
