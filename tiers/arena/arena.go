package arena

import (
	"errors"
	"fmt"
	"sync"
)

// Unit is the granularity of extents in bytes.
const Unit = 64 << 10

// RoundUp returns how many bytes an extent for size bytes takes.
func RoundUp(size int64) int64 { return (size + Unit - 1) &^ (Unit - 1) }

var (
	// ErrFull means that no free run is long enough.
	ErrFull = errors.New("arena: no extent fits")
	// ErrClosed means that the arena's memory is gone or going.
	ErrClosed = errors.New("arena: closed")
	// ErrInUse means that Close found extents that were never freed.
	ErrInUse = errors.New("arena: extents still in use")
)

// Options shape an arena.
type Options struct {
	Bytes    int64 // the budget, rounded down to whole units; at least one unit
	Prefault bool  // fault the memory in from the background, so that first use costs what every use costs
	Poison   bool  // overwrite freed extents, so that a test sees a read after free
}

// An Arena hands out extents of one region of memory. Its methods may be called concurrently.
type Arena struct {
	region *region
	poison bool

	mu     sync.Mutex
	blocks *block // the first in address order
	free   freeRuns
	used   int64
	freed  chan struct{} // closed at the next Free; nil while nobody waits
	closed bool
}

// New makes an arena of whole units.
func New(o Options) (*Arena, error) {
	bytes := o.Bytes &^ (Unit - 1)
	if bytes <= 0 {
		return nil, fmt.Errorf("arena: %d bytes are less than one unit of %d", o.Bytes, int64(Unit))
	}
	region, err := newRegion(bytes)
	if err != nil {
		return nil, fmt.Errorf("arena: %w", err)
	}
	a := &Arena{
		region: region,
		poison: o.Poison,
		blocks: &block{len: bytes},
		free:   freeRuns{first: make(map[int64]*block)},
	}
	a.free.insert(a.blocks)
	if o.Prefault {
		region.prefault()
	}
	return a, nil
}

// Alloc returns an extent of at least size bytes, size being at least 1, or ErrFull. Its bytes are whatever
// its last user left there.
func (a *Arena) Alloc(size int64) (*Extent, error) {
	if size <= 0 {
		panic(fmt.Sprintf("arena: alloc of %d bytes", size))
	}
	if size > a.Size() {
		return nil, ErrFull
	}
	n := RoundUp(size)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrClosed
	}
	b := a.free.fit(n)
	if b == nil {
		return nil, ErrFull
	}
	a.free.remove(b)
	if b.len > n {
		a.free.insert(b.split(n))
	}
	a.used += n
	b.extent = &Extent{arena: a, block: b, mem: a.region.mem[b.off : b.off+n : b.off+n]}
	return b.extent, nil
}

// release makes x's block a free run, joined with the free runs beside it.
func (a *Arena) release(x *Extent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := x.block
	// A freed block is free, part of a neighbour, or carries a newer extent: never x again.
	if b.extent != x {
		panic("arena: extent freed twice")
	}
	if a.poison {
		x.overwrite()
	}
	b.extent = nil
	a.used -= b.len
	if next := b.next; next != nil && next.extent == nil {
		a.free.remove(next)
		b.join()
	}
	if prev := b.prev; prev != nil && prev.extent == nil {
		a.free.remove(prev)
		prev.join()
		b = prev
	}
	a.free.insert(b)
	if a.freed != nil {
		close(a.freed)
		a.freed = nil
	}
}

// split cuts b down to its first n bytes and returns the rest.
func (b *block) split(n int64) *block {
	rest := &block{off: b.off + n, len: b.len - n, prev: b, next: b.next}
	if b.next != nil {
		b.next.prev = rest
	}
	b.len, b.next = n, rest
	return rest
}

// join adds the block behind b to b.
func (b *block) join() {
	b.len += b.next.len
	b.next = b.next.next
	if b.next != nil {
		b.next.prev = b
	}
}

// Size returns the budget in bytes.
func (a *Arena) Size() int64 { return int64(len(a.region.mem)) }

// Used returns the bytes of all extents in use.
func (a *Arena) Used() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used
}

// Freed returns a channel that is closed when the next extent is freed. Who waits for room takes the channel
// before trying Alloc: then a Free between the two is not missed.
func (a *Arena) Freed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.freed == nil {
		a.freed = make(chan struct{})
	}
	return a.freed
}

// Close unmaps the memory. With extents still in use it returns ErrInUse and leaves the memory mapped, because
// a reader of unmapped memory would take the whole process down. It is idempotent.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	a.region.halt()
	if a.used > 0 {
		return fmt.Errorf("%w: %d bytes", ErrInUse, a.used)
	}
	if err := a.region.close(); err != nil {
		return fmt.Errorf("arena: %w", err)
	}
	return nil
}
