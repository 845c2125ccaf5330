package disktier

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// TestAFileInADirectoryThatIsGoneIsWaitedFor stands for a directory that was removed under the running tier: pebble ends the
// process when it cannot create the next log.
func TestAFileInADirectoryThatIsGoneIsWaitedFor(t *testing.T) {
	creates := map[string]func(*stallFS) (vfs.File, error){
		"create": func(fs *stallFS) (vfs.File, error) { return fs.Create("/gone/log", vfs.WriteCategoryUnspecified) },
		"reuse": func(fs *stallFS) (vfs.File, error) {
			return fs.ReuseForWrite("/gone/old", "/gone/log", vfs.WriteCategoryUnspecified)
		},
	}
	for name, create := range creates {
		t.Run(name, func(t *testing.T) {
			var faults atomic.Uint64
			mem := vfs.NewMem()
			fs := newStallFS(mem, slog.New(slog.DiscardHandler), &faults)
			done := make(chan error, 1)
			go func() {
				f, err := create(fs)
				if err == nil {
					_, err = io.WriteString(f, "log")
					err = errors.Join(err, f.Close())
				}
				done <- err
			}()
			for fs.stalledFor() == 0 {
				select {
				case err := <-done:
					t.Fatalf("it ended with %v", err)
				default:
					runtime.Gosched()
				}
			}
			if err := mem.MkdirAll("/gone", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if text, err := readFile(mem, "/gone/log"); string(text) != "log" || fs.stalledFor() != 0 || faults.Load() != 1 {
				t.Errorf("written was %q, stalled for %v, %d faults: %v", text, fs.stalledFor(), faults.Load(), err)
			}
		})
	}
}

func TestOpenDoesNotWaitForAFullDisk(t *testing.T) {
	expiring := func(t *testing.T, disk *memDisk) Options {
		clock := newTestClock()
		tier := filled(t, disk, 1, 1000, func(o *Options) { o.Now = clock.now })
		mustPut(t, tier, tiertest.Name("expired"), 1, clock.ttl(time.Minute))
		closeTier(t, tier)
		clock.advance(time.Hour)
		return tier.opts
	}
	empty := func(t *testing.T, disk *memDisk) Options { return testOptions(tiertest.Arena(t, 1<<20)) }
	for name, prepare := range map[string]func(*testing.T, *memDisk) Options{"an index with expired values": expiring, "a new index": empty} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it takes as long as Open's patience
			disk, faults := newMemDisk(), newInjector()
			o := prepare(t, disk)
			faults.set(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".log") {
					return unix.ENOSPC
				}
				return nil
			})
			disk.inject = faults
			if tier, err := Open("/tier", disk.options(o)); !errors.Is(err, tiers.ErrUnavailable) {
				t.Errorf("open: %v", err)
				if err == nil {
					tier.Close()
				}
			}
			disk.inject = nil
			if tier := open(t, "/tier", disk.options(o)); tier.Stats().Entries > 1 {
				t.Errorf("%d entries", tier.Stats().Entries)
			}
		})
	}
}

func TestAReadErrorBreaksTheIndexThatWasRead(t *testing.T) {
	for _, test := range []struct {
		err    error
		broken bool
	}{
		{unix.EIO, true},
		{unix.EMFILE, false},
		{unix.ENFILE, false},
		{unix.ENOMEM, false},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			tier := filled(t, newMemDisk(), 1, 1000)
			name := tiertest.Name("0")
			// Not one that the committer looks at: it would rewrite it.
			x := &index{fs: newStallFS(vfs.NewMem(), tier.log, &tier.ioErrors)}
			n := tier.ref(name.ID(), true)
			err := tier.unreadable(n, x, fmt.Errorf("read index: %w", test.err))
			tier.unref(n)
			if !errors.Is(err, tiers.ErrNotFound) || !has(t, tier, name) {
				t.Errorf("a miss was wanted, and a hit later: %v", err)
			}
			if x.fs.isBroken() != test.broken || tier.index.Load().fs.isBroken() {
				t.Errorf("broken: %v, and the index of today: %v", x.fs.isBroken(), tier.index.Load().fs.isBroken())
			}
			if s := tier.Stats(); s.IOErrors != 1 || s.Misses != 1 {
				t.Errorf("%d I/O errors, %d misses", s.IOErrors, s.Misses)
			}
		})
	}
}

