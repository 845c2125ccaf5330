package disktier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/keepsight/keepsight/tiers"
)

// Keys of the index, by their first byte.
const (
	recordPrefix = 'v' // + id -> record
	epochPrefix  = 'e' // + tenant and namespace, framed -> epoch
)

// completeKey is written last into a new index: one without it was abandoned while it was being rewritten.
var completeKey = []byte("complete")

// errNoRecord means that the index holds no record of an id.
var errNoRecord = errors.New("no record")

// An index is one pebble database: a record for each value, and the epochs. Reads may be concurrent; only the
// committer writes.
type index struct {
	fs     *stallFS
	dir    string
	number int
	memory int64

	mu sync.RWMutex // held for reading by every read, so that close waits for them
	db *pebble.DB   // nil when closed
}

func indexName(number int) string { return fmt.Sprintf("index-%06d", number) }

func indexNumber(name string) (number int, ok bool) {
	n, err := fmt.Sscanf(name, "index-%06d", &number)
	return number, err == nil && n == 1 && name == indexName(number)
}

type indexOptions struct {
	number   int
	memory   int64 // bounds what pebble keeps in memory
	readOnly bool
	log      *slog.Logger
	faults   *atomic.Uint64 // counts the failed operations that write
}

// patience is how long an index may wait for the disk while it is opened or rewritten, before it is given up.
const patience = 5 * time.Second

// errDisk means that an index could not be opened because the disk takes no writes: there may be nothing wrong
// with it.
var errDisk = fmt.Errorf("%w: disk takes no writes", tiers.ErrUnavailable)

// openIndex opens or creates the database in dir. Everything that pebble keeps in memory is charged to a cache of
// o.memory bytes: memtables reserve their part of it, at most five eighths.
func openIndex(base vfs.FS, dir string, o indexOptions) (x *index, err error) {
	fs := newStallFS(base, o.log, o.faults)
	x = &index{fs: fs, dir: dir, number: o.number, memory: o.memory}
	options := &pebble.Options{
		FS:                          fs,
		ReadOnly:                    o.readOnly,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		MemTableSize:                uint64(o.memory / 8),
		MemTableStopWritesThreshold: 4,
		CacheSize:                   o.memory,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		MaxOpenFiles:                256,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		Logger:                      pebbleLogger{o.log, fs},
		EventListener:               listener(o.log, fs),
	}
	options.Experimental.FileCacheShards = 2
	defer fs.freezeAfter(patience)()
	defer func() {
		// pebble panics on some of what it cannot make sense of; it has let go of its resources then.
		if r := recover(); r != nil {
			fs.freeze()
			cause, ok := r.(error)
			if !ok {
				cause = fmt.Errorf("%v", r)
			}
			x, err = nil, fmt.Errorf("open index: panic: %w", cause)
		}
	}()
	x.db, err = pebble.Open(dir, options)
	switch {
	case err == nil && fs.frozen():
		return nil, errors.Join(errDisk, x.close())
	case err != nil && fs.frozen():
		return nil, fmt.Errorf("%w: %w", errDisk, err)
	case err != nil:
		return nil, fmt.Errorf("open index: %w", err)
	}
	return x, nil
}

// maxBatchBytes bounds a batch: one of half a memtable or more would make pebble rotate its log.
func (x *index) maxBatchBytes() int { return int(x.memory / 8 / 4) }

// pebbleLogger passes pebble's complaints on. Fatalf must return: the process lives, the index does not.
type pebbleLogger struct {
	log *slog.Logger
	fs  *stallFS
}

func (l pebbleLogger) Infof(format string, args ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Warn("index: " + fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.fs.breakIndex(fmt.Sprintf(format, args...))
}

// listener logs background errors once a second at most: pebble retries in a hot loop (41,280 of
// them were counted in 4 s of a full disk).
func listener(log *slog.Logger, fs *stallFS) *pebble.EventListener {
	limit := rate.NewLimiter(rate.Every(time.Second), 1)
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if limit.Allow() {
				log.Warn("index background error", "error", err)
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			fs.breakIndex(fmt.Sprintf("corrupt file %s: %v", info.Path, info.Details))
		},
	}
}

func recordKey(id tiers.ID) []byte { return append([]byte{recordPrefix}, id[:]...) }

func epochKey(s tiers.Scope) []byte {
	return appendField(appendField([]byte{epochPrefix}, s.Tenant), s.Namespace)
}

func decodeEpoch(key, value []byte) (tiers.Scope, error) {
	d := decoder{b: key[1:]}
	s := tiers.Scope{Tenant: d.field(), Namespace: d.field()}
	if d.failed || len(d.b) != 0 || len(value) != 8 {
		return s, errDamagedRecord
	}
	s.Epoch = binary.LittleEndian.Uint64(value)
	return s, nil
}

// get returns the record of id. Besides errNoRecord and errDamagedRecord, any error means that the index cannot
// be read.
func (x *index) get(id tiers.ID) (record, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.db == nil {
		return record{}, tiers.ErrClosed
	}
	value, closer, err := x.db.Get(recordKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return record{}, errNoRecord
	}
	if err != nil {
		return record{}, fmt.Errorf("read index: %w", err)
	}
	defer closer.Close()
	return decodeRecord(id, value)
}

// lostRecord reports whether get failed because there is no good record, and not because the index could not be read.
func lostRecord(err error) bool {
	return errors.Is(err, errNoRecord) || errors.Is(err, errDamagedRecord) || pebble.IsCorruptionError(err)
}

// passing reports whether an error says nothing about the disk or what is on it, but that the process lacks something.
func passing(err error) bool {
	for _, errno := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// complete reports whether the index was written to its end.
func (x *index) complete() (bool, error) {
	_, closer, err := x.db.Get(completeKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read index: %w", err)
	}
	return true, closer.Close()
}

// markComplete makes everything written so far the index to open from now on.
func (x *index) markComplete() error {
	return x.apply(func(b *pebble.Batch) error { return b.Set(completeKey, nil, nil) })
}

// apply commits what fill puts into a batch and returns when it is durable. An error means that it may or
// may not be, and that the index is broken or abandoned.
func (x *index) apply(fill func(*pebble.Batch) error) error {
	b := x.db.NewBatch()
	defer b.Close()
	if err := fill(b); err != nil {
		return err
	}
	if err := x.db.Apply(b, pebble.Sync); err != nil {
		x.fs.breakIndex(err.Error())
	}
	return x.trusted()
}

// trusted returns an error if what was committed last may not be on disk.
func (x *index) trusted() error {
	if x.fs.isBroken() {
		return errors.New("index is broken")
	}
	if x.fs.frozen() {
		return errors.New("index is abandoned")
	}
	return nil
}

// scan calls entry for all keys with the prefix, in order.
func (x *index) scan(prefix byte, entry func(key, value []byte)) error {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return fmt.Errorf("scan index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, valueErr := it.ValueAndErr()
		if valueErr != nil {
			err = valueErr
			break
		}
		entry(it.Key(), value)
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return fmt.Errorf("scan index: %w", err)
	}
	return nil
}

// flush moves what is in memory and in the log into tables, which makes the next open fast and puts all records
// under checksums that a check can tell from the torn end of a log.
func (x *index) flush() error { return x.db.Flush() }

// close waits for reads and closes the database.
func (x *index) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db == nil {
		return nil
	}
	db := x.db
	x.db = nil
	return db.Close()
}
