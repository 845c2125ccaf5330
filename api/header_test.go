package api_test

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

var dtypes = []string{
	"BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "U16", "I16", "F16", "BF16", "U32", "I32", "F32", "U64", "I64", "F64", "C64",
}

// shapes draws from shapes of which every dtype has a size.
func shapes() *rapid.Generator[[]int64] {
	return rapid.SliceOfN(rapid.Int64Range(1, 9), 0, 16).Filter(func(shape []int64) bool {
		_, err := api.TensorSize("F64", shape)
		return err == nil
	})
}

func metas() *rapid.Generator[json.RawMessage] {
	return rapid.OneOf(
		rapid.Just(json.RawMessage(nil)),
		rapid.Map(rapid.StringMatching(`\{"grid_thw":\[[1-9],[1-9]{1,3},[1-9]{1,3}\]\}`), func(s string) json.RawMessage { return json.RawMessage(s) }),
	)
}

func tensors() *rapid.Generator[api.Tensor] {
	return rapid.Custom(func(t *rapid.T) api.Tensor {
		tensor := api.Tensor{
			DType: rapid.SampledFrom(dtypes).Draw(t, "dtype"),
			Shape: shapes().Draw(t, "shape"),
			Meta:  metas().Draw(t, "meta"),
		}
		size, err := api.TensorSize(tensor.DType, tensor.Shape)
		if err != nil {
			t.Fatal(err)
		}
		tensor.Size = size
		return tensor
	})
}

func durations() *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.Int64Range(0, int64(24*time.Hour)), func(ns int64) time.Duration { return time.Duration(ns) })
}

func sums() *rapid.Generator[api.Sum] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) api.Sum { return api.Sum(b) })
}

func TestPutHeadersSurviveFormatting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := api.PutHeader{
			Safetensors: rapid.Bool().Draw(t, "safetensors"),
			Meta:        metas().Draw(t, "meta"),
			Cost:        durations().Draw(t, "cost"),
			TTL:         durations().Draw(t, "ttl"),
			Claim:       rapid.StringMatching(`[A-Za-z0-9_-]{0,128}`).Draw(t, "claim"),
			Durability:  rapid.SampledFrom([]api.Durability{"", api.DurabilityMemory, api.DurabilityDisk}).Draw(t, "durability"),
			IfAbsent:    rapid.Bool().Draw(t, "if absent"),
		}
		if !want.Safetensors && rapid.Bool().Draw(t, "tensor") {
			tensor := tensors().Draw(t, "tensor")
			want.DType, want.Shape = tensor.DType, tensor.Shape
		}
		if rapid.Bool().Draw(t, "has epoch") {
			epoch := rapid.Uint64Range(0, api.MaxEpoch).Draw(t, "epoch")
			want.Epoch = &epoch
		}
		if rapid.Bool().Draw(t, "has digest") {
			sum := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
			want.Digests.SHA256 = &sum
		}
		h := http.Header{}
		want.Set(h)
		got, err := api.ParsePutHeader(h)
		if err != nil {
			t.Fatalf("headers %v: %v", h, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("headers %v (-want +got):\n%s", h, diff)
		}
	})
}

