package disktier

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// An injector fails the operations of the index that match, while there is something to match.
type injector struct {
	mu     sync.Mutex
	match  func(errorfs.Op) error
	failed chan struct{} // closed at the first failure
	once   sync.Once
}

func newInjector() *injector { return &injector{failed: make(chan struct{})} }

func (i *injector) String() string { return "injector" }

func (i *injector) set(match func(errorfs.Op) error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.match = match
}

func (i *injector) MaybeError(op errorfs.Op) error {
	i.mu.Lock()
	match := i.match
	i.mu.Unlock()
	if match == nil {
		return nil
	}
	err := match(op)
	if err != nil {
		i.once.Do(func() { close(i.failed) })
	}
	return err
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
}

func TestAFailedSyncOfTheIndexRewritesIt(t *testing.T) {
	disk, faults := newMemDisk(), newInjector()
	disk.inject = faults
	tier := filled(t, disk, 6, 1000)
	var once sync.Once
	faults.set(func(op errorfs.Op) (err error) {
		if isSync(op) {
			once.Do(func() { err = unix.EIO })
		}
		return err
	})
	mustPut(t, tier, tiertest.Name("meanwhile"), 1000)
	if err := tier.SaveEpoch(background, tiertest.Name("").Scope); err != nil {
		t.Fatal(err)
	}
	s := tier.Stats()
	if !slices.Contains(s.Notes, noteIndexRewrote) || s.Health != tiers.HealthOK || s.IOErrors != 1 {
		t.Fatalf("notes %v, %s, %d I/O errors", s.Notes, s.Health, s.IOErrors)
	}
	// What was acknowledged is in the new index, whatever became of the old one.
	left := disk.crash(newRand(1))
	closeTier(t, tier)
	again := open(t, "/tier", left.options(tier.opts))
	for _, key := range []string{"0", "5", "meanwhile"} {
		if !has(t, again, tiertest.Name(key)) {
			t.Errorf("%q is lost", key)
		}
	}
	if got := again.Epochs(); len(got) != 1 || got[0] != tiertest.Name("").Scope {
		t.Errorf("epochs %v", got)
	}
	if names, _ := left.index.List("/tier"); !slices.Contains(names, indexName(2)) || slices.Contains(names, indexName(1)) {
		t.Errorf("left are %v", names)
	}
}

func TestAnIndexThatCannotBeRewrittenLeavesTheTierReadOnly(t *testing.T) {
	disk, faults := newMemDisk(), newInjector()
	disk.inject = faults
	tier := filled(t, disk, 3, 1000)
	faults.set(func(op errorfs.Op) error {
		if isSync(op) {
			return unix.EIO
		}
		return nil
	})
	if err := put(tier, tiertest.Name("new"), 1000); !errors.Is(err, tiers.ErrNotDurable) {
		t.Fatalf("put: %v", err)
	}
	if s := tier.Stats(); s.Health != tiers.HealthReadOnly || s.Reason != reasonIndexLost {
		t.Fatalf("%s %s", s.Health, s.Reason)
	}
	for i := range 3 {
		if !has(t, tier, tiertest.Name(fmt.Sprint(i))) {
			t.Errorf("value %d is not served", i)
		}
	}
	if err := put(tier, tiertest.Name("new"), 1000); !errors.Is(err, tiers.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if err := tier.Delete(background, tiertest.Name("0").ID()); !errors.Is(err, tiers.ErrNotDurable) {
		t.Errorf("delete: %v", err)
	}
	if has(t, tier, tiertest.Name("0")) {
		t.Error("a deleted value is served")
	}
}

// full makes every operation of the index that needs space fail.
func full(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpReuseForWrite:
		return unix.ENOSPC
	}
	return nil
}

