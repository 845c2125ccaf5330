package load

import (
	"errors"
	"strings"
	"testing"
)

// What servers say to a GET and a PUT, and what becomes of the connection.
func TestAnswers(t *testing.T) {
	http := func(says string) Conn {
		return &httpConn{wire: scripted(t, []byte(strings.ReplaceAll(says, "\n", "\r\n"))), host: "localhost", prefix: "/"}
	}
	redis := func(says string) Conn { return &redisConn{wire: scripted(t, []byte(says)), asked: make(questions)} }
	memcached := func(says string) Conn { return &memcachedConn{scripted(t, []byte(says))} }
	for _, row := range []struct {
		name string
		conn Conn
		put  bool
		want string // of the error, miss and refusal as such
		size int
		open bool // afterwards
	}{
		{"HTTP hit", http("HTTP/1.1 200 OK\nContent-Length: 4\n\nabcd"), false, "", 4, true},
		{"HTTP hit, names in other cases", http("HTTP/1.1 200 OK\ncontent-LENGTH:4\n\nabcd"), false, "", 4, true},
		{"HTTP hit, then closed", http("HTTP/1.1 200 OK\nContent-Length: 4\nConnection: close\n\nabcd"), false, "", 4, false},
		{"HTTP/1.0 hit", http("HTTP/1.0 200 OK\nContent-Length: 4\n\nabcd"), false, "", 4, false},
		{"HTTP/1.0 hit, kept", http("HTTP/1.0 200 OK\nContent-Length: 4\nConnection: keep-alive\n\nabcd"), false, "", 4, true},
		{"HTTP miss", http("HTTP/1.1 404 Not Found\nContent-Length: 2\n\nno"), false, "miss", 0, true},
		{"HTTP put", http("HTTP/1.1 204 No Content\n\n"), true, "", 0, true},
		{"HTTP put of other bytes", http("HTTP/1.1 409 Conflict\nContent-Length: 0\n\n"), true, "409", 0, true},
		{"HTTP put to nowhere", http("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"), true, "404", 0, true},
		{"HTTP refusal", http("HTTP/1.1 503 Busy\nContent-Length: 0\nRetry-After: 1\n\n"), true, "refused", 0, true},
		{"HTTP fault", http("HTTP/1.1 500 Oops\nContent-Length: 4\n\nouch"), false, "ouch", 0, true},
		{"HTTP value cut off", http("HTTP/1.1 200 OK\nContent-Length: 4\n\nabc"), false, "EOF", 0, false},
		{"HTTP value too large", http("HTTP/1.1 200 OK\nContent-Length: 99\n\n"), false, "99 bytes", 0, false},
		{"HTTP value of any length", http("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"), false, "Content-Length", 0, false},
		{"no HTTP", http("SSH-2.0-OpenSSH_9\n"), false, "no HTTP", 0, false},

		{"redis hit", redis("$4\r\nabcd\r\n"), false, "", 4, true},
		{"redis miss", redis("$-1\r\n"), false, "miss", 0, true},
		{"redis put", redis("+OK\r\n"), true, "", 0, true},
		{"redis put, answered by a number", redis(":1\r\n"), true, "protocol", 0, false},
		{"redis refusal", redis("-OOM command not allowed\r\n"), true, "refused", 0, true},
		{"redis fault", redis("-WRONGTYPE Operation\r\n"), false, "WRONGTYPE", 0, true},
		{"redis value longer than announced", redis("$4\r\nabcde\r\n"), false, "longer", 0, false},

		{"memcached hit", memcached("VALUE key 0 4\r\nabcd\r\nEND\r\n"), false, "", 4, true},
		{"memcached miss", memcached("END\r\n"), false, "miss", 0, true},
		{"memcached put", memcached("STORED\r\n"), true, "", 0, true},
		{"memcached refusal", memcached("SERVER_ERROR Out of memory during read\r\n"), true, "refused", 0, true},
		{"memcached fault", memcached("SERVER_ERROR object too large for cache\r\n"), true, "too large", 0, true},
		{"memcached confused", memcached("ERROR\r\n"), true, "protocol", 0, false},
	} {
		if err := row.conn.Open(); err != nil {
			t.Fatal(err)
		}
		var reply Reply
		var err error
		if row.put {
			value := NewPayloads(1, 32).Value(Item{Key: "key", Size: 32})
			err = row.conn.Put(&value, "")
		} else {
			reply, err = row.conn.Get("key", make([]byte, 8))
		}
		var refusal *Refusal
		switch {
		case (err != nil) != (row.want != "") || err != nil && !strings.Contains(err.Error(), row.want):
			t.Errorf("%s: the error is %v, expected is %q", row.name, err, row.want)
		case (err == ErrMiss) != (row.want == "miss") || errors.As(err, &refusal) != (row.want == "refused"):
			t.Errorf("%s: the error is a %T", row.name, err)
		case reply.Size != row.size:
			t.Errorf("%s: %d bytes, expected are %d", row.name, reply.Size, row.size)
		case isOpen(row.conn) != row.open:
			t.Errorf("%s: the connection is open afterwards: %v", row.name, !row.open)
		}
		row.conn.Close()
	}
}

func isOpen(c Conn) bool {
	switch c := c.(type) {
	case *httpConn:
		return c.conn != nil
	case *redisConn:
		return c.conn != nil
	}
	return c.(*memcachedConn).conn != nil
}

// A key that ends a command would begin another one.
func TestKeysThatMemcachedCannotTake(t *testing.T) {
	c := &memcachedConn{scripted(t, []byte("STORED\r\n"))}
	defer c.Close()
	for _, key := range []string{"", "two words", "a\r\nflush_all", "tab\t", "\x7f", strings.Repeat("k", 251)} {
		value := NewPayloads(1, 32).Value(Item{Key: key, Size: 32})
		if err := c.Put(&value, ""); err == nil {
			t.Errorf("a value was stored under %q", key)
		}
		if _, err := c.Get(key, nil); err == nil || err == ErrMiss {
			t.Errorf("%q was asked for: %v", key, err)
		}
		if isOpen(c) {
			t.Fatalf("%q reached the connection", key)
		}
	}
	value := NewPayloads(1, 32).Value(Item{Key: strings.Repeat("k", 250), Size: 32})
	if err := c.Put(&value, ""); err != nil {
		t.Error(err)
	}
}
