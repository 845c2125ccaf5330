package tiers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/tiers"
)

func TestDurablePutIsOnDisk(t *testing.T) {
	h := open(t, options{})
	if _, err := h.put("k", 5000, true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.disk.Stat(t.Context(), h.name("k").ID()); err != nil {
		t.Errorf("after a durable put the disk tier says: %v", err)
	}
	if outcome, err := h.put("k", 5000, true); err != nil || outcome != tiers.Existing {
		t.Errorf("second durable put: %v, %v", outcome, err)
	}
}

// The disk may have evicted what host memory still has and once wrote: a second durable PUT must not be
// acknowledged on the strength of the first.
func TestSecondDurablePutWritesWhatTheDiskEvicted(t *testing.T) {
	h := open(t, options{})
	for _, size := range []int64{5000, 5000} {
		if _, err := h.put("k", size, true); err != nil {
			t.Fatal(err)
		}
		if !h.OnDisk(t.Context(), h.name("k")) {
			t.Fatal("acknowledged as durable and not on disk")
		}
		if err := h.disk.Tier.Delete(t.Context(), h.name("k").ID()); err != nil { // as an eviction would
			t.Fatal(err)
		}
	}
}

// A client that gives up waiting for a disk that hangs must not leave its embedding stuck in memory.
func TestForsakenDurablePutCanBeEvicted(t *testing.T) {
	h := open(t, options{})
	busy, proceed := make(chan struct{}, 8), make(chan struct{})
	h.disk.hook(func(*tiers.Embedding) { busy <- struct{}{}; <-proceed }, nil)
	for i := range 4 { // all writers hang
		h.mustPut(fmt.Sprint("busy ", i), 1000)
		<-busy
	}
	defer func() {
		h.disk.hook(nil, nil)
		close(proceed)
	}()
	for i := range 3 * arenaSize / (2 * mib) {
		ctx, cancel := context.WithCancel(t.Context())
		d, err := h.Begin(ctx, h.name(fmt.Sprint(i)), 2*mib, "")
		if err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
		if err := d.Fill(bytes.NewReader(make([]byte, 2*mib))); err != nil {
			t.Fatal(err)
		}
		cancel()
		meta := tiers.Meta{DType: "U8", Shape: []int64{2 * mib}}
		if _, err := d.Commit(ctx, meta, true); err == nil {
			t.Fatalf("put %d is durable on a disk that hangs", i)
		}
	}
}

// A disk that refuses everything must leave a host tier that works as if there were no disk.
func TestRefusedWritesDoNotClogHostMemory(t *testing.T) {
	faults := new(diskFaults)
	h := open(t, options{faulty: true, diskOpts: func(o *disktier.Options) { o.OpenBlocks = faults.open }})
	faults.mode.Store(failWrites)
	h.floodHost()
	if st := h.Store.Stats(); st.DemotionsFailed == 0 || st.Tiers[0].Evictions[tiers.EvictedUnwritten] > st.DemotionsFailed/2 {
		t.Errorf("%d writes failed, %v were evicted: what was refused should leave like what was written",
			st.DemotionsFailed, st.Tiers[0].Evictions)
	}
}

func TestDurablePutWithoutADiskIsRefused(t *testing.T) {
	h := open(t, options{noDisk: true})
	if _, err := h.put("k", 5000, true); !errors.Is(err, tiers.ErrNotDurable) {
		t.Errorf("durable put: %v, want %v", err, tiers.ErrNotDurable)
	}
	if _, err := h.Stat(t.Context(), h.name("k")); !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("what was refused is there: %v", err)
	}
	h.mustPut("k", 5000)
}

// A second PUT of the same bytes may ask for more durability than the first.
func TestSecondPutMakesDurable(t *testing.T) {
	h := open(t, options{})
	release := make(chan struct{})
	var once sync.Once
	h.disk.hook(func(*tiers.Embedding) { <-release }, nil)
	defer once.Do(func() { close(release) })
	h.mustPut("k", 5000)
	done := make(chan error)
	go func() {
		_, err := h.put("k", 5000, true)
		done <- err
	}()
	eventually(t, "the second put waits for its write", func() bool { return h.Store.Stats().Backlog == 2 })
	select {
	case err := <-done:
		t.Fatalf("a durable put was acknowledged while the disk had not written: %v", err)
	default:
	}
	once.Do(func() { close(release) })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.disk.Stat(t.Context(), h.name("k").ID()); err != nil {
		t.Errorf("acknowledged as durable, but the disk tier says: %v", err)
	}
}
