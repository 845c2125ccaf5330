package disktier

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

// ErrLocked means that another process, or another tier of this one, has the directory open.
var ErrLocked = errors.New("disk directory in use")

// Defaults and bounds of Options.
const (
	defaultMaxEntries  = 1 << 20
	defaultIndexMemory = 64 << 20
	minIndexMemory     = 8 << 20 // below it pebble's memtables are too small for the largest records
	defaultBlockBytes  = 1 << 30

	// metadataShare of the capacity is left to the file system, which counts its own blocks as the file's: ext4 was
	// seen to need 4 KiB in a small file, and needs 200 KiB for a GiB of which every second unit was written.
	metadataShare = 1024
)

// Options shape a tier. CapacityBytes and Reserve are required.
type Options struct {
	// CapacityBytes bounds what the block files take up on disk, as du counts. The index comes on top.
	CapacityBytes int64
	// MaxEntries bounds how many values are stored, because each takes about 200 bytes of memory whatever its
	// size; 0: 1,048,576.
	MaxEntries int
	// IndexMemoryBytes bounds what pebble keeps in memory; 0: 64 MiB, at least 8 MiB.
	IndexMemoryBytes int64
	// Reserve returns host memory for a value that is being read; its errors pass through Get.
	Reserve func(ctx context.Context, size int64) (*arena.Extent, error)
	// Evicted, if set, hears of values that left by eviction, expiry or damage.
	Evicted tiers.EvictedFunc
	// Logger gets what an operator should know; nil: discarded.
	Logger *slog.Logger

	// What follows replaces the machine below the tier, for tests.

	FS         vfs.FS                               // of the directory and the index; nil: the operating system's
	OpenBlocks func(path string) (BlockFile, error) // nil: O_DIRECT
	BlockBytes int64                                // size of a new directory's block files; 0: 1 GiB
	Now        func() time.Time                     // nil: time.Now
}

func (o Options) withDefaults() (Options, error) {
	o.CapacityBytes = (o.CapacityBytes - o.CapacityBytes/metadataShare) / unitBytes * unitBytes
	if o.CapacityBytes <= 0 || o.Reserve == nil {
		return o, errors.New("disktier: a capacity of at least 128 KiB and a Reserve are required")
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.IndexMemoryBytes <= 0 {
		o.IndexMemoryBytes = defaultIndexMemory
	}
	o.IndexMemoryBytes = max(o.IndexMemoryBytes, minIndexMemory)
	if o.BlockBytes <= 0 {
		o.BlockBytes = defaultBlockBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// A Tier is a tiers.Disk over one directory.
type Tier struct {
	opts   Options
	dir    string
	log    *slog.Logger
	lock   io.Closer
	start  time.Time // the tier's clock counts from here
	blocks *blocks
	index  atomic.Pointer[index]

	reserving chan struct{}  // one token: Puts take space one after the other, so that a big one does not starve
	readers   chan struct{}  // a token for each value that may be read at a time
	wake      chan struct{}  // tells the committer that the queue is not empty
	closing   chan struct{}  // closed when Close begins
	finish    chan struct{}  // closed when no call is left: the committer ends after the queue
	done      chan struct{}  // closed when the committer has ended
	calls     sync.WaitGroup // in progress
	closeOnce sync.Once
	closeErr  error

	ioErrors     atomic.Uint64 // counted below the index too, where mu must not be taken
	syncFailures atomic.Int64  // of block files; only the committer counts

	mu      sync.Mutex
	closed  bool
	stored  directory
	policy  policy
	epochs  map[tiers.Scope]uint64 // by tenant and namespace
	queue   []*op
	urgent  bool             // somebody waits for what is in the queue
	queued  map[tiers.ID]*op // the last operation on an id that is in the queue or being committed
	putting int              // Puts in the queue or being committed

	// undead holds the ids whose record may still be in the index though its removal was asked for,
	// or though the Put that wrote it failed. Only what failed is in here; a rewrite leaves such records out.
	undead map[tiers.ID]bool

	sequence uint64
	space    space
	counters counters
	health   health
}

var _ tiers.Disk = (*Tier)(nil)

// clock returns the time since the tier was opened: values expire by it, whatever the wall clock does.
func (t *Tier) clock() time.Duration { return t.opts.Now().Sub(t.start) }

// enter counts a call in; leave must follow unless it returns ErrClosed.
func (t *Tier) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return tiers.ErrClosed
	}
	t.calls.Add(1)
	return nil
}

func (t *Tier) leave() { t.calls.Done() }

// closeGrace is how long Close lets the index wait for a disk that does not take writes. What is not
// committed by then is lost, as it would be after kill -9.
const closeGrace = 5 * time.Second

// Close implements tiers.Tier.
func (t *Tier) Close() error {
	t.closeOnce.Do(func() { t.closeErr = t.close() })
	return t.closeErr
}

func (t *Tier) close() (err error) {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	close(t.closing)

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.calls.Wait()
		close(t.finish)
		<-t.done
		err = t.closeFiles()
	}()
	check := time.NewTicker(closeGrace / 10)
	defer check.Stop()
	for {
		select {
		case <-ended:
			return err
		case <-check.C:
			if x := t.index.Load(); x.fs.stalledFor() > closeGrace {
				t.log.Error("index is abandoned: the disk takes no writes")
				x.fs.freeze()
			}
		}
	}
}

func (t *Tier) closeFiles() error {
	if t.writable() == nil && !t.index.Load().fs.frozen() {
		if err := errors.Join(t.flushIndex(), t.saveRecency()); err != nil {
			t.log.Warn("state is not saved for a fast start", "error", err)
		}
	}
	return errors.Join(t.index.Load().close(), t.blocks.close(), t.lock.Close())
}

// flushIndex leaves an index that was written to its end, or one that can be trusted in its place.
func (t *Tier) flushIndex() error {
	x := t.index.Load()
	err := x.flush()
	if x.trusted() != nil && !x.fs.frozen() {
		return t.rewrite()
	}
	return err
}
