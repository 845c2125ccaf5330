package tiers

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// flights makes one read of the disk out of any number of concurrent gets of one id.
type flights struct {
	mu    sync.Mutex
	byID  map[ID]*flight
	reads uint64 // flights begun
	rides uint64 // gets that joined one
}

// A flight is one read from disk into host memory. It runs under the store's context: a getter that
// gives up does not end it for the others.
type flight struct {
	done      chan struct{}
	landed    bool
	waiters   int        // getters that will take a reference each
	embedding *Embedding // set before done is closed, with one reference for each waiter
	err       error
}

func newFlights() *flights { return &flights{byID: make(map[ID]*flight)} }

// board joins the id's flight or begins one with start.
func (f *flights) board(id ID, start func(*flight)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.byID[id]
	if fl == nil {
		fl = &flight{done: make(chan struct{})}
		f.byID[id] = fl
		f.reads++
		start(fl)
	} else {
		f.rides++
	}
	fl.waiters++
	return fl
}

// land ends the flight with an embedding, whose reference it takes over, or an error.
func (f *flights) land(id ID, fl *flight, e *Embedding, err error) {
	f.mu.Lock()
	delete(f.byID, id)
	fl.landed = true
	fl.embedding, fl.err = e, err
	for range fl.waiters {
		if e != nil {
			e.Retain()
		}
	}
	f.mu.Unlock()
	if e != nil {
		e.Release()
	}
	close(fl.done)
}

// wait returns the flight's result; the caller releases the embedding. When ctx ends first the reference
// meant for this getter is dropped, or not taken if the flight is still under way.
func (f *flights) wait(ctx context.Context, fl *flight) (*Embedding, error) {
	select {
	case <-fl.done:
		return fl.embedding, fl.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !fl.landed {
		fl.waiters--
	} else if fl.embedding != nil {
		fl.embedding.Release()
	}
	return nil, ctx.Err()
}

// fetchFromDisk promotes the embedding to host memory, or joins a promotion under way. A disk that
// takes longer than ReadTimeout is a miss.
func (s *Store) fetchFromDisk(ctx context.Context, id ID) (*Embedding, error) {
	fl := s.flights.board(id, func(fl *flight) {
		if !s.background(func(ctx context.Context) {
			s.fly(ctx, id, fl)
		}) {
			// board holds the mutex that land takes, and nobody else has seen this flight yet.
			delete(s.flights.byID, id)
			fl.landed, fl.err = true, ErrClosed
			close(fl.done)
		}
	})
	read, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	e, err := s.flights.wait(read, fl)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, fmt.Errorf("read from disk took over %s: %w", s.readTimeout, ErrNotFound)
	}
	return e, err
}

// fly promotes the embedding in the id's turn and lands in it too: a get that begins after a DELETE must not
// join a flight that read before it.
func (s *Store) fly(ctx context.Context, id ID, fl *flight) {
	ctx, cancel := context.WithTimeout(ctx, s.readTimeout)
	defer cancel()
	unlock, err := s.order.lock(ctx, id)
	if err != nil {
		s.flights.land(id, fl, nil, err)
		return
	}
	defer unlock()
	e, err := s.promote(ctx, id)
	s.flights.land(id, fl, e, err)
}

// promote reads the embedding from disk and offers it to the host tier, unless it is there by now. The caller
// has the id's turn.
func (s *Store) promote(ctx context.Context, id ID) (*Embedding, error) {
	if _, _, err := s.host.Stat(ctx, id); err == nil {
		if e, err := s.host.Get(ctx, id); err == nil {
			return e, nil
		}
	}
	e, err := s.disk.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.host.Put(ctx, e); err != nil {
		s.log.Debug("promote to host", "id", id, "error", err)
	}
	return e, nil
}
