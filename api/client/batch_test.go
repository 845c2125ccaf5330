package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

func TestLookup(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	mustPut(t, c, "a", payload(8))
	got, err := c.Lookup(t.Context(), namespace, api.LookupRequest{Keys: []string{"a", "b"}, Claim: &api.ClaimRequest{Owner: "o"}})
	if err != nil {
		t.Fatal(err)
	}
	claim := "alive"
	want := &api.LookupResponse{Claim: &claim, Results: []api.LookupResult{
		{State: api.Hit, Tensor: api.Tensor{Size: 8, DType: "U8", Shape: []int64{8}}, Tier: "host"},
		{State: api.Claimed},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	for name, body := range map[string]string{
		"one result for two keys": `{"results":[{"state":"miss"}]}`,
		"unknown state":           `{"results":[{"state":"miss"},{"state":"maybe"}]}`,
		"not JSON":                `<html>`,
		"wrong type":              `{"results":1}`,
		"endless":                 `{"epoch":` + strings.Repeat(" ", 17<<20),
	} {
		f.override = func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, body) }
		if got, err := c.Lookup(t.Context(), namespace, api.LookupRequest{Keys: []string{"a", "b"}}); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestClaimsAndPins(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	for _, err := range []error{c.Renew(t.Context(), "alive", time.Second), c.GiveUp(t.Context(), "alive"), c.ReleasePin(t.Context(), "alive")} {
		if err != nil {
			t.Error(err)
		}
	}
	for _, err := range []error{c.Renew(t.Context(), "ended", 0), c.GiveUp(t.Context(), "ended")} {
		if !errors.Is(err, client.ErrNoSuchClaim) {
			t.Error(err)
		}
	}
	if err := c.ReleasePin(t.Context(), "ended"); !errors.Is(err, client.ErrNoSuchPin) {
		t.Error(err)
	}
	want := []string{
		"POST /v1/claims/alive", "DELETE /v1/claims/alive", "DELETE /v1/pins/alive",
		"POST /v1/claims/ended", "DELETE /v1/claims/ended", "DELETE /v1/pins/ended",
	}
	if diff := cmp.Diff(want, f.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func states(results []api.FrameHeader) string {
	var b strings.Builder
	for _, r := range results {
		b.WriteString(string(r.State) + " ")
	}
	return strings.TrimSpace(b.String())
}

func TestFetch(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	sizes := map[string]int{"a": 100, "b": 70 << 10, "d": 3}
	for key, size := range sizes {
		mustPut(t, c, key, payload(size))
	}
	keys := []string{"a", "b", "c", "d"}
	fetch := func(r api.FetchRequest, pass int) ([]api.FrameHeader, [][]byte, error) {
		bufs := make([][]byte, len(keys))
		results, err := c.Fetch(t.Context(), namespace, r, func(i int, tensor api.Tensor) []byte {
			if i == pass {
				return nil
			}
			bufs[i] = make([]byte, tensor.Size+1)
			return bufs[i]
		})
		return results, bufs, err
	}
	results, bufs, err := fetch(api.FetchRequest{Keys: keys}, -1)
	if err != nil || states(results) != "hit hit miss hit" || results[2].Code != api.NotFound {
		t.Fatalf("%+v, %v", results, err)
	}
	for i, key := range keys {
		if size := sizes[key]; size > 0 && !bytes.Equal(bufs[i][:size], payload(size)) {
			t.Errorf("other bytes came back for %s", key)
		}
	}
	if results, _, err := fetch(api.FetchRequest{Keys: keys}, 1); err != nil || states(results) != "hit miss miss hit" {
		t.Errorf("passing over b: %+v, %v", results, err)
	}
	expect := []*api.Expect{{Size: 101}, nil, nil, nil}
	if results, bufs, err := fetch(api.FetchRequest{Keys: keys, Expect: expect}, -1); err != nil || states(results) != "miss hit miss hit" || results[0].Code != api.ContractMismatch || bufs[0] != nil {
		t.Errorf("expecting another size of a: %+v, %v", results, err)
	}

	f.damagePayload = func(stream []byte) []byte { return stream[:300] } // inside the header or payload of b
	if results, _, err := fetch(api.FetchRequest{Keys: keys}, -1); !errors.Is(err, io.ErrUnexpectedEOF) || states(results) != "hit miss miss miss" {
		t.Errorf("a stream that is cut: %+v, %v", results, err)
	}
	f.damagePayload = func(stream []byte) []byte { return nil }
	if results, _, err := fetch(api.FetchRequest{Keys: keys}, -1); err != nil || states(results) != "miss miss miss miss" {
		t.Errorf("a stream that ends at once: %+v, %v", results, err)
	}
	f.damagePayload = func(stream []byte) []byte { stream[len(stream)-1] ^= 1; return stream }
	if results, _, err := fetch(api.FetchRequest{Keys: keys}, -1); !errors.Is(err, client.ErrCorrupt) || states(results) != "hit hit miss miss" {
		t.Errorf("a flipped bit in d: %+v, %v", results, err)
	}
	f.damagePayload = func(stream []byte) []byte { return bytes.Repeat([]byte{0xff}, 100) }
	if results, _, err := fetch(api.FetchRequest{Keys: keys}, -1); !errors.Is(err, client.ErrProtocol) || states(results) != "miss miss miss miss" {
		t.Errorf("noise: %+v, %v", results, err)
	}
	f.override = func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") }
	if results, _, err := fetch(api.FetchRequest{Keys: keys}, -1); !errors.Is(err, client.ErrProtocol) || len(results) != len(keys) {
		t.Errorf("a page: %+v, %v", results, err)
	}
}

func TestEpochs(t *testing.T) {
	c := serve(t, new(fake))
	if epoch, err := c.Epoch(t.Context(), namespace); err != nil || epoch != 0 {
		t.Errorf("at first: %d, %v", epoch, err)
	}
	for range 2 {
		if epoch, err := c.RaiseEpoch(t.Context(), namespace, 3); err != nil || epoch != 3 {
			t.Errorf("raised: %d, %v", epoch, err)
		}
	}
	if _, err := c.RaiseEpoch(t.Context(), namespace, 2); !errors.Is(err, client.ErrEpochLower) {
		t.Errorf("lowered: %v", err)
	}
	if n, err := c.Namespace(t.Context(), namespace); err != nil || n.Name != namespace || n.Epoch != 3 {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestOperation(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	if n, err := c.Namespaces(t.Context()); err != nil || len(n) != 1 || n[0].Name != namespace {
		t.Errorf("%+v, %v", n, err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Version != "fake" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := c.Live(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Ready(t.Context()); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
	f.override = func(w http.ResponseWriter, r *http.Request) { answer(w, map[string]any{}) }
	if epoch, err := c.Epoch(t.Context(), namespace); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("no epoch: %d, %v", epoch, err)
	}
}
