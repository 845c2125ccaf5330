package tiers

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNamesAreValidated(t *testing.T) {
	valid := []Name{
		{Scope{Namespace: "qwen2.5-vl-7b"}, "13835058055282163712"}, // SGLang: a decimal u64
		{Scope{Namespace: "0"}, "lora:af1349b9f5f9a1a6"},            // vLLM: lora name and blake3
		{Scope{Namespace: strings.Repeat("n", 128)}, "sku/1 a"},
		{Scope{Namespace: "a.b_c-d"}, "../../etc/passwd"},
		{Scope{Namespace: "a"}, strings.Repeat("k", 512)},
		{Scope{Namespace: "a"}, "bildschlüssel 画像"},
	}
	for _, n := range valid {
		if err := n.Validate(); err != nil {
			t.Errorf("%q / %q: %v", n.Namespace, n.Key, err)
		}
	}
	invalid := []Name{
		{Scope{Namespace: ""}, "k"},
		{Scope{Namespace: ".a"}, "k"},
		{Scope{Namespace: "-a"}, "k"},
		{Scope{Namespace: "A"}, "k"},
		{Scope{Namespace: "a/b"}, "k"},
		{Scope{Namespace: "ä"}, "k"},
		{Scope{Namespace: strings.Repeat("n", 129)}, "k"},
		{Scope{Namespace: "a"}, ""},
		{Scope{Namespace: "a"}, strings.Repeat("k", 513)},
		{Scope{Namespace: "a"}, "nul\x00"},
		{Scope{Namespace: "a"}, "line\n"},
		{Scope{Namespace: "a"}, "del\x7f"},
		{Scope{Namespace: "a"}, "c1\u0085"},
		{Scope{Namespace: "a"}, "\xff\xfe"},
	}
	for _, n := range invalid {
		if err := n.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q / %q: %v, want ErrInvalid", n.Namespace, n.Key, err)
		}
	}
}

// Names that differ in any field, or in where one field ends and the next begins, have different ids.
func TestIDsAreOfTheWholeName(t *testing.T) {
	names := []Name{
		{Scope{"t", "n", 0}, "k"}, {Scope{"u", "n", 0}, "k"}, {Scope{"t", "m", 0}, "k"},
		{Scope{"t", "n", 1}, "k"}, {Scope{"t", "n", 0}, "l"},
		{Scope{"tn", "", 0}, "k"}, {Scope{"", "tn", 0}, "k"}, {Scope{"t", "n", 0}, ""},
	}
	seen := make(map[ID]Name)
	for _, n := range names {
		if other, ok := seen[n.ID()]; ok {
			t.Errorf("%+v and %+v have the same id", n, other)
		}
		seen[n.ID()] = n
	}
}

func TestIDFramingIsInjective(t *testing.T) {
	field := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 0, 1}), 0, 3, -1)
	rapid.Check(t, func(t *rapid.T) {
		a := Name{Scope{field.Draw(t, "tenant"), field.Draw(t, "ns"), rapid.Uint64Range(0, 1).Draw(t, "epoch")}, field.Draw(t, "key")}
		b := Name{Scope{field.Draw(t, "tenant"), field.Draw(t, "ns"), rapid.Uint64Range(0, 1).Draw(t, "epoch")}, field.Draw(t, "key")}
		if (a == b) != (a.ID() == b.ID()) {
			t.Fatalf("%+v and %+v: equal names %v, equal ids %v", a, b, a == b, a.ID() == b.ID())
		}
	})
}

func TestTensorSize(t *testing.T) {
	cases := []struct {
		dtype string
		shape []int64
		size  int64 // 0: refused
	}{
		{"BF16", []int64{1196, 3584}, 8572928}, // one image of Qwen2.5-VL-7B
		{"F32", nil, 4},                        // a scalar
		{"U8", []int64{1}, 1},
		{"F64", []int64{1 << 59}, 1 << 62},
		{"F64", []int64{1 << 60}, 0},
		{"U8", []int64{1 << 32, 1 << 32}, 0}, // overflows to 0
		{"U8", []int64{3, 1 << 62, 1 << 62}, 0},
		{"U8", []int64{0}, 0},
		{"U8", []int64{-1}, 0},
		{"U8", []int64{-1, -1}, 0},
		{"bf16", []int64{1}, 0},
		{"", []int64{1}, 0},
		{"U8", make([]int64, 17), 0},
	}
	for _, c := range cases {
		size, err := TensorSize(c.dtype, c.shape)
		if c.size == 0 && !errors.Is(err, ErrInvalid) || c.size != 0 && (err != nil || size != c.size) {
			t.Errorf("TensorSize(%q, %v) = %d, %v; want %d", c.dtype, c.shape, size, err, c.size)
		}
	}
}

func TestMetaIsValidated(t *testing.T) {
	good := Meta{DType: "BF16", Shape: []int64{2, 3}, Size: 12, Extra: []byte(`{"grid_thw":[1,2,3]}`)}
	if err := good.Validate(); err != nil {
		t.Fatalf("a good meta: %v", err)
	}
	spoil := map[string]func(*Meta){
		"size":           func(m *Meta) { m.Size = 11 },
		"dtype":          func(m *Meta) { m.DType = "BF17" },
		"cost":           func(m *Meta) { m.Cost = -1 },
		"ttl":            func(m *Meta) { m.TTL = -1 },
		"extra syntax":   func(m *Meta) { m.Extra = []byte("{") },
		"extra length":   func(m *Meta) { m.Extra = []byte(`"` + strings.Repeat("x", MaxExtraLen) + `"`) },
		"header not ok":  func(m *Meta) { m.Safetensors = []byte("nope") },
		"extra is empty": func(m *Meta) { m.Extra = []byte{} },
	}
	for what, f := range spoil {
		m := good
		f(&m)
		if err := m.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
}
