package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// benchClients are our own client over both transports.
func (v *service) benchClients(b *testing.B) map[string]*client.Client {
	b.Helper()
	all := make(map[string]*client.Client)
	for name, url := range map[string]string{"unix": "unix://" + v.config.Socket, "tcp": "http://" + v.addrs[0].String()} {
		c, err := client.New(client.Options{BaseURL: url})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Close)
		all[name] = c
	}
	return all
}

// prefaulted is as in production: the first use of memory is not what is measured.
func prefaulted(c *Config) { c.lazy = false }

// BenchmarkLookup64 asks about 64 hits with one client over the unix socket. p50-us is what an engine waits.
// "client" is our own client, which makes values of the answer; "raw" frames its HTTP itself and only counts
// the hits, as the exchanges do that the service is compared with.
func BenchmarkLookup64(b *testing.B) {
	v := start(b, prefaulted)
	c := v.benchClients(b)["unix"]
	request := api.LookupRequest{Keys: make([]string, 64)}
	for i := range request.Keys {
		request.Keys[i] = fmt.Sprintf("%064x", i)
		h := api.PutHeader{DType: "BF16", Shape: []int64{16, 128}, Meta: []byte(`{"grid_thw":[1,52,92]}`)}
		if _, err := c.Put(b.Context(), "ns", request.Keys[i], payload(request.Keys[i], 4096), h); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("client", func(b *testing.B) {
		timeEach(b, func() {
			answer, err := c.Lookup(context.Background(), "ns", request)
			if err != nil || answer.Results[63].State != api.Hit {
				b.Fatal(answer, err)
			}
		})
	})
	b.Run("raw", func(b *testing.B) {
		conn, err := net.Dial("unix", v.config.Socket)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		body, err := json.Marshal(request)
		if err != nil {
			b.Fatal(err)
		}
		head := fmt.Sprintf("POST /v1/namespaces/ns/lookup HTTP/1.1\r\nHost: localhost\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
		exchange := append([]byte(head), body...)
		r := bufio.NewReaderSize(conn, 64<<10)
		buf := make([]byte, 64<<10)
		timeEach(b, func() {
			if _, err := conn.Write(exchange); err != nil {
				b.Fatal(err)
			}
			if hits := countHits(r, buf); hits != 64 {
				b.Fatalf("%d hits", hits)
			}
		})
	})
}

// timeEach runs the exchange and reports percentiles, which tell more than a mean.
func timeEach(b *testing.B, exchange func()) {
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		exchange()
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-us")
}

// countHits reads one answer to a lookup.
func countHits(r *bufio.Reader, buf []byte) int {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return -1
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return -1
			}
		}
		if len(line) == 2 {
			break
		}
	}
	if _, err := io.ReadFull(r, buf[:length]); err != nil {
		return -1
	}
	return bytes.Count(buf[:length], []byte(`"state":"hit"`))
}

const benchSize = 8 << 20

// BenchmarkPut stores 8 MiB under new keys with one client; the disk tier writes behind.
func BenchmarkPut(b *testing.B) {
	for _, transport := range []string{"unix", "tcp"} {
		b.Run(transport, func(b *testing.B) {
			v := start(b, prefaulted, func(c *Config) { c.MemoryBytes, c.DiskBytes = 1<<30, 0 })
			c := v.benchClients(b)[transport]
			body := payload("k", benchSize)
			b.SetBytes(benchSize)
			n := 0
			for b.Loop() {
				n++
				if _, err := c.Put(context.Background(), "ns", fmt.Sprint("k", n), body, api.PutHeader{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGet reads 8 MiB from host memory with one client.
func BenchmarkGet(b *testing.B) {
	for _, transport := range []string{"unix", "tcp"} {
		b.Run(transport, func(b *testing.B) {
			v := start(b, prefaulted, noDisk)
			c := v.benchClients(b)[transport]
			body := payload("k", benchSize)
			if _, err := c.Put(b.Context(), "ns", "k", body, api.PutHeader{}); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(benchSize)
			for b.Loop() {
				if _, err := c.Get(context.Background(), "ns", "k", body, client.GetOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFetch reads 8 MiB from host memory as one embedding of a GET, and as several of one fetch: what an engine
// saves by asking for all of a request's images at once.
func BenchmarkFetch(b *testing.B) {
	const size = 1 << 20
	keys := make([]string, benchSize/size)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	for _, transport := range []string{"unix", "tcp"} {
		v := start(b, prefaulted, noDisk)
		c := v.benchClients(b)[transport]
		body := payload("k", benchSize)
		for i, key := range keys {
			if _, err := c.Put(b.Context(), "ns", key, body[i*size:][:size], api.PutHeader{}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(transport+"/gets", func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				for i, key := range keys {
					if _, err := c.Get(context.Background(), "ns", key, body[i*size:][:size], client.GetOptions{}); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		b.Run(transport+"/fetch", func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				results, err := c.Fetch(context.Background(), "ns", api.FetchRequest{Keys: keys},
					func(i int, _ api.Tensor) []byte { return body[i*size:][:size] })
				if err != nil || results[len(keys)-1].State != api.Hit {
					b.Fatal(results, err)
				}
			}
		})
	}
}
