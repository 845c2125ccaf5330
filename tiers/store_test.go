package tiers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestPutIsReadableAtOnce(t *testing.T) {
	h := open(t, options{})
	for i := range 50 {
		key := fmt.Sprint("key ", i)
		h.mustPut(key, int64(1+i*5000))
		h.wantTier(key, tiers.TierHost)
	}
}

func TestFirstWriterWins(t *testing.T) {
	h := open(t, options{})
	name := h.name("k")
	first := tiertest.Payload(name, 4000)
	other := bytes.Repeat([]byte{1}, 4000)
	u8 := func(shape ...int64) tiers.Meta { return tiers.Meta{DType: "U8", Shape: shape} }
	steps := []struct {
		what    string
		payload []byte
		meta    tiers.Meta
		outcome tiers.Outcome
		err     error
	}{
		{"the first", first, u8(4000), tiers.Created, nil},
		{"the same bytes", first, u8(4000), tiers.Existing, nil},
		{"other bytes of the same shape", other, u8(4000), tiers.Existing, tiers.ErrExistsDifferent},
		{"another shape", first, u8(40, 100), tiers.Existing, tiers.ErrExistsIncompatible},
		{"another dtype", first, tiers.Meta{DType: "I8", Shape: []int64{4000}}, tiers.Existing, tiers.ErrExistsIncompatible},
	}
	check := func(tier string) {
		t.Helper()
		for _, step := range steps {
			outcome, err := h.putBytes(name, step.payload, false, step.meta)
			if outcome != step.outcome || !errors.Is(err, step.err) {
				t.Errorf("%s, first in %s: outcome %v, %v; want %v, %v", step.what, tier, outcome, err, step.outcome, step.err)
			}
		}
		h.wantTier("k", tier)
	}
	check(tiers.TierHost)
	h = h.reopen()
	steps[0].outcome = tiers.Existing
	check(tiers.TierDisk)
	if c := h.Store.Stats().Conflicts; c["different"] != 1 || c["incompatible"] != 2 {
		t.Errorf("conflicts are counted as %v, want 1 different and 2 incompatible", c)
	}
}

// Of several PUTs of one name in flight at once exactly one is stored, and everybody who reads sees that one.
func TestFirstWriterWinsInFlight(t *testing.T) {
	h := open(t, options{})
	const writers = 16
	var created sync.Map
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			payload := bytes.Repeat([]byte{byte(i)}, 10000)
			outcome, err := h.putBytes(h.name("k"), payload, false, tiers.Meta{})
			switch {
			case err == nil && outcome == tiers.Created:
				created.Store(i, payload)
			case !errors.Is(err, tiers.ErrExistsDifferent):
				t.Errorf("writer %d: outcome %v, %v", i, outcome, err)
			}
		})
	}
	group.Wait()
	e, _, err := h.Get(t.Context(), h.name("k"))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Release()
	count := 0
	created.Range(func(_, payload any) bool {
		count++
		if !bytes.Equal(payload.([]byte), e.Bytes()) {
			t.Error("the stored bytes are not those of the writer who was told that it created them")
		}
		return true
	})
	if count != 1 {
		t.Errorf("%d writers were told that they created the embedding", count)
	}
}

