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
