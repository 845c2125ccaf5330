package client_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// A peer is a service that is made of bytes: its scripts say what it sends on each connection, and when.
type peer struct {
	net.Conn
	in *bufio.Reader
	t  testing.TB
}

// listen serves a unix socket until the test ends, which waits for every connection to be served, and returns
// the socket's URL.
func listen(t testing.TB, serve func(n int, p *peer)) string {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(n, &peer{Conn: conn, in: bufio.NewReader(conn), t: t})
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return "unix://" + socket
}

// script serves the first connection with the first script and so on, and returns a client. All of them must
// be used. Scripts end before the client does.
func script(t testing.TB, scripts ...func(*peer)) *client.Client {
	t.Helper()
	var mu sync.Mutex
	used := 0
	url := listen(t, func(n int, p *peer) {
		mu.Lock()
		used++
		mu.Unlock()
		if n >= len(scripts) {
			t.Errorf("connection %d was opened", n+1)
			return
		}
		scripts[n](p)
	})
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if used < len(scripts) {
			t.Errorf("%d of %d connections were opened", used, len(scripts))
		}
	})
	return connect(t, url)
}

// request reads a request without its body.
func (p *peer) request() *http.Request {
	r, err := http.ReadRequest(p.in)
	if err != nil {
		p.t.Errorf("read request: %v", err)
		return new(http.Request)
	}
	return r
}

// whole reads a request and its body, which it asks for.
func (p *peer) whole() {
	r := p.request()
	if r.Header.Get("Expect") != "" {
		p.say(invite)
	}
	if n, err := io.Copy(io.Discard, r.Body); err != nil || n != max(r.ContentLength, 0) {
		p.t.Errorf("%d bytes of a body came: %v", n, err)
	}
}

func (p *peer) say(text string) {
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Errorf("write %.20q: %v", text, err)
	}
}

// gone waits until the client has ended the connection.
func (p *peer) gone() { _, _ = io.Copy(io.Discard, p.in) }

const (
	invite   = "HTTP/1.1 100 Continue\r\n\r\n"
	created  = "HTTP/1.1 201 Created\r\nKeepsight-Stored: created\r\nContent-Length: 0\r\n\r\n"
	existing = "HTTP/1.1 200 OK\r\nKeepsight-Stored: existing\r\nContent-Length: 0\r\n\r\n"
	noMemory = "HTTP/1.1 503 Service Unavailable\r\nKeepsight-Error: no_memory\r\nContent-Length: 17\r\n\r\n{\"detail\":\"full\"}"
	alive    = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
)

// embedding is the head of a response that holds body, and body.
func embedding(body []byte) string {
	header := http.Header{}
	api.Stat{Tensor: api.Tensor{Size: int64(len(body)), DType: "U8", Shape: []int64{int64(len(body))}}, Sum: sumOf(body)}.Set(header)
	text := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n", len(body))
	for name := range header {
		text += name + ": " + header.Get(name) + "\r\n"
	}
	return text + "\r\n" + string(body)
}
