package client_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// sink is the least that a service can do: it reads bodies into one buffer and sends that buffer back.
func sink(b *testing.B, network string, size int) *client.Client {
	slab := payload(size)
	stat := api.Stat{Tensor: api.Tensor{Size: int64(size), DType: "U8", Shape: []int64{int64(size)}}, Sum: sumOf(slab)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			if _, err := io.ReadFull(r.Body, slab); err != nil {
				b.Error(err)
			}
			w.Header().Set(api.HeaderStored, string(api.StoredCreated))
			w.WriteHeader(http.StatusCreated)
			return
		}
		stat.Set(w.Header())
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = w.Write(slab)
	}))
	b.Cleanup(server.Close)
	if network == "tcp" {
		server.Start()
		return connect(b, server.URL)
	}
	socket := filepath.Join(b.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	return connect(b, "unix://"+socket)
}

func BenchmarkPut(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			body := payload(8 << 20)
			c := sink(b, network, len(body))
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := c.Put(b.Context(), namespace, "a", body, api.PutHeader{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			buf := make([]byte, 8<<20)
			c := sink(b, network, len(buf))
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := c.Get(b.Context(), namespace, "a", buf, client.GetOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
