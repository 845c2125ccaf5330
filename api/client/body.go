package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"net/http/httputil"
	"net/textproto"
)

// maxDrain is what is read of an unwanted body so that the connection can be used again; beyond that a new
// connection costs less.
const maxDrain = 64 << 10

// A response is what came back: the head, and the body that is still to be read. The connection is its own
// until it is read to the end or closed. Large reads go from the socket to the reader's memory.
type response struct {
	head
	exchange *exchange
	from     io.Reader // the connection's buffer, or the chunks in it
	unread   int64     // bytes; negative as head.length is
	err      error     // what every further Read returns
}

func newResponse(x *exchange, h head) *response {
	r := &response{head: h, exchange: x, from: x.conn.in, unread: h.length}
	x.conn.budget = math.MaxInt64 // what a body may have is its reader's business
	if h.chunked {
		r.from = httputil.NewChunkedReader(x.conn.in)
	}
	if r.unread == 0 {
		r.end(io.EOF)
	}
	return r
}

// Read reads the next bytes of the body. Behind the last one it returns io.EOF, and io.ErrUnexpectedEOF where
// the body must not end.
func (r *response) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.unread > 0 && int64(len(p)) > r.unread {
		p = p[:r.unread]
	}
	n, err := r.from.Read(p)
	if r.unread > 0 {
		if r.unread -= int64(n); r.unread == 0 {
			err = io.EOF
		} else if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		r.end(err)
		if n == 0 {
			return 0, r.err
		}
	}
	return n, nil
}

// end ends the exchange, with io.EOF as it should.
func (r *response) end(err error) {
	x := r.exchange
	switch {
	case !errors.Is(err, io.EOF):
		err = because(x.ctx, x.conn.fault("body"))
	case r.chunked:
		err = r.trailer()
	}
	r.err = err
	x.end(err == io.EOF && r.persist)
}

// trailer passes over the headers behind the last chunk. Like net/http, and unlike package textproto alone, it wants
// every line to end in CR LF.
func (r *response) trailer() error {
	c := r.exchange.conn
	c.budget = maxHeaderBytes
	var lines []byte
	for !bytes.HasSuffix(lines, []byte("\r\n\r\n")) && string(lines) != "\r\n" {
		line, err := c.in.ReadSlice('\n')
		if err == nil && !bytes.HasSuffix(line, []byte("\r\n")) {
			err = errBareLF
		}
		if err != nil {
			return because(r.exchange.ctx, c.fault("trailer"))
		}
		lines = append(lines, line...)
	}
	if len(lines) > 2 {
		if _, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(lines))).ReadMIMEHeader(); err != nil {
			return protocolError("the trailer cannot be parsed")
		}
	}
	return io.EOF
}

var errBareLF = errors.New("a line without CR LF")

// Close ends the exchange where it is.
func (r *response) Close() {
	if r.err == nil {
		r.err = io.ErrClosedPipe
		r.exchange.end(false)
	}
}

// drain reads what little is left of the body, so that the connection can be used again, and closes it.
func (r *response) drain() {
	if r.err == nil {
		_, _ = io.CopyN(io.Discard, r, maxDrain) // an error here only costs the connection
		r.Close()
	}
}
