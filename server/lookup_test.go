package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/server/internal/http1"
	"github.com/keepsight/keepsight/tiers"
)

// dialClient returns a client of our own, over the unix socket.
func (v *service) dialClient(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{BaseURL: "unix://" + v.config.Socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ask sends a lookup and decodes its answer.
func (v *service) ask(t testing.TB, c *http.Client, body string) api.LookupResponse {
	t.Helper()
	got := shot{method: "POST", path: "/v1/namespaces/ns/lookup", header: asJSON, body: []byte(body)}.do(t, c, v, 200)
	var answer api.LookupResponse
	if err := json.Unmarshal(got.got, &answer); err != nil {
		t.Fatal(err)
	}
	if err := answer.Validate(); err != nil {
		t.Fatal(err)
	}
	return answer
}

func states(answer api.LookupResponse) []api.State {
	var list []api.State
	for _, r := range answer.Results {
		list = append(list, r.State)
	}
	return list
}

func TestLookup(t *testing.T) {
	v := start(t)
	v.everywhere(t, func(t *testing.T, c *http.Client) {
		k := "k/" + t.Name()
		v.put(t, c, k, 4096, api.HeaderMeta, `{"grid":[1, 2]}`)
		answer := v.ask(t, c, fmt.Sprintf(`{"keys":[%q,"none",%q],"pin_ms":1000,"promote":"gpu","expect":[null,null,{"dtype":"F32"}]}`, k, k))
		want := []api.LookupResult{
			{State: api.Hit, Tier: "host", Tensor: api.Tensor{Size: 4096, DType: "BF16", Shape: []int64{2048}, Meta: []byte(`{"grid":[1, 2]}`)}},
			{State: api.Missing},
			{State: api.Missing, Code: api.ContractMismatch},
		}
		if diff := cmp.Diff(want, answer.Results); diff != "" {
			t.Error(diff)
		}
		if answer.Pin == nil || answer.Claim != nil {
			t.Fatalf("pin %v, claim %v", answer.Pin, answer.Claim)
		}
		shot{method: "DELETE", path: "/v1/pins/" + *answer.Pin}.do(t, c, v, 204)
		shot{method: "DELETE", path: "/v1/pins/" + *answer.Pin}.do(t, c, v, 404)
	})
}

// TestClaim walks a claim through its life.
func TestClaim(t *testing.T) {
	v := start(t)
	c := v.client()
	mine := v.ask(t, c, `{"keys":["a","b"],"claim":{"owner":"me","ttl_ms":600000}}`)
	if diff := cmp.Diff([]api.State{api.Claimed, api.Claimed}, states(mine)); diff != "" {
		t.Fatal(diff)
	}
	again := v.ask(t, c, `{"keys":["b"],"claim":{"owner":"me"}}`)
	if again.Claim == nil || *again.Claim != *mine.Claim {
		t.Errorf("the same owner got %v, then %v", *mine.Claim, again.Claim)
	}
	theirs := v.ask(t, c, `{"keys":["a"],"claim":{"owner":"they"}}`)
	if theirs.Results[0].State != api.Pending || theirs.Results[0].RetryMS == 0 || theirs.Claim != nil {
		t.Errorf("another owner got %+v", theirs)
	}
	shot{method: "POST", path: "/v1/claims/" + *mine.Claim, header: asJSON, body: []byte(`{"ttl_ms":5000}`)}.do(t, c, v, 204)

	// A waiter is woken by the PUT that ends the claim.
	woken := make(chan api.LookupResponse, 1)
	go func() { woken <- v.ask(t, c, `{"keys":["a"],"claim":{"owner":"they"},"wait_ms":60000}`) }()
	eventually(t, "the wait", func() bool { return v.store.Stats().WaitingKeys == 1 })
	v.put(t, c, "a", 64, api.HeaderClaim, *mine.Claim)
	if got := states(<-woken); got[0] != api.Hit {
		t.Errorf("the waiter got %v", got)
	}

	// A PUT that fails hands its key on, here to a waiter.
	go func() { woken <- v.ask(t, c, `{"keys":["b"],"claim":{"owner":"they"},"wait_ms":60000}`) }()
	eventually(t, "the wait", func() bool { return v.store.Stats().WaitingKeys == 1 })
	shot{method: "PUT", path: embeddingPath("b"), body: []byte("x"),
		header: with(api.HeaderClaim, *mine.Claim, api.HeaderDType, "F64", api.HeaderShape, "1")}.do(t, c, v, 422)
	heir := <-woken
	if states(heir)[0] != api.Claimed {
		t.Errorf("the waiter got %v", states(heir))
	}
	shot{method: "DELETE", path: "/v1/claims/" + *heir.Claim}.do(t, c, v, 204)
	shot{method: "POST", path: "/v1/claims/" + *heir.Claim, header: asJSON, body: []byte(`{}`)}.do(t, c, v, 404)
}

// TestEpoch raises an epoch: what is older is gone, a claim of before cannot store, and a raise is monotonic.
func TestEpoch(t *testing.T) {
	v := start(t)
	c := v.client()
	v.put(t, c, "k", 64)
	claim := *v.ask(t, c, `{"keys":["late"],"claim":{"owner":"me"}}`).Claim
	raise := func(n, want int) shot {
		return shot{method: "PUT", path: "/v1/namespaces/ns/epoch", header: asJSON, body: fmt.Appendf(nil, `{"epoch":%d}`, n)}.do(t, c, v, want)
	}
	raise(5, 200)
	raise(5, 200)
	if lower := raise(4, 409); lower.code() != api.EpochLower {
		t.Errorf("code %q", lower.code())
	}
	shot{method: "GET", path: embeddingPath("k")}.do(t, c, v, 404)
	late := shot{method: "PUT", path: embeddingPath("late"), header: with(api.HeaderClaim, claim), body: []byte("x")}.do(t, c, v, 409)
	if late.code() != api.StaleEpoch {
		t.Errorf("code %q", late.code())
	}
	v.put(t, c, "k", 64, api.HeaderEpoch, "5")
	got := shot{method: "GET", path: "/v1/namespaces/ns/epoch"}.do(t, c, v, 200)
	if string(got.got) != `{"epoch":5}` {
		t.Errorf("epoch %s", got.got)
	}
}

// TestHerd sends 500 lookups of one missing key at once: one claim, and all others learn of the PUT.
func TestHerd(t *testing.T) {
	v := start(t, noDisk)
	c := v.dialClient(t)
	const herd = 500
	answers := make(chan *api.LookupResponse, herd)
	var gate, done sync.WaitGroup
	gate.Add(1)
	for i := range herd {
		done.Go(func() {
			gate.Wait()
			answer, err := c.Lookup(t.Context(), "ns", api.LookupRequest{
				Keys: []string{"k"}, WaitMS: 60_000, Claim: &api.ClaimRequest{Owner: fmt.Sprint(i), TTLMS: 60_000},
			})
			if err != nil {
				t.Error(err)
			}
			answers <- answer
		})
	}
	gate.Done()
	first := <-answers
	if first == nil || first.Results[0].State != api.Claimed {
		t.Fatalf("the first answer is %+v", first)
	}
	if _, err := c.Put(t.Context(), "ns", "k", []byte("bytes"), api.PutHeader{Claim: *first.Claim}); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	close(answers)
	for answer := range answers {
		if answer != nil && answer.Results[0].State != api.Hit {
			t.Errorf("after the PUT: %+v", answer.Results[0])
		}
	}
}

// TestCrossedKeys sends pairs of lookups of the same two keys in opposite order: each key has one holder, and
// nobody who holds a claim waits.
func TestCrossedKeys(t *testing.T) {
	v := start(t, noDisk)
	c := v.dialClient(t)
	for round := range 50 {
		a, b := fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)
		answers := make([]*api.LookupResponse, 2)
		var done sync.WaitGroup
		for i, keys := range [][]string{{a, b}, {b, a}} {
			done.Go(func() {
				var err error
				answers[i], err = c.Lookup(t.Context(), "ns", api.LookupRequest{
					Keys: keys, WaitMS: 50, Claim: &api.ClaimRequest{Owner: fmt.Sprint(i), TTLMS: 600_000},
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		holders := map[string]int{}
		for i, keys := range [][]string{{a, b}, {b, a}} {
			for j, key := range keys {
				if answers[i].Results[j].State == api.Claimed {
					holders[key]++
				}
			}
		}
		if holders[a] != 1 || holders[b] != 1 {
			t.Fatalf("round %d: holders %v", round, holders)
		}
	}
}

// TestWait parks a GET until a PUT arrives, and gives up when its time is over.
func TestWait(t *testing.T) {
	v := start(t)
	c := v.client()
	got := make(chan shot, 1)
	go func() { got <- shot{method: "GET", path: embeddingPath("k") + "?wait_ms=60000"}.do(t, c, v, 200) }()
	eventually(t, "the wait", func() bool { return v.store.Stats().WaitingKeys == 1 })
	v.put(t, c, "k", 64)
	if s := <-got; !bytes.Equal(s.got, payload("k", 64)) {
		t.Error("other bytes came")
	}
	shot{method: "GET", path: embeddingPath("none") + "?wait_ms=10"}.do(t, c, v, 404)
}

// TestWaiterLeaves lets a client go that waits: nothing is left of it.
func TestWaiterLeaves(t *testing.T) {
	v := start(t, noDisk)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", v.url(embeddingPath("k")+"?wait_ms=60000"), nil)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() {
		_, err := v.client().Do(r)
		left <- err
	}()
	eventually(t, "the wait", func() bool { return v.store.Stats().WaitingKeys == 1 })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "the end of the wait", func() bool { return v.store.Stats().WaitingKeys == 0 })
	eventually(t, "the count", func() bool {
		metrics := shot{method: "GET", path: "/metrics"}.do(t, v.client(), v, 200)
		return strings.Contains(string(metrics.got), `keepsight_requests_total{code="499",op="get",tier=""} 1`)
	})
}

// TestFetch streams hits and misses in order, and ends the pin.
func TestFetch(t *testing.T) {
	v := start(t)
	hc, c := v.client(), v.dialClient(t)
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
		if i%3 != 0 {
			v.put(t, hc, keys[i], 1000*(i+1), api.HeaderEncodeCost, "0.5")
		}
	}
	answer, err := c.Lookup(t.Context(), "ns", api.LookupRequest{Keys: keys, PinMS: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	expect := make([]*api.Expect, len(keys))
	expect[1] = &api.Expect{Size: 1}
	bufs := make(map[int][]byte)
	headers, err := c.Fetch(t.Context(), "ns", api.FetchRequest{Keys: keys, Expect: expect, Pin: *answer.Pin}, func(i int, tensor api.Tensor) []byte {
		bufs[i] = make([]byte, tensor.Size)
		return bufs[i]
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range headers {
		switch {
		case i == 1:
			if h.State != api.Missing || h.Code != api.ContractMismatch {
				t.Errorf("frame 1 is %+v", h)
			}
		case i%3 == 0:
			if h.State != api.Missing || h.Code != "" {
				t.Errorf("frame %d is %+v", i, h)
			}
		case h.State != api.Hit || !bytes.Equal(bufs[i], payload(keys[i], 1000*(i+1))):
			t.Errorf("frame %d is %+v with %d bytes", i, h, len(bufs[i]))
		}
	}
	eventually(t, "the end of the pin", func() bool { return v.store.Stats().Pins == 0 })
	if saved := v.metrics.secondsSaved(); saved != 12*0.5 {
		t.Errorf("%g seconds saved", saved)
	}
}

// TestFetchAbandoned leaves a stream in its middle: what was read ahead is released.
func TestFetchAbandoned(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	for i := range 4 {
		v.put(t, c, fmt.Sprint("k", i), 4<<20)
	}
	r, err := http.NewRequest("POST", v.url("/v1/namespaces/ns/fetch"), bytes.NewReader([]byte(`{"keys":["k0","k1","k2","k3"]}`)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = asJSON.Clone()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for i := range 4 {
		eventually(t, "the release", func() bool { return v.released(t, fmt.Sprint("k", i)) })
	}
}

// TestLargeAnswer asks for more than the heap has room for just then: the lookup is refused, and what it claimed
// goes to the next.
func TestLargeAnswer(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	v.put(t, c, "k", 64, api.HeaderMeta, `{"m":"`+strings.Repeat("x", api.MaxMetaLen-8)+`"}`)
	body := func(owner string) []byte {
		return []byte(`{"keys":["new"` + strings.Repeat(`,"k"`, api.MaxKeys-1) + `],"claim":{"owner":"` + owner + `"}}`)
	}
	taken := v.budget.JSONBytes - 1<<20
	if !v.json.TryAcquire(taken) {
		t.Fatal("there is no room before the first lookup")
	}
	refused := shot{method: "POST", path: "/v1/namespaces/ns/lookup", header: asJSON, body: body("me")}.do(t, c, v, 503)
	if refused.code() != api.NoMemory {
		t.Errorf("code %q", refused.code())
	}
	v.json.Release(taken)
	if answer := v.ask(t, c, string(body("they"))); answer.Results[0].State != api.Claimed || answer.Results[255].State != api.Hit {
		t.Errorf("the next got %s and %s", answer.Results[0].State, answer.Results[255].State)
	}
	eventually(t, "the refund", func() bool { return v.free() == v.budget.JSONBytes })
	for range 100 { // a pool may forget what it is given
		v.recycle(new(make([]byte, 0, maxRecycled+1)))
		if buf := v.buffers.Get().(*[]byte); cap(*buf) > maxRecycled {
			t.Fatalf("a buffer of %d bytes is kept", cap(*buf))
		}
	}
}

// A deadConnection is an answer whose client has gone, as the first flush finds out.
type deadConnection struct {
	writer
	flushed chan struct{}
}

func (deadConnection) Pace(http1.Full) {}

func (d deadConnection) FlushError() error {
	close(d.flushed)
	return net.ErrClosed
}

// TestFetchReleases lets a client go while the next embedding is being read: it is released when it comes.
func TestFetchReleases(t *testing.T) {
	v := start(t, noDisk)
	v.put(t, v.client(), "k", 1<<20)
	e, tier, err := v.store.Get(t.Context(), tiers.Name{Scope: v.store.Scope(defaultTenant, "ns"), Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	next := &fetched{embedding: e, tier: tier, done: make(chan struct{})}
	f := frames{s: v.Server, c: &call{w: newResponse(deadConnection{flushed: next.done}, defaultPace)}}
	if err := f.write(next); !errors.Is(err, errClientGone) {
		t.Errorf("error %v", err)
	}
	if !v.released(t, "k") {
		t.Error("the embedding is still held")
	}
}

// TestAppendLookup compares the answer written by hand with what encoding/json makes of the same.
func TestAppendLookup(t *testing.T) {
	hit := tiers.Result{State: tiers.StateHit, Entry: tiers.Entry{Tier: "disk", Meta: tiers.Meta{
		DType: "F8_E4M3", Shape: []int64{1196, 3584}, Size: 1196 * 3584, Extra: []byte(`{"a":"<&>\\\"", "b":[1, 2]}`),
	}}}
	scalar := tiers.Result{State: tiers.StateHit, Entry: tiers.Entry{Tier: "host", Meta: tiers.Meta{DType: "U8", Shape: []int64{}, Size: 1}}}
	for name, a := range map[string]tiers.Answer{
		"nothing":        {Results: []tiers.Result{}},
		"hits":           {Epoch: 1<<53 - 1, Pin: "0f-0", Results: []tiers.Result{hit, scalar}},
		"everything":     {Epoch: 3, Claim: "ab-3", Results: []tiers.Result{{State: tiers.StateClaimed}, hit, {State: tiers.StatePending, Retry: 1500 * time.Millisecond}, {State: tiers.StateMiss, Mismatch: true}}},
		"almost no time": {Results: []tiers.Result{{State: tiers.StatePending, Retry: time.Microsecond}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := api.LookupResponse{Epoch: a.Epoch, Results: []api.LookupResult{}}
			if a.Claim != "" {
				want.Claim = &a.Claim
			}
			if a.Pin != "" {
				want.Pin = &a.Pin
			}
			for _, r := range a.Results {
				w := api.LookupResult{State: api.State(r.State), Tier: r.Tier, RetryMS: r.Retry.Milliseconds()}
				if r.State == tiers.StateHit {
					w.Tensor = tensorOf(r.Meta)
				}
				if r.Mismatch {
					w.Code = api.ContractMismatch
				}
				want.Results = append(want.Results, w)
			}
			wantJSON, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var wantValue, gotValue any
			if err := json.Unmarshal(wantJSON, &wantValue); err != nil {
				t.Fatal(err)
			}
			got := appendLookup(nil, &a)
			if most := answerBytes(&a); int64(len(got)) > most {
				t.Errorf("the answer has %d bytes, and %d are paid for", len(got), most)
			}
			if err := json.Unmarshal(got, &gotValue); err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if diff := cmp.Diff(wantValue, gotValue); diff != "" {
				t.Error(diff)
			}
		})
	}
}
