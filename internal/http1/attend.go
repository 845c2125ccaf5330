package http1

import (
	"context"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Attend returns a context that ends when the client leaves, for a handler that waits for something else than the
// client. The handler calls stop when it no longer waits, and neither reads the body nor answers before that.
func (w *Response) Attend(ctx context.Context) (attended context.Context, stop func()) {
	c := w.conn
	if c.socket.raw == nil || c.r.Buffered() > 0 || !w.body.done {
		return ctx, func() {} // what comes next is a request, or the rest of one: the client is there
	}
	ctx, cancel := context.WithCancel(ctx)
	if c.SetReadDeadline(time.Time{}) != nil {
		return ctx, cancel
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		if c.socket.leaves() {
			cancel()
		}
	})
	return ctx, func() {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes who watches
		watching.Wait()
		cancel()
		_ = c.SetReadDeadline(time.Time{}) // of a socket that is gone, reading fails
	}
}

// leaves waits until there is something to read, or a deadline, and reports whether it is the end.
func (s *socket) leaves() (gone bool) {
	_ = s.raw.Read(func(fd uintptr) (done bool) { // its error is the deadline, or that we close the socket
		var one [1]byte
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK)
		if err == syscall.EAGAIN || err == syscall.EINTR {
			return false
		}
		gone = err != nil || n == 0
		return true
	})
	return gone
}
