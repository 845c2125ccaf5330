package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// The body of an embedding that is there is never sent.
func TestPutAsksFirst(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	body := payload(1 << 20)
	mustPut(t, c, "a", body)
	sent := 0
	count := readerFunc(func(p []byte) (int, error) {
		sent += len(p)
		return bytes.NewReader(body).Read(p)
	})
	stored, err := c.PutFrom(t.Context(), namespace, "a", count, int64(len(body)), api.PutHeader{})
	if err != nil || stored != api.StoredExisting || sent != 0 {
		t.Errorf("%s, %v, and %d bytes were sent", stored, err, sent)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestPutFrom(t *testing.T) {
	c := serve(t, new(fake))
	body := payload(300 << 10)
	stored, err := c.PutFrom(t.Context(), namespace, "a", iotest.HalfReader(bytes.NewReader(body)), int64(len(body)), api.PutHeader{})
	if err != nil || stored != api.StoredCreated {
		t.Fatalf("%s, %v", stored, err)
	}
	buf := make([]byte, len(body))
	if _, err := c.Get(t.Context(), namespace, "a", buf, client.GetOptions{}); err != nil || !bytes.Equal(buf, body) {
		t.Errorf("other bytes came back: %v", err)
	}
	broken := errors.New("broken")
	for _, size := range []int64{10, 300 << 10} {
		if _, err := c.PutFrom(t.Context(), namespace, "b", iotest.ErrReader(broken), size, api.PutHeader{}); !errors.Is(err, broken) {
			t.Errorf("a reader of %d bytes that fails: %v", size, err)
		}
		if _, err := c.PutFrom(t.Context(), namespace, "b", strings.NewReader("short"), size, api.PutHeader{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a reader that ends before %d bytes: %v", size, err)
		}
	}
}

func TestPutIsRefused(t *testing.T) {
	c := serve(t, new(fake))
	mustPut(t, c, "a", []byte("first"))
	put := func(body string, h api.PutHeader) error {
		_, err := c.Put(t.Context(), namespace, "a", []byte(body), h)
		return err
	}
	if stored, err := c.Put(t.Context(), namespace, "a", []byte("first"), api.PutHeader{}); err != nil || stored != api.StoredExisting {
		t.Errorf("equal bytes: %s, %v", stored, err)
	}
	if err := put("other", api.PutHeader{}); !errors.Is(err, client.ErrExistsDifferent) {
		t.Errorf("other bytes: %v", err)
	}
	if err := put("other", api.PutHeader{IfAbsent: true}); !errors.Is(err, client.ErrAlreadyExists) {
		t.Errorf("if absent: %v", err)
	}
	// What can be known here is not sent.
	for name, err := range map[string]error{
		"empty":         put("", api.PutHeader{}),
		"wrong length":  put("abc", api.PutHeader{DType: "BF16", Shape: []int64{2}}),
		"unknown dtype": put("abc", api.PutHeader{DType: "bf16", Shape: []int64{2}}),
	} {
		if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.InvalidTensor {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A service may answer while the transport still reads the body. PutFrom returns when nobody does any more:
// here the second read of the body goes on until the transport has given the connection up.
func TestPutGivesTheBodyBack(t *testing.T) {
	gone := make(chan struct{})
	f := &fake{override: func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		_, _ = r.Body.Read(make([]byte, 1)) // asks for the body
		w.Header().Set(api.HeaderError, string(api.NoMemory))
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "{}")
		if err := control.Flush(); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, r.Body) // until the connection ends
	}}
	c := serve(t, f)
	var reads, finished atomic.Int32
	body := readerFunc(func(p []byte) (int, error) {
		if reads.Add(1) == 2 {
			<-gone
		}
		finished.Add(1)
		return len(p), nil
	})
	if _, err := c.PutFrom(t.Context(), namespace, "a", body, 1<<20, api.PutHeader{}); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
	if reads.Load() < 2 || reads.Load() != finished.Load() {
		t.Errorf("PutFrom returned with %d reads begun and %d finished", reads.Load(), finished.Load())
	}
}

func TestStoredMustFitTheStatus(t *testing.T) {
	for _, stored := range []string{"", "existing", "maybe"} {
		f := &fake{damageHeader: func(h http.Header) { h.Set(api.HeaderStored, stored) }}
		c := serve(t, f)
		if got, err := c.Put(t.Context(), namespace, "a", []byte("a"), api.PutHeader{}); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("201 %q: %s, %v", stored, got, err)
		}
	}
}
