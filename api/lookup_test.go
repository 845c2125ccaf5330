package api_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/api"
)

func TestLookupRequestIsDecoded(t *testing.T) {
	const body = `{"keys":["a","sku/1"],"claim":{"owner":"vllm-0","ttl_ms":500},"wait_ms":100,"pin_ms":5000,
		"promote":"gpu","expect":[{"size":12,"dtype":"BF16","shape":[2,3]},null]}`
	want := api.LookupRequest{
		Keys:    []string{"a", "sku/1"},
		Claim:   &api.ClaimRequest{Owner: "vllm-0", TTLMS: 500},
		WaitMS:  100,
		PinMS:   5000,
		Promote: api.PromoteGPU,
		Expect:  []*api.Expect{{Size: 12, DType: "BF16", Shape: []int64{2, 3}}, nil},
	}
	var got api.LookupRequest
	if err := api.ParseRequest([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if got.Wait() != 100*time.Millisecond || got.Pin() != 5*time.Second || got.Claim.TTL() != 500*time.Millisecond {
		t.Errorf("wait %v, pin %v, ttl %v", got.Wait(), got.Pin(), got.Claim.TTL())
	}
	if claim, renewed := new(api.ClaimRequest).TTL(), new(api.RenewRequest).TTL(); claim != api.DefaultClaimTTL || renewed != api.DefaultClaimTTL {
		t.Errorf("a claim lasts %v by default, and %v when it is renewed", claim, renewed)
	}
}

func TestRequestsAreRefused(t *testing.T) {
	quoted := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(`"`+s+`",`, n), ",") }
	for _, test := range []struct {
		name string
		into api.Validator
		body string
		want api.Code
	}{
		{"nothing", new(api.LookupRequest), ``, api.InvalidJSON},
		{"null", new(api.LookupRequest), `null`, api.InvalidJSON},
		{"not JSON", new(api.LookupRequest), `{"keys":["a"]`, api.InvalidJSON},
		{"two values", new(api.LookupRequest), `{"keys":["a"]} {}`, api.InvalidJSON},
		{"more behind", new(api.LookupRequest), `{"keys":["a"]}]`, api.InvalidJSON},
		{"unknown field", new(api.LookupRequest), `{"keys":["a"],"waitms":1}`, api.InvalidJSON},
		{"wrong type", new(api.LookupRequest), `{"keys":"a"}`, api.InvalidJSON},
		{"no keys", new(api.LookupRequest), `{"keys":[]}`, api.InvalidJSON},
		{"too many keys", new(api.LookupRequest), `{"keys":[` + quoted("a", 257) + `]}`, api.InvalidJSON},
		{"empty key", new(api.LookupRequest), `{"keys":[""]}`, api.InvalidKey},
		{"control character", new(api.LookupRequest), `{"keys":["a\u0000"]}`, api.InvalidKey},
		{"not UTF-8", new(api.LookupRequest), "{\"keys\":[\"\xff\"]}", api.InvalidKey},
		{"half a surrogate pair", new(api.LookupRequest), `{"keys":["\ud800"]}`, api.InvalidKey},
		{"long key", new(api.LookupRequest), `{"keys":["` + strings.Repeat("k", 513) + `"]}`, api.InvalidKey},
		{"negative wait", new(api.LookupRequest), `{"keys":["a"],"wait_ms":-1}`, api.InvalidJSON},
		{"long wait", new(api.LookupRequest), `{"keys":["a"],"wait_ms":60001}`, api.InvalidJSON},
		{"fraction", new(api.LookupRequest), `{"keys":["a"],"wait_ms":1.5}`, api.InvalidJSON},
		{"long pin", new(api.LookupRequest), `{"keys":["a"],"pin_ms":600001}`, api.InvalidJSON},
		{"overflow", new(api.LookupRequest), `{"keys":["a"],"pin_ms":9223372036854775808}`, api.InvalidJSON},
		{"unknown tier", new(api.LookupRequest), `{"keys":["a"],"promote":"tape"}`, api.InvalidJSON},
		{"claim without owner", new(api.LookupRequest), `{"keys":["a"],"claim":{}}`, api.InvalidJSON},
		{"owner with line end", new(api.LookupRequest), `{"keys":["a"],"claim":{"owner":"a\nb"}}`, api.InvalidJSON},
		{"long claim", new(api.LookupRequest), `{"keys":["a"],"claim":{"owner":"a","ttl_ms":600001}}`, api.InvalidJSON},
		{"one expectation for two keys", new(api.LookupRequest), `{"keys":["a","b"],"expect":[null]}`, api.InvalidJSON},
		{"unknown dtype", new(api.LookupRequest), `{"keys":["a"],"expect":[{"dtype":"bf16"}]}`, api.InvalidJSON},
		{"negative size", new(api.LookupRequest), `{"keys":["a"],"expect":[{"size":-1}]}`, api.InvalidJSON},
		{"empty tensor", new(api.LookupRequest), `{"keys":["a"],"expect":[{"shape":[0]}]}`, api.InvalidJSON},
		{"fetch without keys", new(api.FetchRequest), `{}`, api.InvalidJSON},
		{"fetch with a bad pin", new(api.FetchRequest), `{"keys":["a"],"pin":"a b"}`, api.NoSuchPin},
		{"negative ttl", new(api.RenewRequest), `{"ttl_ms":-1}`, api.InvalidJSON},
		{"no epoch", new(api.EpochBody), `{}`, api.InvalidJSON},
		{"negative epoch", new(api.EpochBody), `{"epoch":-1}`, api.InvalidJSON},
		{"large epoch", new(api.EpochBody), `{"epoch":9007199254740992}`, api.InvalidJSON},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := api.ParseRequest([]byte(test.body), test.into)
			if err == nil {
				t.Fatalf("decoded to %+v", test.into)
			}
			if code := codeOf(t, err); code != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// The largest request that is valid fits in the bound on its body, however its keys are escaped.
func TestLargestLookupFits(t *testing.T) {
	// No JSON escape is longer than six bytes, and one that makes a byte of a valid key is \u0020 at best.
	key := strings.Repeat(`\u0020`, api.MaxKeyLen)
	expect := `{"size":4611686018427387904,"dtype":"F8_E4M3","shape":[` + strings.TrimSuffix(strings.Repeat("1,", 16), ",") + `]}`
	body := `{"keys":["` + strings.Repeat(key+`","`, api.MaxKeys-1) + key + `"],"expect":[` +
		strings.Repeat(expect+",", api.MaxKeys-1) + expect + `]}`
	var r api.LookupRequest
	if err := api.ParseRequest([]byte(body), &r); err != nil {
		t.Fatalf("a body of %d bytes: %v", len(body), err)
	}
	if len(r.Keys) != api.MaxKeys || len(r.Keys[0]) != api.MaxKeyLen {
		t.Errorf("%d keys of %d bytes", len(r.Keys), len(r.Keys[0]))
	}
}

// Text that would decode to much more memory than it takes is refused before it does, whichever way it is decoded.
func TestRequestsTakeLittleMemory(t *testing.T) {
	fill := func(head, element string) []byte {
		return []byte(head + strings.Repeat(element+",", (api.MaxJSONBody-len(head)-16)/(len(element)+1)) + element + "]}")
	}
	for name, body := range map[string][]byte{
		"expectations":                     fill(`{"keys":["a"],"expect":[`, `{}`),
		"expectations behind an escape":    fill(`{"keys":["\u0061"],"expect":[`, `{}`),
		"expectations of nothing":          fill(`{"keys":["a"],"expect":[`, `null`),
		"keys":                             fill(`{"keys":[`, `"a"`),
		"keys, one of them escaped":        fill(`{"keys":["\u0061",`, `"a"`),
		"a shape":                          append(fill(`{"keys":["a"],"expect":[{"shape":[`, `1`), "]}"...),
		"commas within strings, and after": fill(`{"keys":["\",,"],"expect":[`, `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := api.ParseRequest(body, new(api.LookupRequest))
			runtime.ReadMemStats(&after)
			if err == nil || codeOf(t, err) != api.InvalidJSON {
				t.Errorf("error %v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > api.MaxJSONBody/4 {
				t.Errorf("%d bytes were allocated", took)
			}
		})
	}
}

func TestLookupResponseIsJSON(t *testing.T) {
	claim := "Zm9v"
	response := api.LookupResponse{
		Epoch: 3,
		Claim: &claim,
		Results: []api.LookupResult{
			{State: api.Hit, Tensor: api.Tensor{Size: 12, DType: "BF16", Shape: []int64{2, 3}, Meta: json.RawMessage(`{"a":1}`)}, Tier: "host"},
			{State: api.Hit, Tensor: api.Tensor{Size: 4, DType: "F32", Shape: []int64{}}, Tier: "disk"},
			{State: api.Missing, Code: api.ContractMismatch},
			{State: api.Claimed},
			{State: api.Pending, RetryMS: 1500},
		},
	}
	const want = `{"epoch":3,"claim":"Zm9v","pin":null,"results":[` +
		`{"state":"hit","size":12,"dtype":"BF16","shape":[2,3],"meta":{"a":1},"tier":"host"},` +
		`{"state":"hit","size":4,"dtype":"F32","shape":[],"tier":"disk"},` +
		`{"state":"miss","code":"contract_mismatch"},` +
		`{"state":"claimed"},` +
		`{"state":"pending","retry_ms":1500}]}`
	got, err := json.Marshal(response)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	var again api.LookupResponse
	if err := json.Unmarshal(got, &again); err != nil || again.Validate() != nil {
		t.Fatal(err, again.Validate())
	}
	if diff := cmp.Diff(response, again); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestLookupResponsesAreRefused(t *testing.T) {
	for name, body := range map[string]string{
		"unknown state":     `{"results":[{"state":"maybe"}]}`,
		"hit without size":  `{"results":[{"state":"hit","dtype":"U8","shape":[1]}]}`,
		"hit with bad size": `{"results":[{"state":"hit","size":2,"dtype":"U8","shape":[1]}]}`,
		"bad claim":         `{"claim":"a b","results":[]}`,
		"bad pin":           `{"pin":"","results":[]}`,
		"claimed by none":   `{"claim":null,"results":[{"state":"claimed"}]}`,
	} {
		var r api.LookupResponse
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		if r.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"keys":["a"],"claim":{"owner":"o"},"expect":[{"size":1}]}`))
	f.Add([]byte(`{"keys":["a"],"pin":"Zm9v"}`))
	f.Add([]byte(`{"epoch":3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, r := range []api.Validator{new(api.LookupRequest), new(api.FetchRequest), new(api.RenewRequest), new(api.EpochBody)} {
			if err := api.ParseRequest(body, r); err != nil {
				codeOf(t, err)
				continue
			}
			formatted, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := api.ParseRequest(formatted, r); err != nil {
				t.Fatalf("%s decodes, but not as %s: %v", body, formatted, err)
			}
		}
	})
}
