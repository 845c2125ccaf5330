package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// expectContinueTimeout is how long a PUT waits to be asked for its body before it sends it unasked. The
	// service answers at once, or when it has found memory; who never answers is a proxy.
	expectContinueTimeout = 2 * time.Second
	// lastWordTimeout is how long the answer of a service that takes no more of a request may be on its way.
	lastWordTimeout = 2 * time.Second
)

// An exchange is one request and its response on one connection. It runs on the goroutine of its caller; while
// a large body is being sent, a second one listens for an answer that comes early. It ends when its context does:
// the connection is cut then.
type exchange struct {
	ctx    context.Context
	pool   *pool
	conn   *conn
	detach func() bool // from ctx; false if that has cut the connection
	whole  bool        // the request was sent to its end, so that another one may follow
}

// roundTrip sends a request and returns its response. What fails on a connection that was used before, without
// a word of the service, is sent once more on a new one: the service had closed it, when it restarted or had
// seen no request for long. Every call may be sent twice.
func (c *Client) roundTrip(ctx context.Context, r *request) (*response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if used := c.pool.take(); used != nil {
		resp, err := c.exchange(ctx, used, r)
		if err == nil || used.heard || r.body.spent || ctx.Err() != nil {
			return resp, err
		}
	}
	fresh, err := c.connect(ctx)
	if err != nil {
		return nil, because(ctx, err)
	}
	return c.exchange(ctx, fresh, r)
}

func (c *Client) exchange(ctx context.Context, on *conn, r *request) (*response, error) {
	on.begin()
	x := &exchange{ctx: ctx, pool: &c.pool, conn: on, detach: context.AfterFunc(ctx, on.cut)}
	on.out = r.appendHead(on.out[:0], c.address.host)
	h, err := x.deliver(r)
	if err != nil {
		x.end(false)
		return nil, because(ctx, err)
	}
	return newResponse(x, h), nil
}

// because puts the end of the context before the error that it led to.
func because(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// end gives the connection back if another exchange may follow on it.
func (x *exchange) end(persist bool) {
	// Once detach has failed, the context may cut the connection at any time, also when the next exchange
	// has it. Bytes behind the response are an answer to nothing.
	if x.detach() && persist && x.whole && x.conn.exhausted() {
		x.pool.put(x.conn)
	} else {
		x.conn.cut()
	}
}

// deliver sends the request and returns the head of its final response.
func (x *exchange) deliver(r *request) (head, error) {
	c := x.conn
	if !r.asks() {
		return x.answer(r, c.send(r.body.memory))
	}
	if err := c.send(nil); err != nil {
		return x.answer(r, err)
	}
	h, err := c.invitation(r)
	if err != nil || h.status >= 200 {
		// The body was announced and is not sent: nothing can follow it (RFC 9112, 9.3).
		return h, err
	}
	return x.upload(r)
}

// answer reads the head of the final response to a request that was written, or as far as it could be: a service
// that refuses a request may close the connection before it has read all of it.
func (x *exchange) answer(r *request, written error) (head, error) {
	if x.whole = written == nil; !x.whole {
		_ = x.conn.socket.SetReadDeadline(time.Now().Add(lastWordTimeout))
	}
	return x.conn.readFinal(r.method)
}

// invitation waits until the service asks for the body, or has kept silent for expectContinueTimeout. If it
// answers instead, its final response is returned.
func (c *conn) invitation(r *request) (head, error) {
	deadline := time.Now().Add(expectContinueTimeout)
	for range maxInterim {
		_ = c.socket.SetReadDeadline(deadline)
		_, err := c.in.Peek(1)
		_ = c.socket.SetReadDeadline(time.Time{}) // what has begun may take its time
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return head{}, nil
		case err != nil:
			return head{}, c.fault("status line")
		}
		h, err := c.readHead(r.method)
		if err != nil || h.status >= 200 || h.status == 100 {
			return h, err
		}
	}
	return head{}, protocolError("more than %d interim responses", maxInterim)
}
