package api_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api"
)

func TestShapes(t *testing.T) {
	for text, want := range map[string][]int64{
		"":                    {},
		"1196,3584":           {1196, 3584},
		"1":                   {1},
		"0,2":                 {0, 2}, // TensorSize refuses it
		"9223372036854775807": {math.MaxInt64},
	} {
		got, err := api.ParseShape(text)
		if err != nil || got == nil || cmp.Diff(want, got) != "" {
			t.Errorf("ParseShape(%q) = %v, %v; want %v", text, got, err, want)
		}
		if again := api.FormatShape(got); again != text {
			t.Errorf("FormatShape(%v) = %q, want %q", got, again, text)
		}
	}
	for _, text := range []string{
		",", "1,", ",1", "1,,2", "1, 2", " 1", "1 ", "-1", "+1", "01", "1e3", "0x10", "1.0", "1_000", "NaN", "١",
		"9223372036854775808", "99999999999999999999999", "1\n", strings.Repeat("1,", 16) + "1",
	} {
		if got, err := api.ParseShape(text); err == nil {
			t.Errorf("ParseShape(%q) = %v, want an error", text, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0":                    0,
		"0.085":                85 * time.Millisecond,
		"86400":                24 * time.Hour,
		"1.000000001":          time.Second + time.Nanosecond,
		"0.10":                 100 * time.Millisecond,
		"9223372035.999999999": 9223372035*time.Second + 999999999,
	} {
		if got, err := api.ParseSeconds(text); err != nil || got != want {
			t.Errorf("ParseSeconds(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ".", "1.", ".5", "-1", "+1", " 1", "1 ", "01", "1e3", "NaN", "Inf", "1.0000000001", "1.+5", "1.-5", "1,5",
		"9223372036", "18446744073709551616", "0x1p3",
	} {
		if got, err := api.ParseSeconds(text); err == nil {
			t.Errorf("ParseSeconds(%q) = %v, want an error", text, got)
		}
	}
}

func TestSecondsSurviveFormatting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 9223372035999999999).Draw(t, "nanoseconds"))
		if got, err := api.ParseSeconds(api.FormatSeconds(d)); err != nil || got != d {
			t.Fatalf("%v formats to %q, which parses to %v, %v", d, api.FormatSeconds(d), got, err)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, bad := range []string{"", "-1", "+1", "01", "1.0", " 1", "1e1", "9007199254740992"} {
		if n, err := api.ParseEpoch(bad); err == nil {
			t.Errorf("ParseEpoch(%q) = %d, want an error", bad, n)
		}
	}
	if n, err := api.ParseEpoch("9007199254740991"); err != nil || n != api.MaxEpoch {
		t.Errorf("the largest epoch parses to %d, %v", n, err)
	}
	if n, err := api.ParseSize("9223372036854775808"); err == nil {
		t.Errorf("ParseSize takes %d", n)
	}
	if d, err := api.ParseWait("60000"); err != nil || d != api.MaxWait {
		t.Errorf("the longest wait parses to %v, %v", d, err)
	}
	for _, bad := range []string{"", "-1", "60001", "1.5", "1s"} {
		_, err := api.ParseWait(bad)
		if err == nil || codeOf(t, err) != api.InvalidQuery {
			t.Errorf("ParseWait(%q): %v, want %s", bad, err, api.InvalidQuery)
		}
	}
}

func TestMetas(t *testing.T) {
	for _, good := range []string{`{"grid_thw":[1,52,92]}`, `[]`, `1`, `""`, `{"a": "\u732b"}`, `"` + strings.Repeat("a", api.MaxMetaLen-2) + `"`} {
		if meta, err := api.ParseMeta(good); err != nil || string(meta) != good {
			t.Errorf("ParseMeta(%q) = %q, %v", good, meta, err)
		}
	}
	for _, bad := range []string{
		"", "{", "{}x", " {}", "{} ", "nul", `{"a":"猫"}`, "{}\n", "[1,\t2]", "\x7f", `"` + strings.Repeat("a", api.MaxMetaLen-1) + `"`,
	} {
		if meta, err := api.ParseMeta(bad); err == nil {
			t.Errorf("ParseMeta(%q) = %q, want an error", bad, meta)
		}
	}
}

func TestWords(t *testing.T) {
	for _, good := range []string{"memory", "disk"} {
		if d, err := api.ParseDurability(good); err != nil || string(d) != good {
			t.Errorf("ParseDurability(%q) = %q, %v", good, d, err)
		}
	}
	for _, good := range []string{"created", "existing"} {
		if s, err := api.ParseStored(good); err != nil || string(s) != good {
			t.Errorf("ParseStored(%q) = %q, %v", good, s, err)
		}
	}
	for _, bad := range []string{"", "Disk", "disk ", "none"} {
		if d, err := api.ParseDurability(bad); err == nil {
			t.Errorf("ParseDurability(%q) = %q", bad, d)
		}
		if s, err := api.ParseStored(bad); err == nil {
			t.Errorf("ParseStored(%q) = %q", bad, s)
		}
	}
	for id, want := range map[string]bool{"3f6f-0e3c_5d.1b~": true, "": false, "a b": false, "a\n": false, "é": false, strings.Repeat("a", 129): false} {
		if got := api.ValidRequestID(id); got != want {
			t.Errorf("ValidRequestID(%q) = %v", id, got)
		}
	}
}

func TestDigests(t *testing.T) {
	const (
		sha256 = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
		sha512 = "sha-512=:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==:"
	)
	for text, want := range map[string]string{
		sha256:                sha256,
		sha512:                sha512,
		sha512 + "," + sha256: sha256 + ", " + sha512,
		"md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, " + sha256: sha256,
	} {
		got, err := api.ParseDigests(text)
		if err != nil || got.String() != want {
			t.Errorf("ParseDigests(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "sha-256", "sha-256=", "sha-256=:", "sha-256=::", "sha-256=47DE", "SHA-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
		"md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", // nothing that can be checked
		"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==:",
		"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU:",
		"sha-256=:47DEQpj8HBSa+/TImW+5JCeu\nQeRkm5NMpJWZG3hSuFU=:",
		sha256 + ", " + sha256, sha256 + ";a=1", sha256 + ",", "=" + sha256,
	} {
		if got, err := api.ParseDigests(bad); err == nil {
			t.Errorf("ParseDigests(%q) = %q, want an error", bad, got)
		}
	}
}

func TestETags(t *testing.T) {
	var sum api.Sum
	for i := range sum {
		sum[i] = byte(i * 17)
	}
	raw := api.FormatETag(sum)
	file := api.FormatSafetensorsETag(sum, []byte("{}"))
	if raw != `"00112233445566778899aabbccddeeff"` {
		t.Errorf("raw ETag is %s", raw)
	}
	if file == raw || file == api.FormatSafetensorsETag(sum, []byte("{} ")) {
		t.Errorf("files that differ have the ETag %s", file)
	}
	for _, etag := range []string{raw, file} {
		if got, err := api.ParseETag(etag); err != nil || got != sum {
			t.Errorf("ParseETag(%s) = %v, %v", etag, got, err)
		}
	}
	for _, bad := range []string{"", `"`, `""`, strings.ToUpper(raw), "W/" + raw, raw[1:], raw + " ", strings.Replace(file, "-", "_", 1), file[:len(file)-2] + `z"`, `"0` + raw[1:]} {
		if got, err := api.ParseETag(bad); err == nil {
			t.Errorf("ParseETag(%s) = %v, want an error", bad, got)
		}
	}
	for header, want := range map[string]bool{
		raw: true, "*": true, " * ": true, "W/" + raw: true, `"a", ` + raw: true, `"a",W/"b" , ` + raw + `, "c"`: true,
		"": false, `"a"`: false, file: false, "a, " + raw: false, `"a`: false, raw[1 : len(raw)-1]: false,
	} {
		if got := api.MatchETag(header, raw); got != want {
			t.Errorf("MatchETag(%s) = %v, want %v", header, got, want)
		}
	}
}

func TestRanges(t *testing.T) {
	whole := api.Range{}
	for _, test := range []struct {
		header  string
		want    api.Range
		partial bool
	}{
		{"bytes=0-0", api.Range{Start: 0, Length: 1}, true},
		{"bytes=2-5", api.Range{Start: 2, Length: 4}, true},
		{"bytes=9-", api.Range{Start: 9, Length: 1}, true},
		{"bytes=0-99999999999999999999", api.Range{Start: 0, Length: 10}, true},
		{"bytes=-3", api.Range{Start: 7, Length: 3}, true},
		{"bytes=-99999999999999999999", api.Range{Start: 0, Length: 10}, true},
		{"", whole, false},
		{"bytes", whole, false},
		{"bytes=", whole, false},
		{"bytes=-", whole, false},
		{"bytes=5-2", whole, false},
		{"bytes=0-1,3-4", whole, false},
		{"bytes= 0-1", whole, false},
		{"bytes=+1-2", whole, false},
		{"bytes=1--2", whole, false},
		{"Bytes=0-1", whole, false},
		{"tensors=0-1", whole, false},
	} {
		got, partial, err := api.ParseRange(test.header, 10)
		if err != nil || got != test.want || partial != test.partial {
			t.Errorf("ParseRange(%q, 10) = %v, %v, %v; want %v, %v", test.header, got, partial, err, test.want, test.partial)
		}
	}
	for _, header := range []string{"bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"} {
		_, _, err := api.ParseRange(header, 10)
		if err == nil || codeOf(t, err) != api.RangeNotSatisfiable {
			t.Errorf("ParseRange(%q, 10): %v, want %s", header, err, api.RangeNotSatisfiable)
		}
	}
	if got := api.UnsatisfiedContentRange(10); got != "bytes */10" {
		t.Errorf("UnsatisfiedContentRange(10) = %q", got)
	}
	for _, bad := range []string{"", "bytes */10", "bytes 0-10/10", "bytes 5-4/10", "bytes 0-1/*", "0-1/10", "bytes 0-1", "bytes 00-1/10"} {
		if r, size, err := api.ParseContentRange(bad); err == nil {
			t.Errorf("ParseContentRange(%q) = %v, %d", bad, r, size)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-4095", int64(8192))
	f.Add("bytes=-1", int64(1))
	f.Add("bytes=7-", int64(3))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size <= 0 {
			return // embeddings are not empty
		}
		r, partial, err := api.ParseRange(header, size)
		if err != nil || !partial {
			return
		}
		if r.Start < 0 || r.Length < 1 || r.Start+r.Length > size {
			t.Fatalf("ParseRange(%q, %d) = %+v", header, size, r)
		}
		again, partial, err := api.ParseRange(r.String(), size)
		if err != nil || !partial || again != r {
			t.Fatalf("%q parsed to %+v, which formats to %q and parses to %+v", header, r, r, again)
		}
		content, total, err := api.ParseContentRange(r.ContentRange(size))
		if err != nil || content != r || total != size {
			t.Fatalf("%+v of %d formats to %q and parses to %+v, %d, %v", r, size, r.ContentRange(size), content, total, err)
		}
	})
}

// FuzzValues feeds one text to every parser of a header value. What has one spelling comes back in it.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		"1196,3584", "0.085", "86400", "disk", "created", `{"grid_thw":[1,2,3]}`, "6f1b2c3d4e5f6071-42",
		"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", `"00112233445566778899aabbccddeeff"`, `W/"a", "b"`, "bytes 0-1/2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if shape, err := api.ParseShape(s); err == nil && api.FormatShape(shape) != s {
			t.Errorf("shape %q comes back as %q", s, api.FormatShape(shape))
		}
		if epoch, err := api.ParseEpoch(s); err == nil && api.FormatEpoch(epoch) != s {
			t.Errorf("epoch %q comes back as %q", s, api.FormatEpoch(epoch))
		}
		if d, err := api.ParseSeconds(s); err == nil {
			if again, err := api.ParseSeconds(api.FormatSeconds(d)); d < 0 || err != nil || again != d {
				t.Errorf("%q parses to %v, which comes back as %v, %v", s, d, again, err)
			}
		}
		if id, err := api.ParseEventID(s); err == nil && id.String() != s {
			t.Errorf("event id %q comes back as %q", s, id)
		}
		if d, err := api.ParseDigests(s); err == nil {
			if again, err := api.ParseDigests(d.String()); err != nil || again.String() != d.String() {
				t.Errorf("digests %q come back as %q, %v", s, again, err)
			}
		}
		if sum, err := api.ParseETag(s); err == nil && !strings.HasPrefix(s, strings.TrimSuffix(api.FormatETag(sum), `"`)) {
			t.Errorf("ETag %q parses to %s", s, sum)
		}
		if meta, err := api.ParseMeta(s); err == nil && string(meta) != s {
			t.Errorf("meta %q comes back as %q", s, meta)
		}
		if r, size, err := api.ParseContentRange(s); err == nil && r.ContentRange(size) != s {
			t.Errorf("Content-Range %q comes back as %q", s, r.ContentRange(size))
		}
		if d, err := api.ParseWait(s); err == nil && (d < 0 || d > api.MaxWait) {
			t.Errorf("wait %q parses to %v", s, d)
		}
		api.MatchETag(s, `"a"`)
	})
}
