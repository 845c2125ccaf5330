package http1

import (
	"context"
	"sync"
	"time"
)

// Attend returns a context that ends when the client leaves, for a handler that waits for something else than the
// client. The handler calls stop when it no longer waits, at the latest when it returns; until then it does not read
// the body, and answers as it likes. A client that has sent its next request already is taken to be there.
func (w *Response) Attend(ctx context.Context) (attended context.Context, stop func()) {
	c := w.conn
	if c.r.Buffered() > 0 || !w.body.done {
		return ctx, func() {} // what comes next is a request, or the rest of one
	}
	if c.SetReadDeadline(time.Time{}) != nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if _, err := c.r.Peek(1); err != nil { // what it reads instead is the next request's
			cancel()
		}
	})
	w.stop = sync.OnceFunc(func() {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes who watches
		watching.Wait()
		cancel()
		_ = c.SetReadDeadline(time.Time{}) // of a socket that is gone, reading fails
	})
	return ctx, w.stop
}
