package tiers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/tiers/arena"
)

const (
	// hashStep is how much of a body is read before it is hashed: the piece is still in the L2 cache then,
	// and hashing costs nothing measurable.
	hashStep = 256 << 10
	// admissionWait is how long a PUT may queue for memory before it is refused. An engine that waits
	// longer would rather not store the embedding.
	admissionWait = 100 * time.Millisecond
)

// A Draft is an embedding on its way in: host memory is reserved for it before a byte is read, and nobody
// sees it until Commit. It belongs to one goroutine, which calls Commit or Abort.
type Draft struct {
	store  *Store
	name   Name
	size   int64
	claim  string
	extent *arena.Extent // nil once committed or aborted
	sum    [16]byte
	filled bool
	refund func() // returns the admission
}

// Outcome says what a successful Commit did.
type Outcome int

const (
	Created  Outcome = iota // the embedding is stored
	Existing                // the same bytes were stored already
)

// Begin admits an embedding of size bytes under the name and reserves its memory: ErrTooLarge,
// ErrOverLimit, ErrNoRoom or ErrStaleEpoch tell why not. The claim may be empty; when the draft comes to
// nothing, the claimed key is handed on.
func (s *Store) Begin(ctx context.Context, name Name, size int64, claim string) (*Draft, error) {
	d, err := s.admit(ctx, name, size, claim)
	if err != nil && claim != "" {
		s.claims.fail(claim, name.ID())
	}
	return d, err
}

func (s *Store) admit(ctx context.Context, name Name, size int64, claim string) (*Draft, error) {
	if err := s.Admissible(name, size); err != nil {
		return nil, err
	}
	refund, err := s.admission.enter(ctx, name.Tenant, arena.RoundUp(size))
	if err != nil {
		return nil, err
	}
	extent, err := s.host.Reserve(ctx, size)
	if err != nil {
		refund()
		return nil, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return &Draft{store: s, name: name, size: size, claim: claim, extent: extent, refund: refund}, nil
}

// Admissible reports what already refuses an embedding before any memory is spent on it.
func (s *Store) Admissible(name Name, size int64) error {
	if err := name.Validate(); err != nil {
		return err
	}
	switch {
	case size <= 0:
		return fmt.Errorf("%w: an embedding has at least 1 byte", ErrInvalid)
	case size > s.maxObject:
		return fmt.Errorf("%w: %d bytes, allowed are %d", ErrTooLarge, size, s.maxObject)
	case s.stale(name.Scope):
		return ErrStaleEpoch
	case s.closing.Load():
		return ErrClosed
	}
	return nil
}

// Fill reads the payload, exactly the draft's size, straight into its extent and makes the checksum on
// the way. Anything that tees off wants to see each piece, a digest for example. A reader that ends early
// is io.ErrUnexpectedEOF.
func (d *Draft) Fill(r io.Reader, tees ...io.Writer) error {
	hash := xxh3.New()
	for rest := d.extent.Bytes()[:d.size]; len(rest) > 0; {
		piece := rest[:min(len(rest), hashStep)]
		if _, err := io.ReadFull(r, piece); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		for _, tee := range tees {
			if _, err := tee.Write(piece); err != nil {
				return err
			}
		}
		_, _ = hash.Write(piece) // never fails
		rest = rest[len(piece):]
	}
	d.sum = hash.Sum128().Bytes()
	d.filled = true
	return nil
}

// Commit publishes the draft. The first writer wins: if the name is taken by the same bytes the outcome is
// Existing, else the error is ErrExistsDifferent or ErrExistsIncompatible. With durable it returns once the
// embedding would survive kill -9, or ErrNotDurable: the embedding is visible all the same then, unless there is
// no disk tier at all.
// The draft is spent, whatever Commit returns.
func (d *Draft) Commit(ctx context.Context, meta Meta, durable bool) (Outcome, error) {
	defer d.Abort()
	if !d.filled || d.extent == nil {
		return 0, fmt.Errorf("%w: commit of a draft that was not filled, or is spent", ErrInvalid)
	}
	if durable && d.store.disk == nil {
		return 0, fmt.Errorf("%w: there is no disk tier", ErrNotDurable)
	}
	meta.Size, meta.Sum = d.size, d.sum
	if meta.TTL > 0 {
		meta.Expires = d.store.now().Add(meta.TTL)
	}
	if err := meta.Validate(); err != nil {
		return 0, err
	}
	outcome, job, err := d.publish(ctx, meta, durable)
	// Other bytes of the same shape are what clients take as done, so they must be as durable as was asked.
	if durable && (err == nil || errors.Is(err, ErrExistsDifferent)) {
		if lost := d.store.await(ctx, d.name.ID(), job); lost != nil {
			return outcome, fmt.Errorf("%w: %w", ErrNotDurable, lost)
		}
	}
	return outcome, err
}

// publish decides between this draft and what is stored. It looks once before it takes the id's turn, so
// that a second PUT need not wait until the first is on disk, and once while it has it. With durable it
// returns the write of what it created.
func (d *Draft) publish(ctx context.Context, meta Meta, durable bool) (Outcome, *write, error) {
	s, id := d.store, d.name.ID()
	if first, err := s.stat(ctx, id); err == nil {
		return Existing, nil, d.yield(first.Meta, meta)
	}
	unlock, err := s.order.lock(ctx, id)
	if err != nil {
		return 0, nil, err
	}
	defer unlock()
	if s.stale(d.name.Scope) {
		return 0, nil, ErrStaleEpoch
	}
	if first, err := s.stat(ctx, id); err == nil {
		return Existing, nil, d.yield(first.Meta, meta)
	}
	e := NewEmbedding(d.name, meta, d.extent)
	d.extent = nil
	defer e.Release()
	if s.disk == nil {
		e.MarkClean()
	} else if err := s.disk.Delete(ctx, id); err != nil { // an expired or damaged one must not come back
		return 0, nil, err
	}
	if err := s.host.Put(ctx, e); err != nil {
		return 0, nil, err
	}
	if s.stale(d.name.Scope) {
		// RaiseEpoch came between the check and the Put, and its purge may have passed already.
		return 0, nil, errors.Join(ErrStaleEpoch, s.host.Delete(ctx, id))
	}
	s.counters.puts.Add(1)
	s.events.append(Event{Type: EventAdded, Scope: d.name.Scope, Key: d.name.Key, Size: meta.Size})
	s.claims.fulfil(id)
	if durable {
		return Created, s.writeDurably(e), nil
	}
	s.writeBehind(e)
	return Created, nil, nil
}

// yield answers for a draft whose name is taken.
func (d *Draft) yield(first, second Meta) error {
	d.store.claims.fulfil(d.name.ID())
	return d.store.compare(first, second)
}

// compare says how a second PUT of a name differs from the first.
func (s *Store) compare(first, second Meta) error {
	switch {
	case first.Same(second):
		return nil
	case first.Compatible(second):
		s.counters.different.Add(1)
		return ErrExistsDifferent
	default:
		s.counters.incompatible.Add(1)
		return ErrExistsIncompatible
	}
}

// Abort gives back the memory and hands the claimed key on, unless Commit published the embedding.
func (d *Draft) Abort() {
	if d.refund == nil {
		return
	}
	d.refund()
	d.refund = nil
	if d.extent != nil {
		d.extent.Free()
		d.extent = nil
	}
	if d.claim != "" {
		d.store.claims.fail(d.claim, d.name.ID()) // a PUT that went well has ended the claim: no work
	}
}
