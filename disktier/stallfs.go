package disktier

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// stallFS stands between pebble and the file system, because pebble ends the process when it cannot write: a failed
// rotation of its log panics with a mutex unlocked, which cannot be recovered, a failed move of a marker panics in
// a goroutine of pebble's, and a failed sync is fatal. So no operation that writes ever fails here:
//
//   - One that fails is tried again, with back-off, until it works. The writer waits, reads go on, and when the disk
//     has room again nothing has happened.
//   - Once the index is abandoned, nothing is written any more and everything seems to succeed, so that pebble can be
//     closed. The directory stays as it was at that moment, as after kill -9.
//   - A sync is never tried again: after one that failed, Linux may have marked the unwritten pages clean, and
//     the second sync would succeed with the data lost. It marks the index broken and is answered with success; whoever
//     committed looks at broken before believing in durability, and the index is rewritten (rewrite.go). While broken, no
//     file is removed or reused, since what should have replaced it may not be on disk.
type stallFS struct {
	vfs.FS
	log    *slog.Logger
	faults *atomic.Uint64 // counts failed operations that write

	abandon   sync.Once
	abandoned chan struct{}

	markBroken sync.Once
	broken     chan struct{}

	mu      sync.Mutex
	stalls  int       // operations being tried again
	stalled time.Time // since when, by the monotonic clock; meaningful while stalls > 0
}

// Back-off between tries of a stalled write: short enough that a disk with room again is used at once.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = time.Second
)

func newStallFS(fs vfs.FS, log *slog.Logger, faults *atomic.Uint64) *stallFS {
	return &stallFS{FS: fs, log: log, faults: faults, abandoned: make(chan struct{}), broken: make(chan struct{})}
}

// freeze abandons the index.
func (fs *stallFS) freeze() { fs.abandon.Do(func() { close(fs.abandoned) }) }

func (fs *stallFS) frozen() bool { return closed(fs.abandoned) }

// freezeAfter abandons an index that waits for the disk longer than patience, until stop returns.
func (fs *stallFS) freezeAfter(patience time.Duration) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		check := time.NewTicker(patience / 10)
		defer check.Stop()
		for {
			select {
			case <-stopped:
				return
			case <-check.C:
				if fs.stalledFor() > patience {
					fs.freeze()
					return
				}
			}
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}

// breakIndex records that what was written to the index may not be on disk.
func (fs *stallFS) breakIndex(why string) {
	fs.markBroken.Do(func() {
		fs.log.Error("index is broken and will be rewritten", "reason", why)
		close(fs.broken)
	})
}

func (fs *stallFS) isBroken() bool { return closed(fs.broken) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// stalledFor returns how long a write has been waiting for the disk, or 0.
func (fs *stallFS) stalledFor() time.Duration {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.stalls == 0 {
		return 0
	}
	return time.Since(fs.stalled)
}

// stall counts an operation that waits for the disk until resume is called, and reports whether it is the only one.
func (fs *stallFS) stall() (first bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.stalls++; fs.stalls == 1 {
		fs.stalled = time.Now()
	}
	return fs.stalls == 1
}

func (fs *stallFS) resume() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.stalls--
}

// never is what an operation of which pebble expects that it succeeds may fail with.
func never(error) bool { return false }

// asked reports whether an operation failed for what it was asked, and not for the disk. Only of some does pebble expect
// that: a log that cannot be created because somebody removed its directory ends the process.
func asked(err error) bool { return oserror.IsNotExist(err) || oserror.IsExist(err) }

// write runs an operation that changes the file system. It returns an error only when that may be passed on.
func (fs *stallFS) write(what string, may func(error) bool, op func() error) error {
	if fs.frozen() {
		return nil
	}
	err := op()
	if err == nil || may(err) {
		return err
	}
	fs.faults.Add(1)
	if fs.stall() {
		fs.log.Warn("index waits for the disk", "operation", what, "error", err)
	}
	defer fs.resume()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		select {
		case <-fs.abandoned:
			return nil
		case <-time.After(wait):
		}
		if err = op(); err == nil || may(err) {
			return err
		}
	}
}

// sync runs a sync once.
func (fs *stallFS) sync(what string, op func() error) error {
	if fs.frozen() {
		return nil
	}
	err := op()
	if err == nil {
		return nil
	}
	fs.faults.Add(1)
	fs.breakIndex(what + ": " + err.Error())
	return nil
}

// create opens a file for writing; in an abandoned index it is one that is nowhere.
func (fs *stallFS) create(what string, may func(error) bool, open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := fs.write(what, may, func() (err error) {
		f, err = open()
		return err
	})
	if err == nil && f == nil {
		f, err = vfs.NewMem().Create("nowhere", vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return nil, err
	}
	return &stallFile{File: f, fs: fs}, nil
}

func (fs *stallFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.create("create", never, func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

func (fs *stallFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.create("open", asked, func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, opts...) })
}

func (fs *stallFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	reuse := !fs.isBroken()
	return fs.create("reuse", never, func() (vfs.File, error) {
		if !reuse {
			return fs.FS.Create(newname, c)
		}
		reuse = false // the file may have been renamed before it could not be opened
		return fs.FS.ReuseForWrite(oldname, newname, c)
	})
}

func (fs *stallFS) Link(oldname, newname string) error {
	return fs.write("link", asked, func() error { return fs.FS.Link(oldname, newname) })
}

func (fs *stallFS) Rename(oldname, newname string) error {
	return fs.write("rename", asked, func() error { return fs.FS.Rename(oldname, newname) })
}

func (fs *stallFS) MkdirAll(dir string, perm os.FileMode) error {
	return fs.write("mkdir", asked, func() error { return fs.FS.MkdirAll(dir, perm) })
}

// Remove passes errors on: a file that stays is no harm, and pebble knows how to live with it.
func (fs *stallFS) Remove(name string) error {
	if fs.frozen() || fs.isBroken() {
		return nil
	}
	return fs.FS.Remove(name)
}

func (fs *stallFS) RemoveAll(name string) error {
	if fs.frozen() || fs.isBroken() {
		return nil
	}
	return fs.FS.RemoveAll(name)
}

func (fs *stallFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return &stallFile{File: f, fs: fs}, nil
}

func (fs *stallFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &stallFile{File: f, fs: fs}, nil
}

// Lock does nothing: the lock on the whole directory is held.
func (fs *stallFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (fs *stallFS) Unwrap() vfs.FS { return fs.FS }

type stallFile struct {
	vfs.File
	fs *stallFS
}

func (f *stallFile) Write(p []byte) (int, error) {
	done := 0
	err := f.fs.write("write", never, func() error {
		n, err := f.File.Write(p[done:])
		done += n // a short write is continued, not repeated
		return err
	})
	if err != nil {
		return done, err
	}
	return len(p), nil
}

func (f *stallFile) WriteAt(p []byte, offset int64) (int, error) {
	err := f.fs.write("write", never, func() error {
		_, err := f.File.WriteAt(p, offset)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Preallocate is a hint that pebble gives and whose failure it ignores; the write that follows stalls.
func (f *stallFile) Preallocate(offset, length int64) error {
	if f.fs.frozen() {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

func (f *stallFile) Sync() error     { return f.fs.sync("sync", f.File.Sync) }
func (f *stallFile) SyncData() error { return f.fs.sync("sync data", f.File.SyncData) }

func (f *stallFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.sync("sync range", func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close counts as a sync: file systems report what they could not write there.
func (f *stallFile) Close() error {
	err := f.File.Close()
	if err != nil {
		return f.fs.sync("close", func() error { return err })
	}
	return nil
}