func TestARewriteDropsNothingThatItOnlyCannotReadNow(t *testing.T) {
	disk, faults := newMemDisk(), newInjector()
	disk.inject = faults
	tier := filled(t, disk, 3, 1000)
	x := tier.index.Load()
	if err := x.flush(); err != nil {
		t.Fatal(err)
	}
	faults.set(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".sst") && (op.Kind == errorfs.OpFileReadAt || op.Kind == errorfs.OpOpen) {
			return unix.EIO
		}
		return nil
	})
	x.fs.breakIndex("as after a failed sync")
	if err := put(tier, tiertest.Name("new"), 1); err == nil {
		t.Error("a put was taken")
	}
	if s := tier.Stats(); s.Health != tiers.HealthReadOnly || s.Reason != reasonIndexLost || s.Entries != 3 {
		t.Errorf("%s %s, %d entries", s.Health, s.Reason, s.Entries)
	}
	faults.set(nil)
	again := func(tier *Tier) {
		t.Helper()
		for i := range 3 {
			if !has(t, tier, tiertest.Name(fmt.Sprint(i))) {
				t.Errorf("value %d is lost", i)
			}
		}
	}
	again(tier)
	closeTier(t, tier)
	again(open(t, "/tier", disk.options(tier.opts)))
}

func TestOpenKeepsWhatItOnlyCannotReadNow(t *testing.T) {
	opens := func(op errorfs.Op, suffix string) bool {
		return op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, suffix)
	}
	for _, test := range []struct {
		file string
		errs []error
	}{
		{formatName, []error{unix.EIO, unix.EMFILE, unix.EACCES}},
		{".sst", []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EACCES, unix.EPERM}},
	} {
		for _, fault := range test.errs {
			t.Run(test.file+" "+fault.Error(), func(t *testing.T) {
				disk, faults := newMemDisk(), newInjector()
				tier := filled(t, disk, 3, 1000)
				closeTier(t, tier)
				faults.set(func(op errorfs.Op) error {
					if opens(op, test.file) {
						return fault
					}
					return nil
				})
				disk.inject = faults
				if tier, err := Open("/tier", disk.options(tier.opts)); !errors.Is(err, fault) {
					t.Errorf("open: %v, want %v", err, fault)
					if err == nil {
						tier.Close()
					}
				}
				disk.inject = nil
				if s := open(t, "/tier", disk.options(tier.opts)).Stats(); s.Entries != 3 || len(s.Notes) != 0 {
					t.Errorf("%d entries, notes %v", s.Entries, s.Notes)
				}
			})
		}
	}
}

func TestSettingALayoutAsideMayBeCutShort(t *testing.T) {
	disk, faults := newMemDisk(), newInjector()
	tier := filled(t, disk, 3, 1000)
	closeTier(t, tier)
	if err := writeFile(disk.index, "/tier", formatName, []byte("another layout")); err != nil {
		t.Fatal(err)
	}
	renames := 0
	faults.set(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpRename {
			if renames++; renames == 2 {
				return unix.EIO
			}
		}
		return nil
	})
	disk.inject = faults
	if _, err := Open("/tier", disk.options(tier.opts)); !errors.Is(err, unix.EIO) {
		t.Fatalf("open: %v", err)
	}
	again := open(t, "/tier", disk.options(tier.opts))
	if s := again.Stats(); s.Entries != 0 || s.UsedBytes != 0 || !slices.Contains(s.Notes, noteFormatAside) {
		t.Errorf("%d entries in %d bytes, notes %v", s.Entries, s.UsedBytes, s.Notes)
	}
	if aside, err := disk.index.List("/tier/other-layout.2"); err != nil || !slices.Contains(aside, formatName) {
		t.Errorf("set aside at last are %v, %v", aside, err)
	}
}
