package command

import (
	"bytes"
	"strings"
	"testing"
)

const hashOfABC = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"

func TestMediaHash(t *testing.T) {
	// The vectors are those of the BLAKE3 specification.
	for content, want := range map[string]string{
		"":    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		"abc": hashOfABC,
	} {
		if got, err := mediaHash(strings.NewReader(content)); err != nil || got != want {
			t.Errorf("media hash of %q is %s, %v; want %s", content, got, err, want)
		}
	}
}

func TestKeyOfFiles(t *testing.T) {
	abc := writeFile(t, "abc", []byte("abc"))
	if got, want := must(t, keepsight(t, "key", abc)), hashOfABC+"\n"; got != want {
		t.Errorf("one file: %q, want %q", got, want)
	}
	if got, want := must(t, keepsight(t, "key", abc, abc)), strings.Repeat(hashOfABC+"  "+abc+"\n", 2); got != want {
		t.Errorf("two files: %q, want %q", got, want)
	}
	var out, complaint bytes.Buffer
	code := Run(t.Context(), []string{"key", "-"}, Streams{In: strings.NewReader("abc"), Out: &out, Err: &complaint})
	if got := must(t, result{code, out.String(), complaint.String()}); got != hashOfABC+"\n" {
		t.Errorf("the standard input: %q", got)
	}
	wantFailure(t, keepsight(t, "key", abc+".absent"), exitFailed, "no such file")
}
