package client

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// uploadStep is how much of a stream is read before it is written. It fits in the buffer of a unix socket,
// 208 KiB.
const uploadStep = 128 << 10

var errAnsweredEarly = errors.New("the service answered before the body was sent")

// A sourceError is that the body could not be read.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// upload sends a large body and returns the head of the final response. The caller's goroutine writes, so that
// nothing touches the caller's bytes once the call has returned. A second one reads the head meanwhile: an
// answer that comes early, a refusal, ends the writing. If the connection breaks, what answer there is counts.
func (x *exchange) upload(r *request) (h head, err error) {
	c := x.conn
	var drawn atomic.Bool
	drawn.Store(r.body.stream == nil)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		h, err = c.readFinal(r.method)
		// A write that is complete by now does not notice.
		c.stopWriting()
		if drawn.CompareAndSwap(false, true) {
			// The caller may be waiting for its stream. The service need not.
			c.hangUp()
		}
	}()
	written := r.body.writeTo(c, &drawn)
	var failed sourceError
	switch {
	case errors.As(written, &failed):
		c.cut()
	case written != nil:
		_ = c.socket.SetReadDeadline(time.Now().Add(lastWordTimeout))
	}
	<-answered
	c.resumeWriting()
	if failed.error != nil {
		return head{}, failed
	}
	x.whole = written == nil
	return h, err
}

// writeTo writes the body to the connection. Whoever sets drawn first, when the last byte of the stream was
// read, decides: the writer, and the request will be complete; or the listener, who has hung up.
func (s *source) writeTo(c *conn, drawn *atomic.Bool) error {
	if s.stream == nil {
		_, err := c.stream.Write(s.memory)
		return err
	}
	s.spent = true
	step := make([]byte, uploadStep)
	for unread := s.size; unread > 0; {
		piece := step[:min(unread, uploadStep)]
		if err := fill(piece, s.stream); err != nil {
			return sourceError{err}
		}
		unread -= int64(len(piece))
		if unread == 0 && !drawn.CompareAndSwap(false, true) {
			return errAnsweredEarly
		}
		if _, err := c.stream.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// fill reads all of piece.
func fill(piece []byte, r io.Reader) error {
	_, err := io.ReadFull(r, piece)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}
