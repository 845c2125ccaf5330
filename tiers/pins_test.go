package tiers_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestPinKeepsAHitReadable(t *testing.T) {
	for _, tier := range []string{tiers.TierHost, tiers.TierDisk} {
		t.Run(tier, func(t *testing.T) {
			h := open(t, options{})
			meta := tiers.Meta{DType: "U8", Shape: []int64{100000}, TTL: time.Hour}
			if _, err := h.putBytes(h.name("k"), tiertest.Payload(h.name("k"), 100000), true, meta); err != nil {
				t.Fatal(err)
			}
			if tier == tiers.TierDisk {
				h = h.reopen()
			}
			a := h.ask([]string{"k"}, pinning)
			wantStates(t, a, tiers.StateHit)
			if a.Results[0].Tier != tier || a.Pin == "" {
				t.Fatalf("found in %q with pin %q", a.Results[0].Tier, a.Pin)
			}
			h.clock.advance(2 * time.Hour) // expires while pinned
			for range 4 {
				h.floodHost() // more than both tiers hold
			}
			h.wantTier("k", tier)
			if err := h.ReleasePin("another tenant", a.Pin); !errors.Is(err, tiers.ErrNoPin) {
				t.Errorf("release by another tenant: %v", err)
			}
			if err := h.ReleasePin("default", a.Pin); err != nil {
				t.Errorf("release: %v", err)
			}
			if err := h.ReleasePin("default", a.Pin); !errors.Is(err, tiers.ErrNoPin) {
				t.Errorf("release twice: %v", err)
			}
			if _, err := h.Stat(t.Context(), h.name("k")); !errors.Is(err, tiers.ErrNotFound) {
				t.Errorf("after the pin the expired embedding is still there: %v", err)
			}
			if got := h.Store.Stats().PinnedBytes; got != 0 {
				t.Errorf("%d bytes are still pinned", got)
			}
		})
	}
}

func TestPinsOfOneEmbeddingCountOnce(t *testing.T) {
	h := open(t, options{}) // pin quota is 8 MiB
	h.mustPut("k", 3*mib)
	var tokens []string
	for range 10 {
		a := h.ask([]string{"k", "k"}, pinning)
		if a.Pin == "" {
			t.Fatal("a pin was refused although the embedding is pinned already")
		}
		tokens = append(tokens, a.Pin)
	}
	if got := h.Store.Stats().PinnedBytes; got != 3*mib {
		t.Errorf("%d bytes pinned, want %d", got, 3*mib)
	}
	for _, token := range tokens {
		if err := h.ReleasePin("default", token); err != nil {
			t.Fatal(err)
		}
	}
	if st := h.Store.Stats(); st.PinnedBytes != 0 || st.Pins != 0 {
		t.Errorf("%d bytes in %d pins are left", st.PinnedBytes, st.Pins)
	}
}

func TestPinOverTheQuotaIsNone(t *testing.T) {
	h := open(t, options{})
	for i := range 4 {
		h.mustPut(fmt.Sprint(i), 3*mib)
	}
	a := h.ask([]string{"0", "1", "2", "3"}, pinning)
	wantStates(t, a, tiers.StateHit, tiers.StateHit, tiers.StateHit, tiers.StateHit)
	if st := h.Store.Stats(); a.Pin != "" || st.PinnedBytes != 0 {
		t.Errorf("pin %q holds %d bytes, the quota is 8 MiB", a.Pin, st.PinnedBytes)
	}
}

func TestDeleteWinsOverPin(t *testing.T) {
	for _, tier := range []string{tiers.TierHost, tiers.TierDisk} {
		t.Run(tier, func(t *testing.T) {
			h := open(t, options{})
			if _, err := h.put("k", 1000, true); err != nil {
				t.Fatal(err)
			}
			if tier == tiers.TierDisk {
				h = h.reopen()
			}
			a := h.ask([]string{"k"}, pinning)
			if err := h.Delete(t.Context(), h.name("k")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.Get(t.Context(), h.name("k")); !errors.Is(err, tiers.ErrNotFound) {
				t.Errorf("get of what was deleted while pinned: %v", err)
			}
			if err := h.ReleasePin("default", a.Pin); err != nil {
				t.Errorf("release of a pin whose embedding was deleted: %v", err)
			}
		})
	}
}

// A lookup finds v1 and waits for another key. What is deleted meanwhile must not come back by its pin.
func TestDeleteWhileAPinnedLookupWaits(t *testing.T) {
	for _, tier := range []string{tiers.TierHost, tiers.TierDisk} {
		t.Run(tier, func(t *testing.T) {
			h := open(t, options{})
			if _, err := h.put("k", 1000, true); err != nil {
				t.Fatal(err)
			}
			if tier == tiers.TierDisk {
				h = h.reopen()
			}
			h.ask([]string{"awaited"}, claiming("somebody"))
			answered := make(chan *tiers.Answer)
			go func() {
				answered <- h.ask([]string{"k", "awaited"}, pinning, claiming("asker"), func(l *tiers.Lookup) { l.Wait = time.Minute })
			}()
			eventually(t, "the lookup waits", func() bool { return h.Store.Stats().WaitingKeys == 1 })
			if err := h.Delete(t.Context(), h.name("k")); err != nil {
				t.Fatal(err)
			}
			v2 := bytes.Repeat([]byte{2}, 1000)
			if _, err := h.putBytes(h.name("k"), v2, false, tiers.Meta{}); err != nil {
				t.Fatal(err)
			}
			h.mustPut("awaited", 10)
			answer := <-answered
			e, _, err := h.Get(t.Context(), h.name("k"))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Release()
			if !bytes.Equal(e.Bytes(), v2) {
				t.Error("the pin of a lookup brought the deleted embedding back")
			}
			if err := h.ReleasePin("default", answer.Pin); err != nil {
				t.Error(err)
			}
			if st := h.Store.Stats(); st.PinnedBytes != 0 || st.Pins != 0 {
				t.Errorf("%d bytes in %d pins are left", st.PinnedBytes, st.Pins)
			}
		})
	}
}

// A pin of what was deleted ends without taking the promise of a pin on what came after.
func TestOldPinLeavesANewerOneAlone(t *testing.T) {
	h := open(t, options{noDisk: true})
	h.mustPut("k", 1000)
	old := h.ask([]string{"k"}, pinning).Pin
	if err := h.Delete(t.Context(), h.name("k")); err != nil {
		t.Fatal(err)
	}
	h.mustPut("k", 1000)
	h.ask([]string{"k"}, pinning)
	if err := h.ReleasePin("default", old); err != nil {
		t.Fatal(err)
	}
	h.floodHost()
	h.wantTier("k", tiers.TierHost)
}
