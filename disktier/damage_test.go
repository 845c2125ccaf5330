package disktier

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// filled opens a tier on a memDisk and puts n values of the size into it, named "0" to n-1.
func filled(t *testing.T, disk *memDisk, n int, size int64, edits ...func(*Options)) *Tier {
	t.Helper()
	o := disk.options(testOptions(tiertest.Arena(t, 32<<20)))
	for _, edit := range edits {
		edit(&o)
	}
	tier := open(t, "/tier", o)
	for i := range n {
		mustPut(t, tier, tiertest.Name(fmt.Sprint(i)), size)
	}
	return tier
}

// flip changes one byte of a stored value.
func (d *memDisk) flip(tier *Tier, name tiers.Name, at int64) {
	tier.mu.Lock()
	n := tier.stored.nodes[name.ID()]
	tier.mu.Unlock()
	flat := make([]byte, tiers.RoundToBlock(n.size))
	seen := int64(0)
	tier.blocks.pieces(n.runs, flat, func(f BlockFile, p []byte, offset int64) error {
		if at >= seen && at < seen+int64(len(p)) {
			m := f.(*memBlocks)
			m.mu.Lock()
			m.data[offset+at-seen] ^= 0x10
			m.mu.Unlock()
		}
		seen += int64(len(p))
		return nil
	})
}

func TestAFlippedByteIsAMissAndItsExtentIsNotUsedAgain(t *testing.T) {
	const size = 3*unitBytes + 5
	for _, at := range []int64{0, 1, unitBytes - 1, unitBytes, 2*unitBytes + 4096, size - 1} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			disk := newMemDisk()
			var evicted []string
			tier := filled(t, disk, 2, size, func(o *Options) {
				o.Evicted = func(n tiers.Name) { evicted = append(evicted, n.Key) }
			})
			victim := tiertest.Name("0")
			runs := tier.stored.nodes[victim.ID()].runs
			disk.flip(tier, victim, at)
			if has(t, tier, victim) {
				t.Fatal("the damaged value was found")
			}
			if has(t, tier, victim) || !has(t, tier, tiertest.Name("1")) {
				t.Fatal("the damage spread, or healed")
			}
			for i := range 40 { // several times the capacity
				mustPut(t, tier, tiertest.Name(fmt.Sprint("more", i)), size)
				for _, n := range tier.stored.nodes {
					for _, r := range n.runs {
						if slices.ContainsFunc(runs, func(bad run) bool { return r.start < bad.end() && bad.start < r.end() }) {
							t.Fatalf("run %v lies in the quarantined %v", r, runs)
						}
					}
				}
			}
			s := tier.Stats()
			if s.Corruptions != 1 || s.QuarantinedBytes != 4*unitBytes || s.Evictions[tiers.EvictedDamaged] != 1 {
				t.Errorf("corruptions %d, quarantined %d, evictions %v", s.Corruptions, s.QuarantinedBytes, s.Evictions)
			}
			closeTier(t, tier)
			if evicted[0] != victim.Key {
				t.Errorf("evicted first: %q", evicted[0])
			}
		})
	}
}

func TestReadErrorsAreMissesAndManyMakeTheTierReadOnly(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 8, 1000)
	disk.fault = func(op string) error {
		if op == "read" {
			return unix.EIO
		}
		return nil
	}
	for i := range faultLimit {
		if s := tier.Stats(); s.Health != tiers.HealthOK {
			t.Fatalf("after %d errors: %s %s", i, s.Health, s.Reason)
		}
		if has(t, tier, tiertest.Name(fmt.Sprint(i))) {
			t.Fatal("read through an error")
		}
	}
	disk.fault = nil
	s := tier.Stats()
	if s.Health != tiers.HealthReadOnly || s.Reason != reasonDiskErrors || s.IOErrors != faultLimit {
		t.Fatalf("%s %s, %d I/O errors", s.Health, s.Reason, s.IOErrors)
	}
	if err := put(tier, tiertest.Name("new"), 1); !errors.Is(err, tiers.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if !has(t, tier, tiertest.Name("7")) {
		t.Error("a good value is not served")
	}
	if err := tier.Delete(background, tiertest.Name("7").ID()); err != nil || has(t, tier, tiertest.Name("7")) {
		t.Errorf("delete: %v", err)
	}
}

func TestAFailedWriteStoresNothing(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		t.Run(op, func(t *testing.T) {
			disk := newMemDisk()
			tier := filled(t, disk, 1, 1000)
			disk.fault = func(o string) error {
				if o == op {
					return unix.EIO
				}
				return nil
			}
			err := put(tier, tiertest.Name("0"), 2000)
			if !errors.Is(err, tiers.ErrUnavailable) && !errors.Is(err, tiers.ErrNotDurable) {
				t.Fatalf("put: %v", err)
			}
			disk.fault = nil
			if !has(t, tier, tiertest.Name("0")) {
				t.Error("the value that was there before is gone")
			}
			if s := tier.Stats(); s.QuarantinedBytes != unitBytes || s.IOErrors != 1 || s.Health != tiers.HealthOK {
				t.Errorf("quarantined %d, I/O errors %d, %s", s.QuarantinedBytes, s.IOErrors, s.Health)
			}
			mustPut(t, tier, tiertest.Name("0"), 2000)
		})
	}
}

