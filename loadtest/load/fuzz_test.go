package load

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// scripted returns a wire to a server that reads anything, says the same in every connection, and hangs up. The
// connections have ended when the test has.
func scripted(t testing.TB, says []byte) wire {
	ctx, cancel := context.WithCancel(context.Background())
	var servers []chan struct{}
	t.Cleanup(func() {
		cancel()
		for _, done := range servers {
			<-done
		}
	})
	return newWire(ctx, time.Minute, func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		done := make(chan struct{})
		servers = append(servers, done)
		go func() {
			defer close(done)
			go func() { _, _ = io.Copy(io.Discard, server) }()
			_, _ = server.Write(says) // the client may have heard enough
			server.Close()
		}()
		return client, nil
	})
}

// calls makes every call that a connection knows, twice, since what is left of one answer meets the next call. A
// call that succeeds has said how much it read, and that much fits.
func calls(t *testing.T, c Conn, value Value) {
	defer c.Close()
	buf := make([]byte, 64)
	for range 2 {
		reply, err := c.Get("key", buf)
		if err == nil && (reply.Size < 0 || reply.Size > len(buf)) {
			t.Errorf("GET read %d bytes into %d", reply.Size, len(buf))
		}
		if err != nil && reply.Size != 0 {
			t.Errorf("GET failed and read %d bytes: %v", reply.Size, err)
		}
		_ = c.Put(&value, "claim")
		if looker, ok := c.(Looker); ok {
			_, _ = looker.Lookup(&Question{Keys: []string{"key", "other"}})
		}
		if claimer, ok := c.(Claimer); ok {
			standing, err := claimer.Claim([]string{"key", "other"}, "me", time.Second)
			if err == nil && (len(standing.Hit) != 2 || len(standing.Pending) != 2) {
				t.Errorf("a claim of two keys is answered for %d and %d", len(standing.Hit), len(standing.Pending))
			}
		}
	}
}

func FuzzRedis(f *testing.F) {
	for _, says := range []string{
		"$4\r\nabcd\r\n", "$-1\r\n", "+OK\r\n", ":2\r\n", "-ERR no\r\n", "-OOM no\r\n", "$99999999999999999999\r\n", "$5\r\nabcd",
		"$-7\r\n", ":\r\n", "\r\n", "$0\r\n\r\n+OK\r\n:1\r\n", "+OK\n",
	} {
		f.Add([]byte(says))
	}
	value := NewPayloads(1, 64).Value(Item{Key: "key", Size: 32})
	f.Fuzz(func(t *testing.T, says []byte) {
		calls(t, &redisConn{wire: scripted(t, says), asked: make(questions)}, value)
	})
}

func FuzzMemcached(f *testing.F) {
	for _, says := range []string{
		"VALUE key 0 4\r\nabcd\r\nEND\r\n", "END\r\n", "STORED\r\n", "SERVER_ERROR out of memory storing object\r\n", "ERROR\r\n",
		"VALUE key 0 -4\r\n", "VALUE key 0 99\r\n", "VALUE key 0 4\r\nabcdef", "VALUE\r\n", "CLIENT_ERROR bad data chunk\r\n",
	} {
		f.Add([]byte(says))
	}
	value := NewPayloads(1, 64).Value(Item{Key: "key", Size: 32})
	f.Fuzz(func(t *testing.T, says []byte) { calls(t, &memcachedConn{scripted(t, says)}, value) })
}

func FuzzHTTP(f *testing.F) {
	const lookup = `{"results":[{"state":"hit"},{"state":"claimed"}],"claim":"c"}`
	for _, says := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nKeepsight-Tier: host\r\n\r\nabcd",
		"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
		"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: 3\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 61\r\n\r\n" + lookup,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 2", "HTTP/1.1 -20 OK\r\n\r\n", "\r\n",
	} {
		f.Add([]byte(says), false)
		f.Add([]byte(says), true)
	}
	value := NewPayloads(1, 64).Value(Item{Key: "key", Size: 32})
	f.Fuzz(func(t *testing.T, says []byte, asks bool) {
		calls(t, &keepsightConn{
			httpConn:   httpConn{wire: scripted(t, says), host: "localhost", prefix: "/", asks: asks},
			lookupPath: "/lookup",
			asked:      make(questions),
		}, value)
	})
}

// Servers that end well-formed answers never, or slowly, are for the deadline; one that sends header after header
// does not wait for it.
func TestAnAnswerOfTooManyHeadersEnds(t *testing.T) {
	says := append([]byte("HTTP/1.1 200 OK\r\n"), bytes.Repeat([]byte("X: y\r\n"), 2*maxHeaderLines)...)
	c := &httpConn{wire: scripted(t, says), host: "localhost", prefix: "/"}
	defer c.Close()
	if _, err := c.Get("key", nil); err == nil {
		t.Error("it is taken for an answer")
	}
}
