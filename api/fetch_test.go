package api_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api"
)

func appendFrame(t rapid.TB, stream []byte, h api.FrameHeader, payload []byte) []byte {
	t.Helper()
	stream, err := api.AppendFrame(stream, h)
	if err != nil {
		t.Fatal(err)
	}
	return append(stream, payload...)
}

func hit(index int, size int64) api.FrameHeader {
	return api.FrameHeader{Index: index, State: api.Hit, Tensor: api.Tensor{Size: size, DType: "U8", Shape: []int64{size}}, Sum: api.Sum{1}}
}

func TestFramesSurviveTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "keys")
		var stream []byte
		var want []api.FrameHeader
		var payloads [][]byte
		for i := range n {
			h := api.FrameHeader{Index: i, State: api.Missing, Code: api.NotFound}
			var payload []byte
			if rapid.Bool().Draw(t, "hit") {
				h = hit(i, rapid.Int64Range(1, 300).Draw(t, "size"))
				h.Meta = metas().Draw(t, "meta")
				payload = bytes.Repeat([]byte{byte(i)}, int(h.Size))
			}
			stream = appendFrame(t, stream, h, payload)
			want = append(want, h)
			payloads = append(payloads, payload)
		}
		var r io.Reader = bytes.NewReader(stream)
		if rapid.Bool().Draw(t, "slow") {
			r = iotest.OneByteReader(r)
		}
		if rapid.Bool().Draw(t, "end with the last byte") {
			r = iotest.DataErrReader(r)
		}
		frames := api.NewFrameReader(r, n)
		for i := range n {
			got, err := frames.Next()
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if diff := cmp.Diff(want[i], got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("frame %d (-want +got):\n%s", i, diff)
			}
			if rapid.Bool().Draw(t, "skip") {
				continue
			}
			payload, err := io.ReadAll(frames)
			if err != nil || !bytes.Equal(payload, payloads[i]) {
				t.Fatalf("payload %d has %d bytes, want %d: %v", i, len(payload), len(payloads[i]), err)
			}
		}
		if h, err := frames.Next(); err != io.EOF {
			t.Fatalf("behind the last frame: %+v, %v", h, err)
		}
	})
}

// A meta of the largest size fits in a header, whatever is in it: a fetch must not fail where a GET succeeds.
func TestLargestFrameHeaderFits(t *testing.T) {
	h := hit(255, 1)
	h.Shape = slices.Repeat([]int64{1}, 16)
	for _, filler := range []string{"a", "<", `\"`} {
		text := `"` + strings.Repeat(filler, (api.MaxMetaLen-2)/len(filler)) + `"`
		h.Meta = json.RawMessage(text)
		frame := appendFrame(t, nil, h, nil)
		if len(frame) > api.MaxMetaLen+1024 {
			t.Errorf("a meta of %d bytes makes a frame header of %d", len(text), len(frame))
		}
	}
}

func TestFrameHeaderIsBounded(t *testing.T) {
	h := hit(0, 1)
	h.Meta = json.RawMessage(`"` + strings.Repeat("a", api.MaxFrameHeader) + `"`)
	if _, err := api.AppendFrame(nil, h); !errors.Is(err, api.ErrFrame) {
		t.Errorf("append: %v", err)
	}
	stream := binary.LittleEndian.AppendUint32(nil, api.MaxFrameHeader+1)
	if _, err := api.NewFrameReader(bytes.NewReader(stream), 1).Next(); !errors.Is(err, api.ErrFrame) {
		t.Errorf("read: %v", err)
	}
}

// Wherever a stream ends, the frames before are whole, and an end between frames is no error.
func TestFrameStreamEndsEarly(t *testing.T) {
	stream := appendFrame(t, nil, hit(0, 4), []byte("abcd"))
	first := len(stream)
	stream = appendFrame(t, stream, hit(1, 4), []byte("efgh"))
	for end := range len(stream) {
		frames := api.NewFrameReader(bytes.NewReader(stream[:end]), 2)
		whole := 0
		var err error
		for err == nil {
			if _, err = frames.Next(); err == nil {
				if _, err = io.ReadAll(frames); err == nil {
					whole++
				}
			}
		}
		between := end == 0 || end == first
		if between != (err == io.EOF) || !between && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("an end after %d bytes is %v", end, err)
		}
		if want := end / first; whole != want {
			t.Errorf("an end after %d bytes leaves %d frames, want %d", end, whole, want)
		}
	}
}

func TestFramesAreRefused(t *testing.T) {
	for name, header := range map[string]string{
		"not JSON":          `{"index":0`,
		"no state":          `{"index":0}`,
		"unknown state":     `{"index":0,"state":"pending"}`,
		"another index":     `{"index":1,"state":"miss"}`,
		"negative index":    `{"index":-1,"state":"miss"}`,
		"miss with bytes":   `{"index":0,"state":"miss","size":1}`,
		"hit without bytes": `{"index":0,"state":"hit","size":0,"dtype":"U8","shape":[0]}`,
		"size is not shape": `{"index":0,"state":"hit","size":3,"dtype":"U8","shape":[4]}`,
		"negative size":     `{"index":0,"state":"hit","size":-1,"dtype":"U8","shape":[-1]}`,
		"sum is not hex":    `{"index":0,"state":"hit","size":1,"dtype":"U8","shape":[1],"sum":"zz"}`,
		"sum in capitals":   `{"index":0,"state":"hit","size":1,"dtype":"U8","shape":[1],"sum":"00112233445566778899AABBCCDDEEFF"}`,
		"sum is too short":  `{"index":0,"state":"hit","size":1,"dtype":"U8","shape":[1],"sum":"00"}`,
	} {
		stream := binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
		stream = append(stream, header...)
		if h, err := api.NewFrameReader(bytes.NewReader(stream), 2).Next(); !errors.Is(err, api.ErrFrame) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

func FuzzFrameReader(f *testing.F) {
	stream, err := api.AppendFrame(nil, hit(0, 4))
	if err != nil {
		f.Fatal(err)
	}
	stream = append(stream, "abcd"...)
	f.Add(stream, true)
	f.Add([]byte{2, 0, 0, 0, '{', '}'}, false)
	f.Fuzz(func(t *testing.T, stream []byte, skip bool) {
		frames := api.NewFrameReader(bytes.NewReader(stream), 3)
		read := 0
		for i := 0; ; i++ {
			h, err := frames.Next()
			if err != nil {
				return
			}
			if h.Index != i || i >= 3 {
				t.Fatalf("frame %d has index %d", i, h.Index)
			}
			if skip {
				continue
			}
			payload, err := io.ReadAll(frames)
			read += len(payload)
			if err == nil && int64(len(payload)) != h.Size || read > len(stream) {
				t.Fatalf("frame %d has %d bytes of %d", i, len(payload), h.Size)
			}
		}
	})
}
