package disktier

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/keepsight/keepsight/tiers"
)

// Open opens or creates a tier in dir. What is damaged in there is set aside or dropped, logged and shown in
// Stats; only a directory in use (ErrLocked), one that cannot be read or written, and impossible options are errors.
func Open(dir string, o Options) (_ *Tier, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	t := newTier(dir, o)
	if err := makeDir(o.FS, dir); err != nil {
		return nil, fmt.Errorf("open disk tier: %w", err)
	}
	if t.lock, err = lockDir(o.FS, dir); err != nil {
		return nil, fmt.Errorf("open disk tier: %w", err)
	}
	if err := t.openFiles(); err != nil {
		if t.blocks != nil {
			err = errors.Join(err, t.blocks.close())
		}
		if x := t.index.Load(); x != nil {
			err = errors.Join(err, x.close())
		}
		return nil, errors.Join(fmt.Errorf("open disk tier: %w", err), t.lock.Close())
	}
	go t.commitLoop()
	return t, nil
}

func newTier(dir string, o Options) *Tier {
	t := &Tier{
		opts:      o,
		dir:       dir,
		log:       o.Logger.With("tier", "disk"),
		start:     o.Now(),
		reserving: make(chan struct{}, 1),
		readers:   make(chan struct{}, maxReaders),
		wake:      make(chan struct{}, 1),
		closing:   make(chan struct{}),
		finish:    make(chan struct{}),
		done:      make(chan struct{}),
		stored:    newDirectory(0),
		policy:    newPolicy(o.CapacityBytes / unitBytes),
		epochs:    map[tiers.Scope]uint64{},
		queued:    map[tiers.ID]*op{},
		undead:    map[tiers.ID]bool{},
		space:     newSpace(o.CapacityBytes),
		counters:  counters{evictions: map[string]uint64{}, refusals: map[string]uint64{}},
	}
	t.reserving <- struct{}{}
	for range maxReaders {
		t.readers <- struct{}{}
	}
	return t
}

// makeDir makes dir and its parents, if they are not there, so that they survive a power cut.
func makeDir(fs vfs.FS, dir string) error {
	_, err := fs.Stat(dir)
	if !oserror.IsNotExist(err) {
		return err
	}
	parent := fs.PathDir(dir)
	if err := makeDir(fs, parent); err != nil {
		return err
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

// lockDir takes the lock that a process or another tier may hold.
func lockDir(fs vfs.FS, dir string) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(dir, "LOCK"))
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES) && !oserror.IsPermission(err),
		strings.Contains(err.Error(), "lock held by current process"):
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	return nil, err
}

// openFiles opens what lies in the locked directory and loads it.
func (t *Tier) openFiles() error {
	blockBytes, err := t.openFormat()
	if err != nil {
		return err
	}
	var whole []int64
	t.blocks, whole, err = openBlocks(t.opts.FS, t.dir, t.openBlockFile, blockBytes, t.opts.CapacityBytes)
	if err != nil {
		return err
	}
	x, content, err := t.openNewestIndex(whole)
	if err != nil {
		return err
	}
	t.index.Store(x)
	return t.load(content)
}

// openBlockFile opens or creates a block file, when the tier is opened and when it grows.
func (t *Tier) openBlockFile(path string) (BlockFile, error) {
	if t.opts.OpenBlocks != nil {
		return t.opts.OpenBlocks(path)
	}
	f, buffered, err := openBlockFile(path)
	if buffered {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.health.note(noteBuffered) {
			t.log.Warn("file system does no O_DIRECT: values go through the page cache", "dir", t.dir)
		}
	}
	return f, err
}

// openNewestIndex opens and reads the index to use, and sets aside or removes the others.
func (t *Tier) openNewestIndex(whole []int64) (*index, *loader, error) {
	numbers, err := indexNumbers(t.opts.FS, t.dir)
	if err != nil {
		return nil, nil, err
	}
	next := 1
	for i, number := range numbers {
		x, content, err := t.openNumbered(number, whole)
		switch {
		case err == nil:
			t.removeIndexes(numbers[i+1:])
			return x, content, nil
		case errors.Is(err, errDisk), passing(err), errors.Is(err, os.ErrPermission):
			return nil, nil, err // there may be nothing wrong with it
		case errors.Is(err, errIncomplete):
			// A rewrite was cut short, and the index that it copied is still there.
			t.removeIndexes(numbers[i : i+1])
		default:
			if err := t.setIndexAside(number, err); err != nil {
				return nil, nil, err
			}
		}
		next = max(next, number+1)
	}
	x, err := t.createIndex(next)
	return x, t.newLoader(whole), err
}

// removeIndexes removes indexes that a newer one has replaced, or that were never finished.
func (t *Tier) removeIndexes(numbers []int) {
	for _, number := range numbers {
		if err := t.opts.FS.RemoveAll(t.indexDir(number)); err != nil {
			t.log.Warn("old index is not removed", "error", err)
		}
	}
}

// errIncomplete means that an index was not written to its end.
var errIncomplete = errors.New("index is incomplete")

func (t *Tier) indexDir(number int) string { return t.opts.FS.PathJoin(t.dir, indexName(number)) }

// openIndex opens or creates the index of that number.
func (t *Tier) openIndex(number int) (*index, error) {
	return openIndex(t.opts.FS, t.indexDir(number), indexOptions{
		number: number, memory: t.opts.IndexMemoryBytes, log: t.log, faults: &t.ioErrors,
	})
}

// openNumbered opens an index that is there and reads it.
func (t *Tier) openNumbered(number int, whole []int64) (*index, *loader, error) {
	x, err := t.openIndex(number)
	if err != nil {
		return nil, nil, err
	}
	content := t.newLoader(whole)
	complete, err := x.complete()
	if err == nil && !complete {
		err = errIncomplete
	}
	if err == nil {
		err = content.load(x)
	}
	if err != nil {
		x.fs.freeze() // as it was, for whoever looks at it
		return nil, nil, errors.Join(err, x.close())
	}
	return x, content, nil
}

func (t *Tier) createIndex(number int) (*index, error) {
	x, err := t.openIndex(number)
	if err != nil {
		return nil, err
	}
	stop := x.fs.freezeAfter(patience)
	err = x.markComplete()
	stop()
	if x.fs.frozen() {
		err = errDisk
	}
	if err != nil {
		x.fs.freeze()
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

// setIndexAside renames an index that cannot be opened, for whoever wants to look at it.
func (t *Tier) setIndexAside(number int, why error) error {
	aside, err := asideName(t.opts.FS, t.dir, "damaged-"+indexName(number))
	if err != nil {
		return err
	}
	t.log.Error("index cannot be opened and is set aside; what it named is lost", "as", aside, "error", why)
	t.health.note(noteIndexAside)
	return t.opts.FS.Rename(t.indexDir(number), aside)
}

// asideName returns a path in dir that does not exist yet.
func asideName(fs vfs.FS, dir, name string) (string, error) {
	for i := 1; ; i++ {
		path := fs.PathJoin(dir, fmt.Sprintf("%s.%d", name, i))
		if _, err := fs.Stat(path); oserror.IsNotExist(err) {
			return path, nil
		} else if err != nil {
			return "", err
		}
	}
}

// indexNumbers returns the indexes in dir, newest first.
func indexNumbers(fs vfs.FS, dir string) ([]int, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		if number, ok := indexNumber(name); ok {
			numbers = append(numbers, number)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return b - a })
	return numbers, nil
}
