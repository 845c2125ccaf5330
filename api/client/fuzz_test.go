package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// A parrot answers every connection with the same bytes, whatever is asked.
type parrot struct {
	mu     sync.Mutex
	answer []byte
}

func (p *parrot) set(answer []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// listen serves on a unix socket until the test ends, and returns the socket's URL.
func (p *parrot) listen(t testing.TB) string {
	return listen(t, func(_ int, conn *peer) {
		if _, err := http.ReadRequest(conn.in); err != nil {
			return
		}
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		_, _ = conn.Write(answer) // the client may have heard enough
		_ = conn.Conn.(*net.UnixConn).CloseWrite()
		conn.gone()
	})
}

// FuzzAnswers gives the client arbitrary bytes for an answer. Every call returns, and what a GET accepts
// has the length and the checksum that came with it.
func FuzzAnswers(f *testing.F) {
	var stat bytes.Buffer
	header := http.Header{}
	api.Stat{Tensor: api.Tensor{Size: 4, DType: "U8", Shape: []int64{4}}, Sum: sumOf([]byte("abcd"))}.Set(header)
	_ = header.Write(&stat)
	frame, err := api.AppendFrame(nil, api.FrameHeader{State: api.Hit, Tensor: api.Tensor{Size: 4, DType: "U8", Shape: []int64{4}}, Sum: sumOf([]byte("abcd"))})
	if err != nil {
		f.Fatal(err)
	}
	lookup := `{"epoch":1,"claim":null,"pin":null,"results":[{"state":"hit","size":4,"dtype":"U8","shape":[4]}]}`
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + stat.String() + "\r\nabcd",
		"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n" + stat.String() + "\r\nabcd",
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n" + stat.String() + "\r\nabcd",
		fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(lookup), lookup),
		"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.keepsight.fetch\r\n\r\n" + string(frame) + "abcd",
		"HTTP/1.1 404 Not Found\r\nKeepsight-Error: not_found\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 503 Service Unavailable\r\nKeepsight-Error: no_memory\r\nRetry-After: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"HTTP/1.1 201 Created\r\nKeepsight-Stored: created\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nKeepsight-Stored: created\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
		"HTTP/1.0 200 OK\r\nKeepsight-Meta: \x80\r\n folded\r\n\r\n{}",
		"",
	} {
		f.Add([]byte(seed))
	}
	p := new(parrot)
	c := connect(f, p.listen(f))
	f.Fuzz(func(t *testing.T, answer []byte) {
		p.set(answer)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		buf := make([]byte, 64<<10)
		if got, err := c.Get(ctx, namespace, "a", buf, client.GetOptions{}); err == nil && sumOf(buf[:got.Size]) != got.Sum {
			t.Errorf("Get accepts %q as %+v", buf[:got.Size], got)
		}
		if s, err := c.Open(ctx, namespace, "a", client.OpenOptions{Safetensors: true, Range: &api.Range{Start: 0, Length: 64}}); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(s, 1<<20))
			s.Close()
		}
		results, err := c.Fetch(ctx, namespace, api.FetchRequest{Keys: []string{"a"}}, func(int, api.Tensor) []byte { return buf })
		if len(results) != 1 || results[0].State == api.Hit && sumOf(buf[:results[0].Size]) != results[0].Sum {
			t.Errorf("Fetch accepts %+v, %v", results, err)
		}
		if got, err := c.Lookup(ctx, namespace, api.LookupRequest{Keys: []string{"a"}}); err == nil && len(got.Results) != 1 {
			t.Errorf("Lookup accepts %+v", got)
		}
		_, _ = c.Stat(ctx, namespace, "a", client.GetOptions{})
		_, _ = c.Put(ctx, namespace, "a", buf[:64], api.PutHeader{})
		_, _ = c.Put(ctx, namespace, "a", buf, api.PutHeader{}) // asks first
		_, _ = c.Epoch(ctx, namespace)
		_, _ = c.Status(ctx)
		if ctx.Err() != nil {
			t.Errorf("a call hung")
		}
	})
}
