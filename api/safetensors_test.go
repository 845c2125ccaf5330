package api_test

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api"
)

func TestSafetensorsSurviveFormatting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := tensors().Draw(t, "tensor")
		header := api.FormatSafetensors(want)
		file := api.AppendSafetensorsPrefix(nil, header)
		if len(file)%8 != 0 {
			t.Fatalf("the tensor begins at %d", len(file))
		}
		n, err := api.SafetensorsHeaderLen([8]byte(file[:8]), int64(len(file))+want.Size)
		if err != nil || n != len(header) {
			t.Fatalf("header of %d bytes, want %d: %v", n, len(header), err)
		}
		got, err := api.ParseSafetensors(file[8:8+n], want.Size)
		if err != nil {
			t.Fatalf("%s: %v", header, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", header, diff)
		}
	})
}

// What other writers of the format produce: the layout of the safetensors library in Python and Rust.
func TestSafetensorsOfOthers(t *testing.T) {
	for _, test := range []struct {
		name   string
		header string
		size   int64
		want   api.Tensor
	}{
		{
			"one tensor", `{"image_embeds":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}      `, 12,
			api.Tensor{Size: 12, DType: "BF16", Shape: []int64{2, 3}},
		},
		{
			"metadata", `{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4,
			api.Tensor{Size: 4, DType: "F32", Shape: []int64{1}},
		},
		{
			"scalar", `{"x":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}`, 8,
			api.Tensor{Size: 8, DType: "F64", Shape: []int64{}},
		},
		{
			"two tensors in another order than their bytes",
			`{"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 7,
			api.Tensor{Size: 7, DType: "U8", Shape: []int64{7}},
		},
		{
			"meta", `{"__metadata__":{"keepsight.meta":"{\"t\":[1]}"},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1,
			api.Tensor{Size: 1, DType: "U8", Shape: []int64{1}, Meta: json.RawMessage(`{"t":[1]}`)},
		},
	} {
		got, err := api.ParseSafetensors([]byte(test.header), test.size)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestSafetensorsAreRefused(t *testing.T) {
	const good = `{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`
	if _, err := api.ParseSafetensors([]byte(good), 4); err != nil {
		t.Fatalf("the header that the others are made of: %v", err)
	}
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, header := range map[string]string{
		"nothing":              ``,
		"space before":         ` ` + good,
		"not an object":        `[]`,
		"two objects":          good + good,
		"truncated":            good[:len(good)-1],
		"no tensors":           `{}`,
		"only metadata":        `{"__metadata__":{}}`,
		"not UTF-8":            swap(`"x"`, "\"\xff\""),
		"duplicate name":       swap(`{"x"`, `{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x"`),
		"same name, escaped":   swap(`{"x"`, `{"\u0078":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x"`),
		"duplicate field":      swap(`"dtype":"U8"`, `"dtype":"U8","dtype":"I8"`),
		"duplicate metadata":   swap(`{"x"`, `{"__metadata__":{},"__metadata__":{},"x"`),
		"duplicate in it":      swap(`{"x"`, `{"__metadata__":{"a":"1","a":"2"},"x"`),
		"metadata of numbers":  swap(`{"x"`, `{"__metadata__":{"a":1},"x"`),
		"metadata of null":     swap(`{"x"`, `{"__metadata__":{"a":null},"x"`),
		"metadata is null":     swap(`{"x"`, `{"__metadata__":null,"x"`),
		"meta is not JSON":     swap(`{"x"`, `{"__metadata__":{"keepsight.meta":"{"},"x"`),
		"tensor is null":       `{"x":null}`,
		"unknown field":        swap(`"dtype"`, `"order":"C","dtype"`),
		"unknown dtype":        swap(`U8`, `F4`),
		"dtype in lower case":  swap(`U8`, `u8`),
		"field in capitals":    swap(`"dtype"`, `"DType"`),
		"no dtype":             swap(`"dtype":"U8",`, ``),
		"no shape":             swap(`"shape":[4],`, ``),
		"shape is null":        swap(`[4]`, `null`),
		"negative dimensions":  swap(`[4]`, `[-2,-2]`),
		"empty tensor":         swap(`[4]`, `[0]`),
		"overflow":             swap(`[4]`, `[4294967296,4294967296,4]`),
		"fraction":             swap(`[4]`, `[4.0]`),
		"no offsets":           swap(`,"data_offsets":[0,4]`, ``),
		"one offset":           swap(`[0,4]`, `[4]`),
		"three offsets":        swap(`[0,4]`, `[0,4,4]`),
		"negative offset":      swap(`[0,4]`, `[-4,0]`),
		"backwards":            swap(`[0,4]`, `[4,0]`),
		"hole in front":        swap(`[0,4]`, `[1,5]`),
		"longer than shape":    swap(`[4]`, `[3]`),
		"beyond the file":      swap(`[4],"data_offsets":[0,4]`, `[8],"data_offsets":[0,8]`),
		"bytes behind":         swap(`[4],"data_offsets":[0,4]`, `[3],"data_offsets":[0,3]`),
		"hole between":         `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`,
		"overlap":              `{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`,
		"the same bytes twice": `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}`,
	} {
		got, err := api.ParseSafetensors([]byte(header), 4)
		if err == nil {
			t.Errorf("%s: %s parsed to %+v", name, header, got)
		} else if code := codeOf(t, err); code != api.InvalidTensor {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSafetensorsHeaderLen(t *testing.T) {
	for _, test := range []struct {
		header  uint64
		file    int64
		refused bool
	}{
		{100, 109, false},
		{100, 108, true}, // no tensor bytes
		{100, 50, true},
		{api.MaxSafetensorsHeader, 1 << 20, false},
		{api.MaxSafetensorsHeader + 1, 1 << 20, true},
		{1 << 63, 1 << 20, true},
		{1<<64 - 1, 1 << 20, true},
	} {
		n, err := api.SafetensorsHeaderLen([8]byte(binary.LittleEndian.AppendUint64(nil, test.header)), test.file)
		if (err != nil) != test.refused || err == nil && uint64(n) != test.header {
			t.Errorf("a header of %d in a file of %d: %d, %v", test.header, test.file, n, err)
		}
	}
}

func FuzzParseSafetensors(f *testing.F) {
	f.Add([]byte(`{"x":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}`), int64(12))
	f.Add([]byte(`{"__metadata__":{"keepsight.meta":"1"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`), int64(2))
	f.Fuzz(func(t *testing.T, header []byte, size int64) {
		got, err := api.ParseSafetensors(header, size)
		if err != nil {
			codeOf(t, err)
			return
		}
		if err := got.Validate(); err != nil || got.Size != size {
			t.Fatalf("%s of %d bytes parsed to %+v: %v", header, size, got, err)
		}
		again, err := api.ParseSafetensors(api.FormatSafetensors(got), size)
		if diff := cmp.Diff(got, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%s: %v (-parsed +formatted and parsed)\n%s", header, err, diff)
		}
	})
}
