package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// pendingWait is how long a client lets the service wait for another's encode before it encodes itself.
	pendingWait = 2 * time.Second
	// errorPause keeps a client from asking a server that is down a hundred thousand times a second.
	errorPause = 50 * time.Millisecond
)

// A client drives one connection.
type client struct {
	run   *run
	ctx   context.Context // of the run
	name  string
	conn  Conn
	buf   []byte
	tally *tally
	begin time.Time // of the operation under way; of the first one of a request: when it was due

	failed bool // an operation of this request
	cut    bool // this request, by the end of the run
}

// touch makes the buffer's pages exist, so that their first use is not on the clock.
func (c *client) touch() {
	for i := 0; i < len(c.buf); i += 4096 {
		c.buf[i] = 1
	}
}

// work does requests until there are no more.
func (c *client) work() {
	defer c.conn.Close()
	t := c.run.traffic
	for {
		n := c.run.next.Add(1) - 1
		if t.Requests > 0 && n >= t.Requests {
			return
		}
		due := c.run.due(n)
		if !sleepUntil(c.ctx, due) {
			if t.Rate > 0 && !due.After(time.Now()) {
				c.tally.unanswered++
			}
			return
		}
		c.begin = due
		if t.Rate == 0 {
			c.begin = time.Now()
		}
		c.failed = false
		c.do(t.Next(n))
		if c.cut {
			c.tally.unanswered++
			return
		}
		c.run.moment.requests.Add(1)
		if c.failed && !sleepUntil(c.ctx, time.Now().Add(errorPause)) {
			return
		}
	}
}

func (c *client) do(r Request) {
	switch r.Op {
	case Get:
		for i := 0; i < len(r.Items) && !c.cut; i++ {
			c.get(&r.Items[i])
		}
	case Put:
		for i := 0; i < len(r.Items) && !c.cut; i++ {
			c.put(&r.Items[i], "")
		}
	case Lookup:
		c.lookup(r.Question)
	default:
		c.read(r.Items)
	}
}

// read does what an engine does for a request: it reads what is there, and encodes and stores what is not.
func (c *client) read(items []Item) {
	claimer, ok := c.conn.(Claimer)
	if !ok {
		for i := 0; i < len(items) && !c.cut; i++ {
			if !c.get(&items[i]) {
				c.encode(&items[i], "")
			}
		}
		return
	}
	keys := make([]string, len(items))
	for i := range items {
		keys[i] = items[i].Key
	}
	standing, err := claimer.Claim(keys, c.name, pendingWait)
	asked := time.Since(c.begin)
	if !c.finish(Lookup, 0, err) {
		return
	}
	c.tally.keys += int64(len(keys))
	for i := 0; i < len(items) && !c.cut; i++ {
		switch {
		case standing.Hit[i]:
			if !c.get(&items[i]) { // it has been evicted since
				c.encode(&items[i], "")
			}
		case standing.Pending[i]:
			c.encode(&items[i], "")
		default:
			c.tally.count(Miss, asked, 0)
			c.encode(&items[i], standing.Claim)
		}
	}
}

// encode takes as long as the encoder would, and stores what it made.
func (c *client) encode(item *Item, claim string) {
	c.tally.encodes++
	cost := time.Duration(float64(item.Cost) * c.run.traffic.Encode)
	if cost > 0 && !sleepUntil(c.ctx, time.Now().Add(cost)) {
		c.cut = true
		return
	}
	c.begin = time.Now()
	c.put(item, claim)
}

// get reads an embedding and reports whether it is there.
func (c *client) get(item *Item) bool {
	reply, err := c.conn.Get(item.Key, c.buf)
	if errors.Is(err, ErrMiss) {
		c.finish(Miss, 0, nil)
		return false
	}
	if !c.finish(Get, int64(reply.Size), err) {
		return true // not there for all we know, but encoding it again would help nobody
	}
	if reply.Tier != "" {
		c.tally.tiers[reply.Tier]++
	}
	if err := c.verify(item, c.buf[:reply.Size]); err != nil {
		c.tally.mistake(err)
	}
	c.begin = time.Now() // verifying is not on the clock
	return true
}

func (c *client) verify(item *Item, got []byte) error {
	if c.run.traffic.Verify == VerifyOff {
		if int64(len(got)) != item.Size {
			return fmt.Errorf("key %q: %d bytes came instead of %d", item.Key, len(got), item.Size)
		}
		return nil
	}
	value := c.run.traffic.Payloads.Value(*item)
	return value.Check(got, c.run.traffic.Verify == VerifyAll)
}

func (c *client) put(item *Item, claim string) {
	value := c.run.traffic.Payloads.Value(*item)
	c.finish(Put, item.Size, c.conn.Put(&value, claim))
}

func (c *client) lookup(q *Question) {
	looker, ok := c.conn.(Looker)
	if !ok {
		c.failed = true
		c.tally.fail(errors.New("the target has no lookup of many keys"))
		return
	}
	hits, err := looker.Lookup(q)
	if c.finish(Lookup, 0, err) {
		c.tally.keys += int64(len(q.Keys))
		if hits != len(q.Keys) {
			c.tally.fail(fmt.Errorf("%d of %d keys are there", hits, len(q.Keys)))
		}
	}
}

// finish counts an operation that began at c.begin, and reports whether it went well.
func (c *client) finish(op Op, bytes int64, err error) bool {
	now := time.Now()
	took := now.Sub(c.begin)
	c.begin = now
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		c.tally.refused++
		c.run.moment.refused.Add(1)
		if refusal.RetryAfter == "" {
			c.tally.unexcused++
		}
		return false
	case err != nil && c.ctx.Err() != nil:
		c.cut = true // the end of the run closed the connection: no fault of the server
		return false
	case err != nil:
		c.failed = true
		c.tally.fail(err)
		return false
	}
	c.tally.count(op, took, bytes)
	c.run.moment.bytes.Add(bytes)
	return true
}

// A moment counts what all clients have done so far.
type moment struct{ requests, bytes, refused atomic.Int64 }

// sleepUntil returns false when ctx ends first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
