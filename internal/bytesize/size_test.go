package bytesize

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Size
	}{
		{"0", Size{}},
		{"4096", Bytes(4096)},
		{"1B", Bytes(1)},
		{"8GiB", Bytes(8 << 30)},
		{"8 GiB", Bytes(8 << 30)},
		{"512MiB", Bytes(512 << 20)},
		{"1.5KiB", Bytes(1536)},
		{"0.1KiB", Bytes(102)},
		{"2TiB", Bytes(2 << 40)},
		{"1PiB", Bytes(1 << 50)},
		{"8GB", Bytes(8e9)},
		{"64kB", Bytes(64000)},
		{"9223372036854775807", Bytes(math.MaxInt64)},
		{"25%", Percent(25)},
		{"12.5%", Size{basisPoints: 1250}},
		{"100%", Percent(100)},
		{"0%", Size{}},
	} {
		got, err := Parse(tc.in)
		if err != nil || got != tc.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", tc.in, got, err, tc.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "GiB", "%", ".", ".5GiB", "1..5GiB", "-1", "+1", "-1GiB", "1e9", "1/2", "0x10", "8gib", "8G",
		"8  GiB", " 8GiB", "8GiB ", "101%", "100.01%", "-1%", "9223372036854775808", "8193PiB", "NaN", "Inf",
		"1000000000000000000000000000000000000000",
	} {
		if got, err := Parse(in); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %v, %v; want ErrSyntax", in, got, err)
		}
	}
}

func TestShareOfTotal(t *testing.T) {
	for _, tc := range []struct {
		size  string
		total int64
		want  int64
	}{
		{"25%", 8 << 30, 2 << 30},
		{"25%", 3, 0},
		{"50%", 3, 1},
		{"100%", math.MaxInt64, math.MaxInt64},
		{"0%", 1 << 40, 0},
		{"1GiB", 1, 1 << 30},
	} {
		size, err := Parse(tc.size)
		if err != nil {
			t.Fatal(err)
		}
		if got := size.Of(tc.total); got != tc.want {
			t.Errorf("%s of %d = %d, want %d", tc.size, tc.total, got, tc.want)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		n    int64
		want string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1 KiB"}, {8572928, "8.18 MiB"}, {512 << 20, "512 MiB"},
		{1023 << 20, "1023 MiB"}, {3 << 29, "1.5 GiB"}, {math.MaxInt64, "8192 PiB"},
	} {
		if got := Format(tc.n); got != tc.want {
			t.Errorf("Format(%d) = %q, want %q", tc.n, got, tc.want)
		}
	}
}

func TestSizeSurvivesText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := Bytes(rapid.Int64Min(0).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "share") {
			size = Size{basisPoints: rapid.Int64Range(0, whole).Draw(t, "basisPoints")}
		}
		text, err := json.Marshal(size)
		if err != nil {
			t.Fatal(err)
		}
		var back Size
		if err := json.Unmarshal(text, &back); err != nil || back != size {
			t.Fatalf("%s came back as %v, %v", text, back, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"8GiB", "25%", "0.5KiB", "1e9", "９GiB", "100.00%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		size, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatalf("Parse(%q): %v does not wrap ErrSyntax", s, err)
			}
			return
		}
		if n := size.Of(math.MaxInt64); n < 0 {
			t.Fatalf("Parse(%q) is %d bytes", s, n)
		}
		back, err := Parse(size.String())
		if err != nil || back != size {
			t.Fatalf("%q printed as %q came back as %v, %v", s, size, back, err)
		}
	})
}
