package tiers

import (
	"context"
	"sync"
)

// order makes the steps that concern one id happen one after another: publish, delete, the write to
// disk and the promotion to host memory. Without it this would lose:
//
//	writer reads v1 · DELETE answers · PUT v2 is acknowledged · writer stores v1 · host evicts v2 · GET returns v1
//
// With it the writer either finishes before DELETE begins, which then removes what it wrote, or begins
// after and finds that the host no longer holds v1.
//
// A step holds the lock of its id across disk I/O, so whoever needs that id waits for the disk, and
// nobody else does. Hits in host memory take no lock.
type order struct {
	mu    sync.Mutex
	locks map[ID]*turn
}

// A turn is one id's lock: the channel holds a token while nobody has the turn.
type turn struct {
	free  chan struct{}
	users int // holders and waiters; the turn is forgotten when none is left
}

func newOrder() *order { return &order{locks: make(map[ID]*turn)} }

// lock waits for the id's turn; the returned function gives it up.
func (o *order) lock(ctx context.Context, id ID) (unlock func(), err error) {
	o.mu.Lock()
	t := o.locks[id]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		o.locks[id] = t
	}
	t.users++
	o.mu.Unlock()

	select {
	case <-t.free:
		return func() {
			t.free <- struct{}{}
			o.leave(id, t)
		}, nil
	case <-ctx.Done():
		o.leave(id, t)
		return nil, ctx.Err()
	}
}

func (o *order) leave(id ID, t *turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(o.locks, id)
	}
}
