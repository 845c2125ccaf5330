package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// serveOn serves the handler on TCP or on a unix socket and returns a client of it.
func serveOn(b *testing.B, network string, handler http.HandlerFunc) *client.Client {
	server := httptest.NewUnstartedServer(handler)
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

// sink is the least that a service can do: it reads bodies into one buffer and sends that buffer back.
func sink(b *testing.B, network string, size int) *client.Client {
	slab := payload(size)
	stat := api.Stat{Tensor: api.Tensor{Size: int64(size), DType: "U8", Shape: []int64{int64(size)}}, Sum: sumOf(slab)}
	return serveOn(b, network, func(w http.ResponseWriter, r *http.Request) {
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
	})
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

func BenchmarkPutFrom(b *testing.B) {
	body := payload(8 << 20)
	c := sink(b, "unix", len(body))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r := struct{ io.Reader }{bytes.NewReader(body)} // nothing but a reader
		if _, err := c.PutFrom(b.Context(), namespace, "a", r, int64(len(body)), api.PutHeader{}); err != nil {
			b.Fatal(err)
		}
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

// lookup64 is a lookup of 64 keys and the body of an answer that has them all.
func lookup64(b *testing.B) (api.LookupRequest, []byte) {
	request := api.LookupRequest{Keys: make([]string, 64)}
	response := api.LookupResponse{Results: make([]api.LookupResult, 64)}
	for i := range request.Keys {
		request.Keys[i] = fmt.Sprintf("%064x", i)
		response.Results[i] = api.LookupResult{State: api.Hit, Tier: "host", Tensor: api.Tensor{
			Size: 4096, DType: "BF16", Shape: []int64{16, 128}, Meta: []byte(`{"grid_thw":[1,52,92]}`),
		}}
	}
	body, err := json.Marshal(response)
	if err != nil {
		b.Fatal(err)
	}
	return request, body
}

// BenchmarkLookup64 is what an exchange of small bodies costs: the handler has its answer ready. p50-us is
// what an engine waits.
func BenchmarkLookup64(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			request, body := lookup64(b)
			c := serveOn(b, network, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", api.MediaJSON)
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				_, _ = w.Write(body)
			})
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				if _, err := c.Lookup(b.Context(), namespace, request); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-us")
		})
	}
}

// BenchmarkDecode64 is the part of BenchmarkLookup64 that makes values of the answer.
func BenchmarkDecode64(b *testing.B) {
	_, body := lookup64(b)
	for b.Loop() {
		if err := api.DecodeResponse(body, new(api.LookupResponse)); err != nil {
			b.Fatal(err)
		}
	}
}