func TestPutWithoutHeadersIsBytes(t *testing.T) {
	got, err := api.ParsePutHeader(http.Header{})
	if diff := cmp.Diff(api.PutHeader{}, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}

func TestPutHeadersAreRefused(t *testing.T) {
	tensor := []string{api.HeaderDType, "BF16", api.HeaderShape, "2,3"}
	for _, test := range []struct {
		name string
		h    []string
		want api.Code
	}{
		{"compressed", []string{"Content-Encoding", "gzip"}, api.UnsupportedEncoding},
		{"form", []string{"Content-Type", "application/x-www-form-urlencoded"}, api.UnsupportedMediaType},
		{"empty type", []string{"Content-Type", ""}, api.UnsupportedMediaType},
		{"two types", []string{"Content-Type", api.MediaRaw, "Content-Type", api.MediaSafetensors}, api.InvalidHeader},
		{"an etag", []string{"If-None-Match", `"a"`}, api.InvalidHeader},
		{"dtype without shape", tensor[:2], api.InvalidHeader},
		{"shape without dtype", tensor[2:], api.InvalidHeader},
		{"dtype of a file", append([]string{"Content-Type", api.MediaSafetensors}, tensor...), api.InvalidHeader},
		{"unknown dtype", []string{api.HeaderDType, "bf16", api.HeaderShape, "1"}, api.InvalidTensor},
		{"empty tensor", []string{api.HeaderDType, "U8", api.HeaderShape, "0"}, api.InvalidTensor},
		{"huge tensor", []string{api.HeaderDType, "F32", api.HeaderShape, "4611686018427387904,4"}, api.InvalidTensor},
		{"dtype twice", append([]string{api.HeaderDType, "BF16"}, tensor...), api.InvalidHeader},
		{"shape with spaces", []string{api.HeaderDType, "U8", api.HeaderShape, "1, 2"}, api.InvalidHeader},
		{"meta not JSON", []string{api.HeaderMeta, "{"}, api.InvalidHeader},
		{"cost not a number", []string{api.HeaderEncodeCost, "NaN"}, api.InvalidHeader},
		{"negative TTL", []string{api.HeaderTTL, "-1"}, api.InvalidHeader},
		{"claim not a token", []string{api.HeaderClaim, "a b"}, api.InvalidHeader},
		{"empty claim", []string{api.HeaderClaim, ""}, api.InvalidHeader},
		{"epoch not a number", []string{api.HeaderEpoch, "latest"}, api.InvalidHeader},
		{"unknown durability", []string{api.HeaderDurability, "tape"}, api.InvalidHeader},
		{"unknown digest", []string{api.HeaderReprDigest, "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"}, api.InvalidHeader},
		{"typing error", []string{"Keepsight-Dtpye", "BF16"}, api.InvalidHeader},
		{"header of a GET", []string{api.HeaderExpectSize, "1"}, api.InvalidHeader},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{}
			for i := 0; i < len(test.h); i += 2 {
				h.Add(test.h[i], test.h[i+1])
			}
			got, err := api.ParsePutHeader(h)
			if err == nil {
				t.Fatalf("headers %v parsed to %+v", h, got)
			}
			if code := codeOf(t, err); code != test.want {
				t.Errorf("headers %v: %v, want %s", h, err, test.want)
			}
		})
	}
}

// An error of a parser is sent and logged, so it must not repeat what the request said.
func TestErrorsRepeatNothing(t *testing.T) {
	const secret = "s3cret"
	_, path := api.ParsePath("/v1/namespaces/" + secret + "!/epoch")
	_, dtype := api.ParsePutHeader(http.Header{api.HeaderDType: {secret}, api.HeaderShape: {"1"}})
	_, header := api.ParsePutHeader(http.Header{api.HeaderTTL: {secret}})
	_, unknown := api.ParsePutHeader(http.Header{"Keepsight-" + secret: {""}})
	_, wait := api.ParseWait(secret)
	field := api.ParseRequest([]byte(`{"`+secret+`":1}`), &api.EpochBody{})
	kind := api.ParseRequest([]byte(`{"epoch":"`+secret+`"}`), &api.EpochBody{})
	syntax := api.ParseRequest([]byte(secret), &api.EpochBody{})
	for i, err := range []error{path, dtype, header, unknown, wait, field, kind, syntax} {
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("error %d is %v", i, err)
		}
	}
}

func TestStatsSurviveFormatting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := api.Stat{
			Tensor: tensors().Draw(t, "tensor"),
			Sum:    sums().Draw(t, "sum"),
			Cost:   durations().Draw(t, "cost"),
			TTL:    durations().Draw(t, "ttl"),
			Tier:   rapid.SampledFrom([]string{"host", "disk"}).Draw(t, "tier"),
		}
		raw, file := http.Header{}, http.Header{}
		want.Set(raw)
		want.SetSafetensors(file, []byte("{}"))
		for _, h := range []http.Header{raw, file} {
			got, err := api.ParseStat(h)
			if err != nil {
				t.Fatalf("headers %v: %v", h, err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("headers %v (-want +got):\n%s", h, diff)
			}
		}
	})
}

func TestStatNeedsTensorAndSum(t *testing.T) {
	for _, missing := range []string{api.HeaderDType, api.HeaderShape, "ETag"} {
		h := http.Header{}
		api.Stat{Tensor: api.Tensor{Size: 1, DType: "U8", Shape: []int64{1}}}.Set(h)
		h.Del(missing)
		if got, err := api.ParseStat(h); err == nil {
			t.Errorf("without %s: %+v", missing, got)
		}
	}
}

