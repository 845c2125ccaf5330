package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func lookupOf(n int) (LookupRequest, LookupResponse) {
	request := LookupRequest{
		Claim: &ClaimRequest{Owner: "vllm-0", TTLMS: 2000}, WaitMS: 1, PinMS: 5000, Promote: PromoteHost,
	}
	claim, pin := "Zm9v", "YmFy"
	response := LookupResponse{Epoch: 3, Claim: &claim, Pin: &pin}
	for i := range n {
		request.Keys = append(request.Keys, fmt.Sprintf("%064x", i))
		request.Expect = append(request.Expect, &Expect{Size: 8572928, DType: "BF16", Shape: []int64{1196, 3584}})
		response.Results = append(response.Results, LookupResult{
			State:  Hit,
			Tensor: Tensor{Size: 8572928, DType: "BF16", Shape: []int64{1196, 3584}, Meta: json.RawMessage(`{"grid_thw":[1,52,92],"t":[0.5,-1],"note":"}"}`)},
			Tier:   "host",
		})
	}
	request.Expect[0] = nil
	response.Results[0] = LookupResult{State: Pending, Code: NotFound, RetryMS: 1500}
	return request, response
}

// What our own clients and service write takes the fast way. Were it to stop doing so, only a benchmark
// would tell.
func TestUsualLookupsAreScanned(t *testing.T) {
	request, response := lookupOf(3)
	for _, test := range []struct {
		value any
		into  scanner
	}{{request, new(LookupRequest)}, {response, new(LookupResponse)}} {
		compact, err := json.Marshal(test.value)
		if err != nil {
			t.Fatal(err)
		}
		spaced, err := json.MarshalIndent(test.value, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{compact, spaced} {
			if !test.into.scan(text) {
				t.Errorf("%s is not scanned", text)
			}
		}
		if !test.into.scan(compact) {
			t.Fatal("not scanned")
		}
		again, err := json.Marshal(test.into)
		if err != nil || string(again) != string(compact) {
			t.Errorf("%s was scanned as %s, %v", compact, again, err)
		}
	}
}

func TestScanGivesUp(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{`, `[]`, `null`, `{}}`, `{} {}`, `{,}`, `{"epoch"}`, `{"epoch":}`, `{"epoch":1,}`, `{"epoch":1 "pin":null}`, `{"epoch":01}`,
		`{"epoch":-1}`, `{"epoch":1.5}`, `{"epoch":1e3}`, `{"epoch":9223372036854775807}`, `{"epoch":null}`, `{"Epoch":1}`, `{"unknown":1}`,
		`{"pin":"a\u0062"}`, `{"pin":"é"}`, `{"pin":"a`, "{\"pin\":\"a\nb\"}", `{"pin":nul}`, `{"results":[}`, `{"results":[{},]}`,
		`{"results":[{"meta":null}]}`, `{"results":[{"meta":- 1}]}`, `{"results":[{"meta":-}]}`, `{"results":[{"meta":1.}]}`, `{"results":[{"meta":[1.e3]}]}`,
		`{"results":[{"meta":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}]}`, `{"results":[{"meta":{]}]}`, `{"results":[{"meta":{"a"}}]}`, `{"results":[{"meta":{}`, `{"results":[{"shape":[1,]}]}`,
	} {
		r := LookupResponse{Epoch: 7}
		if r.scan([]byte(text)) {
			t.Errorf("%s was scanned as %+v", text, r)
		} else if diff := cmp.Diff(LookupResponse{Epoch: 7}, r); diff != "" {
			t.Errorf("%s changed what it was not scanned into:\n%s", text, diff)
		}
	}
}

// FuzzScan proves that the fast way and encoding/json agree on all that the fast way accepts.
func FuzzScan(f *testing.F) {
	request, response := lookupOf(2)
	for _, v := range []any{request, response} {
		text, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"claim":{"owner":"a"},"claim":{"ttl_ms":1},"expect":[{"size":1}],"expect":[{"dtype":"U8"}]}`))
	f.Add([]byte(`{"results":[{"size":1}],"results":[{"dtype":"U8"}]}`))
	f.Add([]byte(`{"keys":["b","c"],"keys":["a"],"claim":null,"expect":[null,{"shape":[]}]}`))
	f.Add([]byte(`{"results":[{"meta":[-0.5 , {"a":"}"}],"meta":{}}],"claim":"a","claim":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		compare(t, text, new(LookupRequest), new(LookupRequest))
		compare(t, text, new(LookupResponse), new(LookupResponse))
	})
}

func compare(t *testing.T, text []byte, fast scanner, slow any) {
	if !fast.scan(text) {
		return
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(slow); err != nil || dec.More() {
		t.Fatalf("%s was scanned, and encoding/json says %v", text, err)
	}
	if diff := cmp.Diff(any(fast), slow); diff != "" {
		t.Fatalf("%s (-scanned +encoding/json):\n%s", text, diff)
	}
}

func BenchmarkDecodeLookup64(b *testing.B) {
	request, response := lookupOf(64)
	request.Expect = nil
	for name, v := range map[string]any{"request": request, "response": response} {
		text, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		decoded := map[string]any{"request": new(LookupRequest), "response": new(LookupResponse)}[name]
		b.Run(name+"/scan", func(b *testing.B) {
			for b.Loop() {
				if !decoded.(scanner).scan(text) {
					b.Fatal("not scanned")
				}
			}
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			for b.Loop() {
				if err := json.Unmarshal(text, decoded); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
