package client

import (
	"sync"
	"time"
)

const (
	// idleConns is how many connections are kept between calls; one costs 20 to 50 KiB.
	idleConns   = 64
	idleTimeout = 90 * time.Second
)

// A pool keeps the connections that no exchange uses. The one that was used last is used next: it is the
// least likely to have been closed by the service, and those below it grow old and go. Until then a timer
// waits for the oldest, and no goroutine.
type pool struct {
	mu     sync.Mutex
	idle   []*conn     // the oldest first
	expiry *time.Timer // nil while it need not run
	shut   bool        // what comes back is closed: since close, until the next take
}

// take returns an idle connection, which nobody else has, or nil.
func (p *pool) take() *conn {
	for {
		c := p.pop()
		if c == nil || c.silent() {
			return c
		}
		c.close()
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// put takes a connection on which an exchange has ended and another may begin.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	keep := !p.shut && len(p.idle) < idleConns
	if keep {
		c.since = time.Now()
		p.idle = append(p.idle, c)
		if p.expiry == nil {
			p.expiry = time.AfterFunc(idleTimeout, p.expire)
		}
	}
	p.mu.Unlock()
	if !keep {
		c.close()
	}
}

// expire closes what has been idle for long and comes back for the next.
func (p *pool) expire() {
	p.mu.Lock()
	now := time.Now()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= idleTimeout {
		n++
	}
	old := p.drop(n)
	if p.expiry = nil; len(p.idle) > 0 {
		p.expiry = time.AfterFunc(idleTimeout-now.Sub(p.idle[0].since), p.expire)
	}
	p.mu.Unlock()
	closeAll(old)
}

// close closes the connections that are idle, and those that exchanges use when they end.
func (p *pool) close() {
	p.mu.Lock()
	p.shut = true
	all := p.drop(len(p.idle))
	if p.expiry != nil {
		p.expiry.Stop()
		p.expiry = nil
	}
	p.mu.Unlock()
	closeAll(all)
}

// drop removes the n oldest.
func (p *pool) drop(n int) []*conn {
	old := append([]*conn(nil), p.idle[:n]...)
	p.idle = append([]*conn(nil), p.idle[n:]...)
	return old
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}
