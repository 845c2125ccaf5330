package tiers_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keepsight/keepsight/tiers"
)

// ask looks keys up in the shared namespace; edits change the question first.
func (h *hierarchy) ask(keys []string, edits ...func(*tiers.Lookup)) *tiers.Answer {
	h.t.Helper()
	l := tiers.Lookup{Tenant: "default", Namespace: "tests", Keys: keys}
	for _, edit := range edits {
		edit(&l)
	}
	a, err := h.Lookup(h.t.Context(), l)
	if err != nil {
		h.t.Fatalf("lookup: %v", err)
	}
	a.Sent(nil)
	return a
}

func claiming(owner string) func(*tiers.Lookup) {
	return func(l *tiers.Lookup) { l.Claim = &tiers.ClaimWish{Owner: owner, TTL: time.Minute} }
}

func pinning(l *tiers.Lookup) { l.Pin = time.Minute }

func states(a *tiers.Answer) (states []tiers.State) {
	for _, r := range a.Results {
		states = append(states, r.State)
	}
	return states
}

func wantStates(t *testing.T, a *tiers.Answer, want ...tiers.State) {
	t.Helper()
	if got := states(a); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("states are %v, want %v", got, want)
	}
}

func TestLookupAnswersInOrder(t *testing.T) {
	h := open(t, options{})
	h.mustPut("disk", 100)
	h = h.reopen()
	h.mustPut("host", 200)
	a := h.ask([]string{"none", "host", "disk", "host"})
	wantStates(t, a, tiers.StateMiss, tiers.StateHit, tiers.StateHit, tiers.StateHit)
	if a.Results[1].Tier != tiers.TierHost || a.Results[2].Tier != tiers.TierDisk {
		t.Errorf("tiers are %q and %q, want host and disk", a.Results[1].Tier, a.Results[2].Tier)
	}
	if a.Results[1].Meta.Size != 200 || a.Results[2].Meta.DType != "U8" {
		t.Errorf("metas are %+v and %+v", a.Results[1].Meta, a.Results[2].Meta)
	}
	if a.Claim != "" || a.Pin != "" {
		t.Errorf("claim %q and pin %q, none was asked for", a.Claim, a.Pin)
	}
}

func TestLookupChecksTheContract(t *testing.T) {
	h := open(t, options{})
	h.mustPut("k", 100)
	expecting := func(x tiers.Expect) func(*tiers.Lookup) {
		return func(l *tiers.Lookup) { l.Expect = []tiers.Expect{x} }
	}
	for _, x := range []tiers.Expect{{}, {Size: 100}, {DType: "U8"}, {Size: 100, DType: "U8", Shape: []int64{100}}} {
		wantStates(t, h.ask([]string{"k"}, expecting(x), pinning), tiers.StateHit)
	}
	for _, x := range []tiers.Expect{{Size: 99}, {DType: "BF16"}, {Shape: []int64{10, 10}}} {
		a := h.ask([]string{"k"}, expecting(x), claiming("a"), pinning)
		wantStates(t, a, tiers.StateMiss)
		if !a.Results[0].Mismatch || a.Claim != "" {
			t.Errorf("expecting %+v: mismatch %v, claim %q; want a mismatch that is nobody's to encode", x, a.Results[0].Mismatch, a.Claim)
		}
	}
}