func TestDraftIsInvisibleUntilCommitted(t *testing.T) {
	h := open(t, options{})
	name := h.name("k")
	d, err := h.Begin(t.Context(), name, 1000, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Fill(bytes.NewReader(tiertest.Payload(name, 1000))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Get(t.Context(), name); !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("get before commit: %v, want not found", err)
	}
	if got := h.Store.Stats().InFlightBytes; got != arena.Unit {
		t.Errorf("%d bytes in flight, want one unit: memory is what counts", got)
	}
	d.Abort()
	d.Abort()
	if _, err := d.Commit(t.Context(), tiers.Meta{DType: "U8", Shape: []int64{1000}}, false); err == nil {
		t.Error("commit after abort succeeded")
	}
	if got := h.Store.Stats().InFlightBytes; got != 0 {
		t.Errorf("%d bytes in flight after abort", got)
	}
}

func TestTruncatedBodyStoresNothing(t *testing.T) {
	h := open(t, options{})
	d, err := h.Begin(t.Context(), h.name("k"), 1000, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Fill(bytes.NewReader(make([]byte, 999))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("fill from 999 of 1000 bytes: %v", err)
	}
	if _, err := d.Commit(t.Context(), tiers.Meta{DType: "U8", Shape: []int64{1000}}, false); !errors.Is(err, tiers.ErrInvalid) {
		t.Errorf("commit of a truncated draft: %v", err)
	}
	if used := h.arena.Used(); used != 0 {
		t.Errorf("%d bytes of host memory are still taken", used)
	}
}

func TestRefusals(t *testing.T) {
	h := open(t, options{store: func(o *tiers.StoreOptions) {
		o.Limits = func(tenant string) tiers.Limits {
			if tenant == "small" {
				return tiers.Limits{InFlightBytes: 1000, PinnedBytes: 1000}
			}
			return tiers.Limits{}
		}
	}})
	small := tiers.Name{Scope: tiers.Scope{Tenant: "small", Namespace: "n"}, Key: "k"}
	future := h.name("k")
	future.Epoch++
	cases := []struct {
		what string
		name tiers.Name
		size int64
		want error
	}{
		{"empty", h.name("k"), 0, tiers.ErrInvalid},
		{"negative", h.name("k"), -1, tiers.ErrInvalid},
		{"too large", h.name("k"), arenaSize/8 + 1, tiers.ErrTooLarge},
		{"larger than any machine", h.name("k"), 1 << 62, tiers.ErrTooLarge},
		{"tenant over its limit", small, 1001, tiers.ErrOverLimit},
		{"not the current epoch", future, 10, tiers.ErrStaleEpoch},
		{"bad key", h.name("a\nb"), 10, tiers.ErrInvalid},
	}
	for _, c := range cases {
		if _, err := h.Begin(t.Context(), c.name, c.size, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if h.arena.Used() != 0 {
		t.Error("a refused draft holds memory")
	}
}

func TestTooManyBodiesAreRefused(t *testing.T) {
	h := open(t, options{})
	var drafts []*tiers.Draft
	for {
		d, err := h.Begin(t.Context(), h.name(fmt.Sprint(len(drafts))), 2*mib, "")
		if err != nil {
			if !errors.Is(err, tiers.ErrNoRoom) {
				t.Errorf("the body that does not fit: %v, want %v", err, tiers.ErrNoRoom)
			}
			break
		}
		drafts = append(drafts, d)
	}
	if len(drafts) != arenaSize/4/(2*mib) {
		t.Errorf("%d bodies of 2 MiB were admitted, the bound is %d MiB", len(drafts), arenaSize/4/mib)
	}
	for _, d := range drafts {
		d.Abort()
	}
	h.mustPut("after", 2*mib)
}

func TestRestartFindsEverythingOnDisk(t *testing.T) {
	h := open(t, options{})
	for i := range 20 {
		h.mustPut(fmt.Sprint("key ", i), int64(1+i*100000))
	}
	h = h.reopen()
	for i := range 20 {
		key := fmt.Sprint("key ", i)
		h.wantTier(key, tiers.TierDisk)
		h.wantTier(key, tiers.TierHost)
	}
}

func TestEvictedFromHostIsReadFromDisk(t *testing.T) {
	h := open(t, options{diskSize: 256 * mib})
	h.mustPut("k", 100000)
	h.floodHost()
	h.wantTier("k", tiers.TierDisk)
	h.wantTier("k", tiers.TierHost)
}

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

// deleteAndPut does both, one after the other, while the caller goes on.
func (h *hierarchy) deleteAndPut(name tiers.Name, payload []byte) <-chan error {
	done := make(chan error, 1)
	ctx := context.WithoutCancel(h.t.Context())
	go func() {
		err := h.Delete(ctx, name)
		if err == nil {
			_, err = h.putBytes(name, payload, false, tiers.Meta{})
		}
		done <- err
	}()
	return done
}

// TestDeleteOvertakesWrite: the writer is in the middle of storing v1 while DELETE and a PUT of v2 come.
// Whatever the disk does later, v1 must not come back.
func TestDeleteOvertakesWrite(t *testing.T) {
	h := open(t, options{diskSize: 256 * mib})
	name := h.name("k")
	v1, v2 := bytes.Repeat([]byte{1}, 5000), bytes.Repeat([]byte{2}, 5000)
	writing, release := make(chan struct{}), make(chan struct{})
	h.disk.hook(func(e *tiers.Embedding) {
		if e.ID == name.ID() && e.Bytes()[0] == 1 {
			close(writing)
			<-release
		}
	}, nil)
	if _, err := h.putBytes(name, v1, false, tiers.Meta{}); err != nil {
		t.Fatal(err)
	}
	<-writing
	second := h.deleteAndPut(name, v2)
	close(release)
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	h.mustFlush()
	wantV2 := func(when string) {
		t.Helper()
		e, _, err := h.Get(t.Context(), name)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		defer e.Release()
		if !bytes.Equal(e.Bytes(), v2) {
			t.Fatalf("%s: got the deleted embedding", when)
		}
	}
	wantV2("after the write")
	h.floodHost()
	wantV2("after eviction from host memory")
	h = h.reopen()
	wantV2("after a restart")
}

// TestDeleteOvertakesQueuedWrite: v1 is deleted before the writer gets to it. A reader may still hold it, so
// that it has not been freed, and a client may wait for it to be durable.
func TestDeleteOvertakesQueuedWrite(t *testing.T) {
	for what, put := range map[string]func(h *hierarchy) (release func()){
		"nobody holds it": func(h *hierarchy) func() {
			h.mustPut("k", 5000)
			return func() {}
		},
		"a reader holds it": func(h *hierarchy) func() {
			h.mustPut("k", 5000)
			e, _, err := h.Get(h.t.Context(), h.name("k"))
			if err != nil {
				h.t.Fatal(err)
			}
			return e.Release
		},
		"a durable put waits": func(h *hierarchy) func() {
			done := make(chan error)
			go func() {
				_, err := h.put("k", 5000, true)
				done <- err
			}()
			eventually(h.t, "the write is queued", func() bool { return h.Store.Stats().Backlog == 5 })
			return func() {
				if err := <-done; !errors.Is(err, tiers.ErrNotDurable) {
					h.t.Errorf("durable put of what was deleted meanwhile: %v, want %v", err, tiers.ErrNotDurable)
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t, options{})
			busy, proceed := make(chan struct{}, 8), make(chan struct{})
			h.disk.hook(func(*tiers.Embedding) { busy <- struct{}{}; <-proceed }, nil)
			for i := range 4 { // all writers
				h.mustPut(fmt.Sprint("busy ", i), 1000)
				<-busy
			}
			release := put(h)
			if err := h.Delete(t.Context(), h.name("k")); err != nil {
				t.Fatal(err)
			}
			h.disk.hook(nil, nil)
			close(proceed)
			h.mustFlush()
			release()
			if _, _, err := h.disk.Stat(t.Context(), h.name("k").ID()); !errors.Is(err, tiers.ErrNotFound) {
				t.Errorf("the deleted embedding reached the disk: %v", err)
			}
			if got := h.Store.Stats().DemotionsDropped; got != 1 {
				t.Errorf("%d writes were overtaken, want 1", got)
			}
		})
	}
}

// TestDeleteOvertakesPromotion: a promotion is reading v1 from disk while DELETE and a PUT of v2 come.
func TestDeleteOvertakesPromotion(t *testing.T) {
	h := open(t, options{})
	name := h.name("k")
	v1, v2 := bytes.Repeat([]byte{1}, 5000), bytes.Repeat([]byte{2}, 5000)
	if _, err := h.putBytes(name, v1, true, tiers.Meta{}); err != nil {
		t.Fatal(err)
	}
	h = h.reopen()
	reading, release := make(chan struct{}), make(chan struct{})
	h.disk.hook(nil, func(tiers.ID) { close(reading); <-release })
	read := make(chan error)
	go func() {
		e, _, err := h.Get(context.WithoutCancel(t.Context()), name)
		if err == nil {
			e.Release()
		}
		read <- err
	}()
	<-reading
	second := h.deleteAndPut(name, v2)
	close(release)
	if err := <-read; err != nil && !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("the get that was overtaken: %v", err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	h.disk.hook(nil, nil)
	e, _, err := h.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Release()
	if !bytes.Equal(e.Bytes(), v2) {
		t.Error("the promotion brought the deleted embedding back")
	}
}

func TestOneDiskReadForManyGets(t *testing.T) {
	h := open(t, options{})
	h.mustPut("k", mib)
	h = h.reopen()
	release := make(chan struct{})
	h.disk.hook(nil, func(tiers.ID) { <-release })
	const getters = 100
	var group sync.WaitGroup
	for range getters {
		group.Go(func() { h.wantTier("k", tiers.TierDisk) })
	}
	impatient, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, _, err := h.Get(impatient, h.name("k"))
		gaveUp <- err
	}()
	eventually(t, "all ride on the one flight", func() bool { return h.Store.Stats().DiskReadsRode == getters })
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("the getter that gave up got %v", err)
	}
	close(release)
	group.Wait()
	if got := h.disk.gets.Load(); got != 1 {
		t.Errorf("%d reads of the disk for %d gets of one embedding", got, getters)
	}
}

func TestSlowDiskIsAMiss(t *testing.T) {
	h := open(t, options{store: func(o *tiers.StoreOptions) { o.ReadTimeout = time.Millisecond }})
	h.mustPut("k", 1000)
	h = h.reopen()
	release := make(chan struct{})
	defer close(release)
	h.disk.hook(nil, func(tiers.ID) { <-release })
	if _, _, err := h.Get(t.Context(), h.name("k")); !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("get from a disk that hangs: %v, want a miss", err)
	}
}

func TestExpiryIsAMissAndFreesTheName(t *testing.T) {
	h := open(t, options{})
	name := h.name("k")
	meta := tiers.Meta{DType: "U8", Shape: []int64{100}, TTL: time.Hour}
	if _, err := h.putBytes(name, make([]byte, 100), true, meta); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Stat(t.Context(), name); err != nil {
		t.Fatalf("before its time: %v", err)
	}
	h.clock.advance(time.Hour)
	if _, err := h.Stat(t.Context(), name); !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("after its time: %v, want a miss", err)
	}
	other := bytes.Repeat([]byte{9}, 200)
	if outcome, err := h.putBytes(name, other, true, tiers.Meta{}); err != nil || outcome != tiers.Created {
		t.Fatalf("put of an expired name: %v, %v", outcome, err)
	}
	h = h.reopen()
	e, _, err := h.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Release()
	if !bytes.Equal(e.Bytes(), other) {
		t.Error("the expired embedding came back")
	}
}

func TestWarmStart(t *testing.T) {
	h := open(t, options{})
	for i := range 10 {
		h.mustPut(fmt.Sprint(i), 100000)
	}
	h.mustFlush()
	list := filepath.Join(t.TempDir(), "hot.list")
	if err := h.SaveHot(list); err != nil {
		t.Fatal(err)
	}
	h = h.reopen()
	if err := h.WarmFrom(list); err != nil {
		t.Fatal(err)
	}
	eventually(t, "10 embeddings are in host memory", func() bool { return h.Store.Stats().Tiers[0].Entries == 10 })
	h.wantTier("3", tiers.TierHost)
}

func TestWarmStartFromAnUnreadableList(t *testing.T) {
	h := open(t, options{})
	list := filepath.Join(t.TempDir(), "hot.list")
	if err := h.WarmFrom(list); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no list: %v", err)
	}
	if err := os.WriteFile(list, []byte("keepsight hot 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.WarmFrom(list); !errors.Is(err, tiers.ErrInvalid) {
		t.Errorf("list of another version: %v", err)
	}
}

func TestClosedStore(t *testing.T) {
	h := open(t, options{})
	h.mustPut("k", 100)
	h.close()
	h.close()
	if _, err := h.put("other", 100, false); !errors.Is(err, tiers.ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	if _, err := h.Lookup(t.Context(), tiers.Lookup{Namespace: "n", Keys: []string{"k"}}); !errors.Is(err, tiers.ErrClosed) {
		t.Errorf("lookup after close: %v", err)
	}
	if _, _, err := h.Get(t.Context(), h.name("k")); err == nil {
		t.Error("get after close found something")
	}
}
