package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

func TestGetIntoShortBuffer(t *testing.T) {
	c := serve(t, new(fake))
	mustPut(t, c, "a", payload(1000))
	_, err := c.Get(t.Context(), namespace, "a", make([]byte, 999), client.GetOptions{})
	short, ok := errors.AsType[*client.ShortBufferError](err)
	if !ok || short.Need != 1000 || short.Have != 999 || !errors.Is(err, client.ErrShortBuffer) {
		t.Errorf("%v", err)
	}
}

func TestMisses(t *testing.T) {
	c := serve(t, new(fake))
	mustPut(t, c, "a", payload(8))
	buf := make([]byte, 8)
	_, err := c.Get(t.Context(), namespace, "b", buf, client.GetOptions{})
	if !errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrContractMismatch) {
		t.Errorf("absent: %v", err)
	}
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != 404 || e.RequestID != "req-1" || e.Detail != "a detail" {
		t.Errorf("absent: %+v", e)
	}
	_, err = c.Get(t.Context(), namespace, "a", buf, client.GetOptions{Expect: &api.Expect{Size: 9}})
	if !errors.Is(err, client.ErrNotFound) || !errors.Is(err, client.ErrContractMismatch) {
		t.Errorf("another size: %v", err)
	}
	_, err = c.Stat(t.Context(), namespace, "a", client.GetOptions{Expect: &api.Expect{DType: "BF16"}})
	if !errors.Is(err, client.ErrContractMismatch) { // HEAD has the code in a header only
		t.Errorf("another dtype: %v", err)
	}
	if stat, err := c.Get(t.Context(), namespace, "c", buf, client.GetOptions{Wait: time.Second}); err != nil || string(buf[:stat.Size]) != "waited" {
		t.Errorf("waited: %q, %v", buf, err)
	}
}

func TestOpen(t *testing.T) {
	c := serve(t, new(fake))
	body := payload(100 << 10)
	mustPut(t, c, "a", body)
	read := func(o client.OpenOptions) (*client.Stream, []byte) {
		t.Helper()
		s, err := c.Open(t.Context(), namespace, "a", o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		got, err := io.ReadAll(s)
		if err != nil {
			t.Fatal(err)
		}
		return s, got
	}
	if s, got := read(client.OpenOptions{}); !bytes.Equal(got, body) || s.Range != (api.Range{Length: int64(len(body))}) {
		t.Errorf("raw: %d bytes, %+v", len(got), s.Range)
	}
	if s, got := read(client.OpenOptions{Range: &api.Range{Start: 10, Length: 20}}); !bytes.Equal(got, body[10:30]) || s.Range != (api.Range{Start: 10, Length: 20}) {
		t.Errorf("part: %d bytes, %+v", len(got), s.Range)
	}
	if s, got := read(client.OpenOptions{Range: &api.Range{Start: 100<<10 - 1, Length: 20}}); !bytes.Equal(got, body[100<<10-1:]) || s.Range.Length != 1 {
		t.Errorf("last byte: %d bytes, %+v", len(got), s.Range)
	}
	s, got := read(client.OpenOptions{Safetensors: true})
	header := api.FormatSafetensors(s.Stat.Tensor)
	if !bytes.Equal(got, append(api.AppendSafetensorsPrefix(nil, header), body...)) || s.Stat.Size != int64(len(body)) {
		t.Errorf("safetensors: %d bytes of %+v", len(got), s.Stat)
	}
	_, err := c.Open(t.Context(), namespace, "a", client.OpenOptions{Range: &api.Range{Start: 1 << 20, Length: 1}})
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != api.RangeNotSatisfiable {
		t.Errorf("beyond the end: %v", err)
	}
}

// Whatever is wrong with an answer, no bytes are returned as an embedding.
func TestDamageIsNoticed(t *testing.T) {
	flip := func(b []byte) []byte {
		b = slices.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	for _, test := range []struct {
		name    string
		header  func(http.Header)
		payload func([]byte) []byte
		want    error
	}{
		{"a flipped bit", nil, flip, client.ErrCorrupt},
		{"another sum", set("ETag", api.FormatETag(api.Sum{})), nil, client.ErrCorrupt},
		{"no ETag", func(h http.Header) { h.Del("ETag") }, nil, client.ErrProtocol},
		{"ETag of another kind", set("ETag", `"1"`), nil, client.ErrProtocol},
		{"longer than its shape", nil, func(b []byte) []byte { return append(slices.Clone(b), 0) }, client.ErrProtocol},
		{"shorter than its shape", nil, func(b []byte) []byte { return b[1:] }, client.ErrProtocol},
		{"another shape", set(api.HeaderShape, "999"), nil, client.ErrProtocol},
		{"no shape", func(h http.Header) { h.Del(api.HeaderShape) }, nil, client.ErrProtocol},
		{"unknown dtype", set(api.HeaderDType, "F4"), nil, client.ErrProtocol},
		{"no length", func(h http.Header) { h.Del("Content-Length"); h.Set("Transfer-Encoding", "chunked") }, nil, client.ErrProtocol},
		{"a page", set("Content-Type", "text/html"), nil, client.ErrProtocol},
		{"a file", set("Content-Type", api.MediaSafetensors), nil, client.ErrProtocol},
		{"too much promised", set("Content-Length", "2000"), nil, client.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := new(fake)
			c := serve(t, f)
			mustPut(t, c, "a", payload(1000))
			f.damageHeader, f.damagePayload = test.header, test.payload
			if stat, err := c.Get(t.Context(), namespace, "a", make([]byte, 1<<16), client.GetOptions{}); !errors.Is(err, test.want) {
				t.Errorf("Get: %+v, %v", stat, err)
			}
			s, err := c.Open(t.Context(), namespace, "a", client.OpenOptions{})
			if err == nil {
				_, err = io.ReadAll(s)
				s.Close()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

func TestDamagedRangesAreNoticed(t *testing.T) {
	for _, contentRange := range []string{"", "bytes 0-9/1000", "bytes 10-29/1000", "bytes 10-19/900", "bytes 10-19/*"} {
		f := new(fake)
		c := serve(t, f)
		mustPut(t, c, "a", payload(1000))
		f.damageHeader = func(h http.Header) { h.Set("Content-Range", contentRange) }
		_, err := c.Open(t.Context(), namespace, "a", client.OpenOptions{Range: &api.Range{Start: 10, Length: 10}})
		if !errors.Is(err, client.ErrProtocol) {
			t.Errorf("Content-Range: %s: %v", contentRange, err)
		}
	}
}

func TestSafetensorsAreVerified(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	mustPut(t, c, "a", payload(1000))
	f.damagePayload = func(b []byte) []byte {
		b[len(b)-1] ^= 1
		return b
	}
	s, err := c.Open(t.Context(), namespace, "a", client.OpenOptions{Safetensors: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.ReadAll(s); !errors.Is(err, client.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

func TestOlderServiceThatDoesNotKnowExpectations(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	mustPut(t, c, "a", payload(1000))
	stat, err := c.Stat(t.Context(), namespace, "a", client.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.override = func(w http.ResponseWriter, r *http.Request) {
		stat.Set(w.Header())
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(payload(1000))
	}
	_, err = c.Get(t.Context(), namespace, "a", make([]byte, 1000), client.GetOptions{Expect: &api.Expect{DType: "BF16"}})
	if !errors.Is(err, client.ErrContractMismatch) {
		t.Errorf("%v", err)
	}
}