func TestLookupsAreValidated(t *testing.T) {
	h := open(t, options{noDisk: true})
	many := make([]string, tiers.MaxLookupKeys+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	spoil := map[string]func(*tiers.Lookup){
		"no keys":       func(l *tiers.Lookup) { l.Keys = nil },
		"too many keys": func(l *tiers.Lookup) { l.Keys = many },
		"bad key":       func(l *tiers.Lookup) { l.Keys = []string{""} },
		"bad namespace": func(l *tiers.Lookup) { l.Namespace = "A" },
		"expectations":  func(l *tiers.Lookup) { l.Expect = make([]tiers.Expect, 2) },
		"no owner":      func(l *tiers.Lookup) { l.Claim = &tiers.ClaimWish{} },
		"long owner":    func(l *tiers.Lookup) { l.Claim = &tiers.ClaimWish{Owner: string(make([]byte, 257))} },
		"long claim":    func(l *tiers.Lookup) { l.Claim = &tiers.ClaimWish{Owner: "a", TTL: time.Hour} },
		"long pin":      func(l *tiers.Lookup) { l.Pin = time.Hour },
		"negative wait": func(l *tiers.Lookup) { l.Wait = -1 },
	}
	for what, f := range spoil {
		l := tiers.Lookup{Tenant: "default", Namespace: "tests", Keys: []string{"k"}}
		f(&l)
		if _, err := h.Lookup(t.Context(), l); !errors.Is(err, tiers.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
}

// 500 engines see one new image at once: one encodes, and the PUT wakes the others.
func TestHerdGetsOneClaim(t *testing.T) {
	h := open(t, options{})
	const engines = 500
	answers := make(chan *tiers.Answer, engines)
	var group sync.WaitGroup
	for i := range engines {
		group.Go(func() {
			answers <- h.ask([]string{"image"}, claiming(fmt.Sprint("engine ", i)), func(l *tiers.Lookup) { l.Wait = time.Minute })
		})
	}
	holder := <-answers
	wantStates(t, holder, tiers.StateClaimed)
	h.mustPut("image", 1000)
	group.Wait()
	for range engines - 1 {
		wantStates(t, <-answers, tiers.StateHit)
	}
	if st := h.Store.Stats(); st.ClaimedKeys != 0 || st.WaitingKeys != 0 {
		t.Errorf("%d claimed and %d waited for after the PUT", st.ClaimedKeys, st.WaitingKeys)
	}
}

func TestFailedPutHandsTheClaimOn(t *testing.T) {
	h := open(t, options{})
	a := h.ask([]string{"k"}, claiming("first"))
	successor := make(chan *tiers.Answer)
	go func() {
		successor <- h.ask([]string{"k"}, claiming("second"), func(l *tiers.Lookup) { l.Wait = time.Minute })
	}()
	eventually(t, "the second waits", func() bool { return h.Store.Stats().WaitingKeys == 1 })
	d, err := h.Begin(t.Context(), h.name("k"), 1000, a.Claim)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Fill(bytes.NewReader(nil)); err == nil {
		t.Fatal("fill from nothing succeeded")
	}
	d.Abort()
	wantStates(t, <-successor, tiers.StateClaimed)
}

func TestRefusedPutHandsTheClaimOn(t *testing.T) {
	h := open(t, options{})
	a := h.ask([]string{"k"}, claiming("first"))
	if _, err := h.Begin(t.Context(), h.name("k"), 1<<40, a.Claim); !errors.Is(err, tiers.ErrTooLarge) {
		t.Fatal(err)
	}
	wantStates(t, h.ask([]string{"k"}, claiming("second")), tiers.StateClaimed)
}

func TestGetWaitsForThePut(t *testing.T) {
	h := open(t, options{})
	waited := make(chan error)
	go func() { waited <- h.Wait(t.Context(), h.name("k"), time.Minute) }()
	eventually(t, "the get is parked", func() bool { return h.Store.Stats().WaitingKeys == 1 })
	h.mustPut("k", 10)
	if err := <-waited; err != nil {
		t.Errorf("wait for a PUT that came: %v", err)
	}
	if err := h.Wait(t.Context(), h.name("other"), time.Millisecond); !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("wait for a PUT that did not come: %v", err)
	}
	if got := h.Store.Stats().WaitingKeys; got != 0 {
		t.Errorf("%d keys are still waited for", got)
	}
}

func TestDrainEndsWaits(t *testing.T) {
	h := open(t, options{})
	waited := make(chan error)
	go func() { waited <- h.Wait(t.Context(), h.name("k"), time.Hour) }()
	eventually(t, "the get is parked", func() bool { return h.Store.Stats().WaitingKeys == 1 })
	h.Drain()
	if err := <-waited; !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("wait ended by drain: %v, want a miss", err)
	}
}

func TestLostAnswerGivesItsClaimAndPinBack(t *testing.T) {
	h := open(t, options{})
	h.mustPut("there", 100)
	l := tiers.Lookup{Tenant: "default", Namespace: "tests", Keys: []string{"there", "new"}, Pin: time.Minute,
		Claim: &tiers.ClaimWish{Owner: "a"}}
	a, err := h.Lookup(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	a.Sent(errors.New("connection reset"))
	if st := h.Store.Stats(); st.ClaimedKeys != 0 || st.PinnedBytes != 0 {
		t.Errorf("%d keys claimed and %d bytes pinned for a client that never learned of it", st.ClaimedKeys, st.PinnedBytes)
	}
}

func TestPromoteReadsInTheBackground(t *testing.T) {
	h := open(t, options{})
	h.mustPut("k", 1000)
	h = h.reopen()
	h.ask([]string{"k"}, func(l *tiers.Lookup) { l.Promote = true })
	eventually(t, "it is in host memory", func() bool {
		entry, err := h.Stat(t.Context(), h.name("k"))
		return err == nil && entry.Tier == tiers.TierHost
	})
}

func TestRaisedEpochHidesEverythingOlder(t *testing.T) {
	h := open(t, options{})
	h.mustPut("k", 1000)
	h.mustFlush()
	pin := h.ask([]string{"k"}, pinning).Pin
	draft, err := h.Begin(t.Context(), h.name("late"), 100, "") // encoded with the old weights
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Fill(bytes.NewReader(make([]byte, 100))); err != nil {
		t.Fatal(err)
	}
	next := h.Scope("default", "tests")
	next.Epoch = 7
	for range 2 { // many engines may say the same
		if err := h.RaiseEpoch(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := draft.Commit(t.Context(), tiers.Meta{DType: "U8", Shape: []int64{100}}, false); !errors.Is(err, tiers.ErrStaleEpoch) {
		t.Errorf("commit of a draft of the old epoch: %v", err)
	}
	for _, key := range []string{"k", "late"} {
		if _, _, err := h.Get(t.Context(), h.name(key)); !errors.Is(err, tiers.ErrNotFound) {
			t.Errorf("get %q in the new epoch: %v", key, err)
		}
	}
	lower := next
	lower.Epoch--
	if err := h.RaiseEpoch(t.Context(), lower); !errors.Is(err, tiers.ErrEpochLower) {
		t.Errorf("raise to a lower epoch: %v", err)
	}
	if err := h.ReleasePin("default", pin); err != nil {
		t.Errorf("release of a pin of the old epoch: %v", err)
	}
	eventually(t, "the old epoch's bytes are gone", func() bool {
		st := h.Store.Stats()
		return st.Tiers[0].Entries == 0 && st.Tiers[1].Entries == 0
	})
	h.mustPut("k", 500)
	h = h.reopen()
	if got := h.Scope("default", "tests").Epoch; got != 7 {
		t.Errorf("after a restart the epoch is %d, want 7", got)
	}
	h.wantTier("k", tiers.TierDisk)
}

func TestNamespacesListWhatIsThere(t *testing.T) {
	h := open(t, options{})
	h.mustPut("a", 1000)
	h.mustPut("b", 2000)
	h.mustFlush()
	raised := tiers.Scope{Tenant: "default", Namespace: "empty", Epoch: 3}
	if err := h.RaiseEpoch(t.Context(), raised); err != nil {
		t.Fatal(err)
	}
	list := h.Namespaces("default")
	if len(list) != 2 || list[0].Scope != raised || list[1].Scope.Namespace != "tests" {
		t.Fatalf("namespaces are %+v", list)
	}
	want := tiers.Usage{Entries: 2, Bytes: 3000}
	if list[1].Tiers["host"] != want || list[1].Tiers["disk"] != want {
		t.Errorf("usage is %+v, want %+v in both tiers", list[1].Tiers, want)
	}
	if other := h.Namespaces("other"); len(other) != 0 {
		t.Errorf("another tenant sees %+v", other)
	}
}

func TestEventsTellOfPutDeleteAndEviction(t *testing.T) {
	h := open(t, options{noDisk: true})
	sub := h.Subscribe("default", "tests", 0)
	h.mustPut("k", 1000)
	if err := h.Delete(t.Context(), h.name("k")); err != nil {
		t.Fatal(err)
	}
	h.mustPut("k", 1000)
	want := []tiers.Event{{Type: tiers.EventAdded, Key: "k", Size: 1000}, {Type: tiers.EventRemoved, Key: "k"}, {Type: tiers.EventAdded, Key: "k", Size: 1000}}
	for i, w := range want {
		e, err := sub.Next(t.Context())
		if err != nil || e.Type != w.Type || e.Key != w.Key || e.Size != w.Size {
			t.Fatalf("event %d is %+v, %v; want %+v", i, e, err, w)
		}
	}
	h.floodHost()
	for {
		e, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == tiers.EventRemoved && e.Key == "k" {
			break
		}
	}
}