// TestAFailedSyncTakesWhatWasWrittenBefore has the sync of one Put fail while another has written its value and not
// queued it yet. Its own sync succeeds, and says nothing about the bytes that the failed one did not write.
func TestAFailedSyncTakesWhatWasWrittenBefore(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 0, 0)
	writing, resume := make(chan struct{}), make(chan struct{})
	var waited atomic.Bool
	disk.fault = func(op string) error {
		if op == "write" && !waited.Swap(true) {
			close(writing)
			<-resume
		}
		return nil
	}
	early := make(chan error)
	go func() { early <- put(tier, tiertest.Name("early"), 1000) }()
	<-writing
	disk.failOnce("sync", unix.EIO)
	if err := put(tier, tiertest.Name("failed"), 1000); !errors.Is(err, tiers.ErrNotDurable) {
		t.Errorf("put: %v", err)
	}
	close(resume)
	if err := <-early; !errors.Is(err, tiers.ErrNotDurable) {
		t.Errorf("put that was written before the failed sync: %v", err)
	}
	if has(t, tier, tiertest.Name("early")) || has(t, tier, tiertest.Name("failed")) {
		t.Error("visible without being durable")
	}
	mustPut(t, tier, tiertest.Name("late"), 1000)
}

// A plant damages a closed tier in a directory on disk and says what Check must find.
type plant struct {
	name   string
	damage func(t *testing.T, dir string)
	want   []string // reasons, each of which begins so
}

func TestCheckFindsPlantedDamage(t *testing.T) {
	plants := []plant{
		{"nothing", func(*testing.T, string) {}, nil},
		{"a byte of a value", func(t *testing.T, dir string) {
			flipByte(t, filepath.Join(dir, blockName(0)), 100)
		}, []string{"value does not match its checksum"}},
		{"the last byte of a value", func(t *testing.T, dir string) {
			flipByte(t, filepath.Join(dir, blockName(0)), valueSize-1)
		}, []string{"value does not match its checksum"}},
		{"a missing block file", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, blockName(0))); err != nil {
				t.Fatal(err)
			}
		}, slices.Repeat([]string{"block file is missing"}, 5)},
		{"a short block file", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, blockName(0)), 5*valueUnits*unitBytes-4096); err != nil {
				t.Fatal(err)
			}
		}, []string{"block file is missing or short"}},
		{"a record that is not one", func(t *testing.T, dir string) {
			editIndex(t, dir, func(b *pebble.Batch) { b.Set(recordKey(tiertest.Name("1").ID()), []byte("nonsense"), nil) })
		}, []string{"damaged record"}},
		{"a record under another id", func(t *testing.T, dir string) {
			r := record{name: tiertest.Name("1"), runs: []run{{100, 1}}, meta: tiertest.Meta(tiertest.Name("1"), []byte("1"))}
			other := tiertest.Name("2").ID()
			editIndex(t, dir, func(b *pebble.Batch) { b.Set(recordKey(other), appendRecord(nil, other, r), nil) })
		}, []string{"damaged record"}},
		{"a key that is none", func(t *testing.T, dir string) {
			editIndex(t, dir, func(b *pebble.Batch) { b.Set([]byte("vx"), nil, nil); b.Set([]byte("ex"), nil, nil) })
		}, []string{"record under a key", "record under a key"}},
		{"an extent claimed twice", func(t *testing.T, dir string) {
			name := tiertest.Name("twin")
			r := record{name: name, runs: []run{{start: 0, units: 1}}, meta: tiertest.Meta(name, []byte("twin")), sequence: 1 << 40}
			editIndex(t, dir, func(b *pebble.Batch) { b.Set(recordKey(name.ID()), appendRecord(nil, name.ID(), r), nil) })
		}, []string{"extent belongs to a newer value", "value does not match its checksum"}},
		{"a manifest", func(t *testing.T, dir string) {
			for _, path := range indexFiles(t, dir, "MANIFEST-*") {
				flipByte(t, path, 20)
			}
		}, []string{"open index"}},
		{"a table", func(t *testing.T, dir string) {
			for _, path := range indexFiles(t, dir, "*.sst") {
				flipByte(t, path, 20)
			}
		}, []string{"read index"}},
		{"the layout", func(t *testing.T, dir string) {
			flipByte(t, filepath.Join(dir, formatName), 3)
		}, []string{formatName}},
	}
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			dir := t.TempDir()
			o := testOptions(tiertest.Arena(t, 16<<20))
			tier := open(t, dir, o)
			for i := range 5 {
				mustPut(t, tier, tiertest.Name(fmt.Sprint(i)), valueSize)
			}
			if _, err := Check(background, dir, CheckOptions{}, nil); !errors.Is(err, ErrLocked) {
				t.Fatalf("check of an open tier: %v", err)
			}
			closeTier(t, tier)
			p.damage(t, dir)

			var got []string
			summary, err := Check(background, dir, CheckOptions{}, func(d Damage) { got = append(got, d.Reason) })
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			same := slices.EqualFunc(got, p.want, func(g, w string) bool { return strings.HasPrefix(g, w) })
			if !same || summary.Damaged != int64(len(got)) {
				t.Errorf("found %+v: %s", summary, cmp.Diff(p.want, got))
			}

			// The tier opens whatever was planted, and returns what is right or nothing.
			tier = open(t, dir, o)
			for i := range 5 {
				found := has(t, tier, tiertest.Name(fmt.Sprint(i)))
				if len(p.want) == 0 && !found {
					t.Errorf("value %d is lost", i)
				}
			}
			mustPut(t, tier, tiertest.Name("after"), valueSize)
		})
	}
}

const (
	valueSize  = 100_000
	valueUnits = 2
)

func flipByte(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func editIndex(t *testing.T, dir string, edit func(*pebble.Batch)) {
	t.Helper()
	db, err := pebble.Open(filepath.Join(dir, indexName(1)), &pebble.Options{FormatMajorVersion: pebble.FormatValueSeparation, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	edit(b)
	if err := errors.Join(db.Apply(b, pebble.Sync), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func indexFiles(t *testing.T, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, indexName(1), pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s in the index: %v", pattern, err)
	}
	return paths
}