func TestExpectationsSurviveFormatting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want api.Expect
		if rapid.Bool().Draw(t, "has size") {
			want.Size = rapid.Int64Range(1, math.MaxInt64).Draw(t, "size")
		}
		if rapid.Bool().Draw(t, "has dtype") {
			want.DType = rapid.SampledFrom(dtypes).Draw(t, "dtype")
		}
		if rapid.Bool().Draw(t, "has shape") {
			want.Shape = append([]int64{}, shapes().Draw(t, "shape")...)
		}
		h := http.Header{}
		want.Set(h)
		got, err := api.ParseExpect(h)
		if err != nil {
			t.Fatalf("headers %v: %v", h, err)
		}
		if len(h) == 0 {
			if got != nil {
				t.Fatalf("no headers parsed to %+v", got)
			}
			return
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Fatalf("headers %v (-want +got):\n%s", h, diff)
		}
	})
}

func TestExpectationsAreRefused(t *testing.T) {
	for name, value := range map[string]string{
		api.HeaderExpectSize:  "0",
		api.HeaderExpectDType: "bf16",
		api.HeaderExpectShape: "0",
		api.HeaderDType:       "BF16", // of a PUT
		"Keepsight-Expect":    "1",
	} {
		if got, err := api.ParseExpect(http.Header{name: {value}}); err == nil {
			t.Errorf("%s: %s parsed to %+v", name, value, got)
		} else if code := codeOf(t, err); code != api.InvalidHeader {
			t.Errorf("%s: %s: %v", name, value, err)
		}
	}
}

func TestExpectationsMatch(t *testing.T) {
	for _, test := range []struct {
		expect *api.Expect
		want   bool
	}{
		{nil, true},
		{&api.Expect{}, true},
		{&api.Expect{Size: 12, DType: "BF16", Shape: []int64{2, 3}}, true},
		{&api.Expect{Shape: []int64{2, 3}}, true},
		{&api.Expect{Size: 13}, false},
		{&api.Expect{DType: "F16"}, false},
		{&api.Expect{Shape: []int64{3, 2}}, false},
		{&api.Expect{Shape: []int64{}}, false},
	} {
		if got := test.expect.Matches(12, "BF16", []int64{2, 3}); got != test.want {
			t.Errorf("%+v matches: %v, want %v", test.expect, got, test.want)
		}
	}
	if !(&api.Expect{Shape: []int64{}}).Matches(4, "F32", nil) {
		t.Error("an empty shape does not match a scalar")
	}
}

// Tensor sizes have their rules in package tiers too, which must not import this one. The rules are the same.
func TestTensorSizesAgreeWithTiers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dtype := rapid.OneOf(rapid.SampledFrom(dtypes), rapid.SampledFrom([]string{"", "bf16", "F4", "BF16 "})).Draw(t, "dtype")
		dims := rapid.OneOf(rapid.Int64Range(-1, 5), rapid.Int64(), rapid.SampledFrom([]int64{1 << 31, 1 << 61, math.MaxInt64}))
		shape := rapid.SliceOfN(dims, 0, 18).Draw(t, "shape")
		here, err := api.TensorSize(dtype, shape)
		there, tiersErr := tiers.TensorSize(dtype, shape)
		if (err == nil) != (tiersErr == nil) || here != there {
			t.Fatalf("%s %v: api says %d, %v; tiers says %d, %v", dtype, shape, here, err, there, tiersErr)
		}
		if err != nil && codeOf(t, err) != api.InvalidTensor {
			t.Fatalf("%s %v: %v", dtype, shape, err)
		}
	})
}

func TestAcceptsSafetensors(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                            false,
		"*/*":                         false,
		"application/octet-stream":    false,
		"application/vnd.safetensors": true,
		"text/html, Application/VND.safetensors;q=0.9": true,
	} {
		if got := api.AcceptsSafetensors(http.Header{"Accept": {accept}}); got != want {
			t.Errorf("Accept: %s is %v, want %v", accept, got, want)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/json":                true,
		"application/json; charset=utf-8": true,
		"":                                false,
		"text/plain":                      false,
		"application/jsonp":               false,
	} {
		err := api.CheckJSON(http.Header{"Content-Type": {contentType}})
		if (err == nil) != want {
			t.Errorf("Content-Type: %s: %v", contentType, err)
		}
		if err != nil && codeOf(t, err) != api.UnsupportedMediaType {
			t.Errorf("Content-Type: %s: %v", contentType, err)
		}
	}
	if api.CheckJSON(http.Header{}) == nil {
		t.Error("no Content-Type is accepted")
	}
}
