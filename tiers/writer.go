package tiers

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

const (
	// diskWriters write behind at once: two keep the disk busy while the other two wait for the commit of
	// theirs, which the disk tier groups.
	diskWriters = 4
	// maxBacklogBytes bounds the heap that the queue of unwritten embeddings keeps alive, some 100,000 of them
	// without metadata. Only a disk that hangs while traffic goes on reaches it.
	maxBacklogBytes = 32 << 20
)

// writer copies new embeddings to the disk tier right behind their PUT, so that what is not on disk yet
// is a short backlog, and dropping an embedding from host memory rarely loses it. Embeddings that a client
// waits for are written first.
//
// The backlog holds no references, so the host tier can drop an unwritten embedding when it needs room;
// the write is then skipped. A durable write holds one, which keeps the host tier from dropping it. Whatever
// comes of a write, the embedding is clean afterwards: what the disk refused once is not worth keeping for it.
type writer struct {
	mu      sync.Mutex
	wake    *sync.Cond
	durable []*write
	lazy    []*write
	backlog int64 // heap bytes under lazy
	writing int
	closed  bool
	idle    chan struct{} // closed while nothing is queued or being written

	written     uint64 // embeddings copied to disk
	bytes       uint64 // payload bytes of those
	failed      uint64 // the disk tier refused or failed
	overtaken   uint64 // dropped or deleted before their turn
	backlogFull uint64 // never queued, because the backlog was full
}

// A write is one embedding's way to disk.
type write struct {
	e    *Embedding
	held bool       // a reference is held
	done chan error // buffered; nil when nobody waits
}

func newWriter() *writer {
	w := &writer{idle: make(chan struct{})}
	w.wake = sync.NewCond(&w.mu)
	close(w.idle)
	return w
}

func (w *writer) enqueue(job *write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || !job.held && w.backlog+job.e.HeapBytes() > maxBacklogBytes {
		w.backlogFull++
		job.e.MarkClean()
		job.finish(ErrClosed)
		return
	}
	if w.quiet() {
		w.idle = make(chan struct{})
	}
	if job.held {
		w.durable = append(w.durable, job)
	} else {
		w.later(job)
	}
	w.wake.Signal()
}

func (w *writer) later(job *write) {
	w.lazy = append(w.lazy, job)
	w.backlog += job.e.HeapBytes()
}

// forsake lets go of a durable write that its client no longer waits for: if it has not begun it goes on as one
// that host memory may drop. Else a disk that hangs would keep all that was ever to be durable in memory.
func (w *writer) forsake(job *write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.durable, job); i >= 0 {
		w.durable = slices.Delete(w.durable, i, i+1)
		job.held = false
		w.later(job)
		job.e.Release()
	}
}

func (w *writer) quiet() bool { return len(w.durable)+len(w.lazy)+w.writing == 0 }

func (w *writer) next() *write {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && len(w.durable)+len(w.lazy) == 0 {
		w.wake.Wait()
	}
	var job *write
	switch {
	case len(w.durable) > 0:
		job, w.durable = w.durable[0], w.durable[1:]
	case len(w.lazy) > 0:
		job, w.lazy = w.lazy[0], w.lazy[1:]
		w.backlog -= job.e.HeapBytes()
	default:
		return nil
	}
	w.writing++
	return job
}

func (w *writer) finished(job *write, err error) {
	job.finish(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing--; w.quiet() {
		close(w.idle)
	}
}

func (job *write) finish(err error) {
	if job.held {
		job.e.Release()
	}
	if job.done != nil {
		job.done <- err
	}
}

// flush waits until everything that was queued is on disk or has failed.
func (w *writer) flush(ctx context.Context) error {
	for {
		w.mu.Lock()
		idle, quiet := w.idle, w.quiet()
		w.mu.Unlock()
		if quiet {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close lets the writers finish what is queued and then end; abandon drops the queue first.
func (w *writer) close(abandon bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if abandon {
		for _, job := range append(w.durable, w.lazy...) {
			job.finish(ErrClosed)
		}
		w.durable, w.lazy, w.backlog = nil, nil, 0
		if w.writing == 0 {
			select {
			case <-w.idle:
			default:
				close(w.idle)
			}
		}
	}
	w.wake.Broadcast()
}

// writeBehind queues a copy to disk.
func (s *Store) writeBehind(e *Embedding) {
	if s.disk != nil {
		s.writer.enqueue(&write{e: e})
	}
}

// writeDurably queues a copy to disk that somebody waits for.
func (s *Store) writeDurably(e *Embedding) *write {
	job := &write{e: e.Retain(), held: true, done: make(chan error, 1)}
	s.writer.enqueue(job)
	return job
}

// await returns once the id would survive kill -9. Without a job it is on disk already, or only in host
// memory: then it is written now.
func (s *Store) await(ctx context.Context, id ID, job *write) error {
	if job == nil {
		if s.onDisk(ctx, id) {
			return nil
		}
		e := s.pins.get(id)
		if e == nil {
			var err error
			if e, err = s.host.Get(ctx, id); err != nil {
				return err
			}
		}
		defer e.Release()
		job = s.writeDurably(e)
	}
	select {
	case err := <-job.done:
		return err
	case <-ctx.Done():
		s.writer.forsake(job)
		return ctx.Err()
	}
}

// runWriter is one of the writer goroutines.
func (s *Store) runWriter(ctx context.Context) {
	for job := s.writer.next(); job != nil; job = s.writer.next() {
		s.writer.finished(job, s.writeToDisk(ctx, job))
	}
}

// errOvertaken means that the embedding left host memory before its turn came: it was deleted, or its epoch
// ended. Nobody but a client who waits for it to be durable needs to know.
var errOvertaken = fmt.Errorf("%w: it left before it was written", ErrNotFound)

// writeToDisk copies one embedding unless a DELETE, a raise or an eviction overtook it.
func (s *Store) writeToDisk(ctx context.Context, job *write) error {
	if !job.held {
		if !job.e.TryRetain() {
			s.writer.count(&s.writer.overtaken, 1)
			return errOvertaken
		}
		defer job.e.Release()
	}
	e := job.e
	unlock, err := s.order.lock(ctx, e.ID)
	if err != nil {
		return err
	}
	defer unlock()
	if e.Clean() && s.onDisk(ctx, e.ID) { // it was queued twice; the disk may also have evicted it since
		return nil
	}
	if !s.host.Holds(e) && !s.pins.holds(e) {
		s.writer.count(&s.writer.overtaken, 1)
		return errOvertaken
	}
	err = s.disk.Put(ctx, e)
	e.MarkClean()
	if err != nil {
		s.writer.count(&s.writer.failed, 1)
		return fmt.Errorf("write to disk: %w", err)
	}
	s.writer.count(&s.writer.written, 1)
	s.writer.count(&s.writer.bytes, uint64(e.Meta.Size))
	if s.stale(e.Name.Scope) { // a raise purged the disk while this write was on its way
		return s.disk.Delete(ctx, e.ID)
	}
	return nil
}

func (w *writer) count(counter *uint64, n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*counter += n
}