// stalledSince waits until the index waits for the disk, and makes it believe that it has done so for a while.
func stalledSince(tier *Tier, since time.Time) {
	fs := tier.index.Load().fs
	for fs.stalledFor() == 0 {
		runtime.Gosched()
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.stalled = since
}

func TestAFullDiskStallsTheIndexAndHeals(t *testing.T) {
	disk, faults := newMemDisk(), newInjector()
	disk.inject = faults
	tier := filled(t, disk, 3, 1000)
	faults.set(full)

	stalled := make(chan error, 1)
	go func() { stalled <- put(tier, tiertest.Name("waiting"), 1000) }()
	<-faults.failed
	ctx, cancel := context.WithCancel(background)
	cancel()
	if err := tier.SaveEpoch(ctx, tiertest.Name("").Scope); !errors.Is(err, context.Canceled) {
		t.Errorf("save epoch: %v", err)
	}
	for i := range 3 {
		if !has(t, tier, tiertest.Name(fmt.Sprint(i))) {
			t.Errorf("value %d is not served", i)
		}
	}
	stalledSince(tier, time.Now().Add(-2*stallPatience))
	if s := tier.Stats(); s.Health != tiers.HealthDegraded || s.Reason != reasonStalled {
		t.Errorf("%s %s", s.Health, s.Reason)
	}
	if err := put(tier, tiertest.Name("refused"), 1000); !errors.Is(err, tiers.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	faults.set(nil)
	if err := <-stalled; err != nil {
		t.Errorf("put after the disk had room again: %v", err)
	}
	mustPut(t, tier, tiertest.Name("refused"), 1000)
	if s := tier.Stats(); s.Health != tiers.HealthOK || s.Refusals[refusedStalled] != 1 {
		t.Errorf("%s %s, refusals %v", s.Health, s.Reason, s.Refusals)
	}
	for _, key := range []string{"waiting", "refused"} {
		if !has(t, tier, tiertest.Name(key)) {
			t.Errorf("%q is lost", key)
		}
	}
}

func TestCloseDoesNotWaitForADiskThatStaysFull(t *testing.T) {
	disk, faults := newMemDisk(), newInjector()
	disk.inject = faults
	tier := filled(t, disk, 3, 1000)
	faults.set(full)
	stalled := make(chan error, 1)
	go func() { stalled <- put(tier, tiertest.Name("waiting"), 1000) }()
	<-faults.failed
	stalledSince(tier, time.Now().Add(-2*closeGrace))
	if err := tier.Close(); err != nil {
		t.Logf("close: %v", err)
	}
	if err := <-stalled; !errors.Is(err, tiers.ErrNotDurable) {
		t.Errorf("put: %v", err)
	}
	// The directory is as after kill -9.
	disk.inject = nil
	again := open(t, "/tier", disk.options(tier.opts))
	for i := range 3 {
		if !has(t, again, tiertest.Name(fmt.Sprint(i))) {
			t.Errorf("value %d is lost", i)
		}
	}
}

func TestAnIndexOfAnotherLayoutIsSetAside(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 3, 1000)
	closeTier(t, tier)
	text := fmt.Sprintf(formatText, layoutVersion+1, 1<<20)
	if err := writeFile(disk.index, "/tier", formatName, []byte(text)); err != nil {
		t.Fatal(err)
	}
	again := open(t, "/tier", disk.options(tier.opts))
	if s := again.Stats(); s.Entries != 0 || !slices.Contains(s.Notes, noteFormatAside) {
		t.Errorf("%d entries, notes %v", s.Entries, s.Notes)
	}
	mustPut(t, again, tiertest.Name("0"), 1000)
	aside, err := disk.index.List("/tier/other-layout.1")
	if err != nil || !slices.Contains(aside, formatName) || !slices.Contains(aside, indexName(1)) {
		t.Errorf("set aside are %v, %v", aside, err)
	}
}

func TestAnUnfinishedRewriteIsIgnored(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 3, 1000)
	closeTier(t, tier)
	x, err := openIndex(disk.index, "/tier/"+indexName(2), indexOptions{number: 2, memory: minIndexMemory, log: tier.log, faults: &tier.ioErrors})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, "/tier", disk.options(tier.opts))
	if s := again.Stats(); s.Entries != 3 || len(s.Notes) != 0 {
		t.Errorf("%d entries, notes %v", s.Entries, s.Notes)
	}
}

func TestACorruptIndexIsRewrittenWithWhatIsLeft(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 3, 1000)
	lost := tiertest.Name("1").ID()
	if err := tier.index.Load().db.Set(recordKey(lost), []byte("nonsense"), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	tier.index.Load().fs.breakIndex("as when pebble reports corruption")
	mustPut(t, tier, tiertest.Name("3"), 1000)
	for i := range 4 {
		if found := has(t, tier, tiertest.Name(fmt.Sprint(i))); found != (i != 1) {
			t.Errorf("value %d: found is %v", i, found)
		}
	}
	s := tier.Stats()
	if s.Corruptions != 1 || s.Entries != 3 || !slices.Contains(s.Notes, noteIndexRewrote) {
		t.Errorf("%d corruptions, %d entries, notes %v", s.Corruptions, s.Entries, s.Notes)
	}
}

func TestADamagedRecordIsAMiss(t *testing.T) {
	disk := newMemDisk()
	tier := filled(t, disk, 2, 1000)
	damaged, gone := tiertest.Name("0"), tiertest.Name("1")
	db := tier.index.Load().db
	err := errors.Join(
		db.Set(recordKey(damaged.ID()), []byte("nonsense"), pebble.NoSync),
		db.Delete(recordKey(gone.ID()), pebble.NoSync))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []tiers.Name{damaged, damaged, gone, gone} {
		if has(t, tier, name) {
			t.Errorf("%q was found", name.Key)
		}
	}
	if s := tier.Stats(); s.Corruptions != 2 || s.Entries != 0 || s.QuarantinedBytes != 0 {
		t.Errorf("%d corruptions, %d entries, quarantined %d", s.Corruptions, s.Entries, s.QuarantinedBytes)
	}
}
