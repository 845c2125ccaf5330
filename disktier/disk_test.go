package disktier

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestADirectoryInUseIsLocked(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(tiertest.Arena(t, 1<<20))
	tier := open(t, dir, o)
	if _, err := Open(dir, o); !errors.Is(err, ErrLocked) {
		t.Fatalf("second open: %v, want %v", err, ErrLocked)
	}
	closeTier(t, tier)
	open(t, dir, o)
}

// usedBytes returns what the files that match take up on disk, as du says.
func usedBytes(t *testing.T, dir, pattern string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if match, _ := filepath.Match(pattern, entry.Name()); match {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

func TestTheCapacityBoundsTheDisk(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(tiertest.Arena(t, 16<<20))
	tier := open(t, dir, o)
	check := func(want int64) {
		t.Helper()
		if got := usedBytes(t, dir, "blocks-*"); got > o.CapacityBytes || got < want {
			t.Errorf("block files take %d bytes, capacity %d, want at least %d", got, o.CapacityBytes, want)
		}
	}
	most := func() int64 { return tier.Stats().CapacityBytes }
	check(0)
	for i := range 60 {
		mustPut(t, tier, tiertest.Name(fmt.Sprint(i)), int64(i%7)*150_000+1)
		check(0)
	}
	check(most())
	closeTier(t, tier)

	// A smaller capacity cuts what lies beyond it, and keeps the rest.
	o.CapacityBytes = 5 << 20
	tier = open(t, dir, o)
	check(most())
	if s := tier.Stats(); s.Entries == 0 || s.UsedBytes > o.CapacityBytes {
		t.Errorf("%d entries in %d bytes", s.Entries, s.UsedBytes)
	}
	closeTier(t, tier)
	if found, _ := filepath.Glob(filepath.Join(dir, "blocks-*")); len(found) != 2 {
		t.Errorf("block files %v, want 2 of 3 MiB", found)
	}

	// A larger one grows again.
	o.CapacityBytes = 9 << 20
	tier = open(t, dir, o)
	for i := range 60 {
		mustPut(t, tier, tiertest.Name(fmt.Sprint("again", i)), 200_000)
	}
	check(most())
}

func TestReadsWriteNothing(t *testing.T) {
	dir := t.TempDir()
	tier := open(t, dir, testOptions(tiertest.Arena(t, 16<<20)))
	for i := range 10 {
		mustPut(t, tier, tiertest.Name(fmt.Sprint(i)), 300_000)
	}
	// What the file system has put off is not ours to count.
	unix.Sync()
	files := func() (times []unix.Timespec) {
		for _, path := range slices.Sorted(slices.Values(tree(t, dir))) {
			var stat unix.Stat_t
			if err := unix.Stat(path, &stat); err != nil {
				t.Fatal(err)
			}
			times = append(times, stat.Mtim, stat.Ctim)
		}
		return times
	}
	times, written := files(), writtenBytes(t)
	for range 5 {
		for i := range 10 {
			if !has(t, tier, tiertest.Name(fmt.Sprint(i))) {
				t.Fatalf("value %d is lost", i)
			}
			if _, _, err := tier.Stat(background, tiertest.Name(fmt.Sprint(i)).ID()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := writtenBytes(t) - written; n != 0 {
		t.Errorf("50 reads wrote %d bytes", n)
	}
	if !slices.Equal(times, files()) {
		t.Error("a file was modified")
	}
}

func tree(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// tmpfs mounts one of that size, or skips the test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no tmpfs may be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestARealFullDisk gives the tier a capacity that the disk does not have. It takes what it can, says so, and goes on with
// eviction; when the disk has room again it grows.
func TestARealFullDisk(t *testing.T) {
	mount := tmpfs(t, "24m")
	filler := filepath.Join(mount, "filler")
	if err := os.WriteFile(filler, make([]byte, 14<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	o := testOptions(tiertest.Arena(t, 16<<20))
	o.CapacityBytes, o.BlockBytes = 12<<20, 2<<20
	clock := newTestClock()
	o.Now = clock.now
	tier := open(t, filepath.Join(mount, "tier"), o)
	store := func(prefix string) {
		for i := range 80 {
			mustPut(t, tier, tiertest.Name(fmt.Sprint(prefix, i)), 200_000)
		}
		if !has(t, tier, tiertest.Name(fmt.Sprint(prefix, 79))) {
			t.Errorf("the last value of %q is lost", prefix)
		}
	}
	store("full")
	s := tier.Stats()
	probe, buffered, err := openBlockFile(filepath.Join(mount, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	if slices.Contains(s.Notes, noteBuffered) != buffered {
		t.Errorf("notes %v, though buffered is %v", s.Notes, buffered)
	}
	if s.Health != tiers.HealthDegraded || s.Reason != reasonDiskFull || tier.blocks.held == s.CapacityBytes {
		t.Fatalf("%s %s, %d bytes are held", s.Health, s.Reason, tier.blocks.held)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	clock.advance(growthRetry)
	store("room")
	if s := tier.Stats(); s.Health != tiers.HealthOK || tier.blocks.held != s.CapacityBytes {
		t.Errorf("%s %s, %d bytes are held", s.Health, s.Reason, tier.blocks.held)
	}
}

// TestConcurrentReadersAndEviction has readers and writers of the same few names share a tier that is always full.
func TestConcurrentReadersAndEviction(t *testing.T) {
	o := testOptions(tiertest.Arena(t, 64<<20))
	o.CapacityBytes = 2 << 20
	tier := open(t, t.TempDir(), o)
	const names, rounds = 30, 60
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			rng := newRand(uint64(w))
			for range rounds {
				name := tiertest.Name(fmt.Sprint(rng.IntN(names)))
				if err := put(tier, name, 1+rng.Int64N(300_000)); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
		group.Go(func() {
			rng := newRand(uint64(w) + 100)
			for range 4 * rounds {
				name := tiertest.Name(fmt.Sprint(rng.IntN(names)))
				e, err := tier.Get(background, name.ID())
				if errors.Is(err, tiers.ErrNotFound) {
					continue
				}
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				if err := tiertest.Check(e); err != nil {
					t.Errorf("WRONG BYTES: %v", err)
				}
				e.Release()
			}
		})
	}
	group.Wait()
	if s := tier.Stats(); s.Corruptions != 0 || s.QuarantinedBytes != 0 || s.Evictions[tiers.EvictedCapacity] == 0 {
		t.Errorf("%d corruptions, quarantined %d, evictions %v", s.Corruptions, s.QuarantinedBytes, s.Evictions)
	}
}
