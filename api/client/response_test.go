package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// A spoken is a connection on which the service has said what it ever will.
type spoken struct {
	net.Conn // nil: nothing is written
	io.Reader
}

func (s spoken) Read(p []byte) (int, error) { return s.Reader.Read(p) }
func (s spoken) Close() error               { return nil }

func hear(r io.Reader) *conn {
	s := spoken{Reader: r}
	c := newConn(s, s)
	c.begin()
	return c
}

func TestHeads(t *testing.T) {
	for _, test := range []struct {
		text string
		want head // without the header
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head{status: 200, length: 5, persist: true}},
		{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", head{status: 200, length: 0, persist: true}},
		{"HTTP/1.1 200 \nContent-length: 07\n\n", head{status: 200, length: 7, persist: true}},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close\r\n\r\n", head{status: 200, length: 5}},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", head{status: 200, length: 5}},
		{"HTTP/1.1 200 OK\r\n\r\n", head{status: 200, length: -1}},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", head{status: 200, length: -1, chunked: true, persist: true}},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", head{status: 204, persist: true}},
		{"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", head{status: 304, persist: true}},
		{"HTTP/1.1 100 Continue\r\n\r\n", head{status: 100, persist: true}},
		{"HTTP/1.1 999 ?\r\n\r\n", head{status: 999, length: -1}},
	} {
		got, err := hear(strings.NewReader(test.text)).readHead(http.MethodGet)
		if got.header = nil; err != nil || got.status != test.want.status || got.length != test.want.length ||
			got.chunked != test.want.chunked || got.persist != test.want.persist {
			t.Errorf("%q: %+v, %v", test.text, got, err)
		}
	}
	got, err := hear(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")).readHead(http.MethodHead)
	if err != nil || got.length != 0 || !got.persist {
		t.Errorf("HEAD: %+v, %v", got, err)
	}
}

func TestMalformedHeads(t *testing.T) {
	for _, text := range []string{
		"\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n",
		"HTTP/1.1 099 Low\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.x 200 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
		"http/1.1 200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", "HTTP/1.1 200 OK\r\n folded: first\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", "HTTP/1.1 200 OK\r\n(: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 " + strings.Repeat("O", maxHeaderBytes), "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", maxHeaderBytes),
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: a\r\n", maxHeaderBytes/6),
	} {
		if got, err := hear(strings.NewReader(text)).readHead(http.MethodGet); !errors.Is(err, ErrProtocol) {
			t.Errorf("%.60q: %+v, %v", text, got, err)
		}
	}
	if _, err := hear(strings.NewReader("")).readHead(http.MethodGet); !errors.Is(err, errNoAnswer) {
		t.Errorf("nothing: %v", err)
	}
	for _, text := range []string{"HTTP", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"} {
		if got, err := hear(strings.NewReader(text)).readHead(http.MethodGet); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if _, err := hear(iotest.ErrReader(net.ErrClosed)).readHead(http.MethodGet); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that breaks: %v", err)
	}
}

// read reads a whole response and reports whether the connection was kept.
func read(c *conn) (body []byte, kept bool, err error) {
	p := new(pool)
	defer p.close()
	x := &exchange{ctx: context.Background(), pool: p, conn: c, detach: func() bool { return true }, whole: true}
	h, err := c.readFinal(http.MethodGet)
	if err != nil {
		return nil, false, err
	}
	r := newResponse(x, h)
	body, err = io.ReadAll(r)
	r.drain()
	return body, p.take() != nil, err
}

func TestBodies(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		text string
		body string
		kept bool
		want error
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", true, nil},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "abc", false, nil},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "ab", false, io.ErrUnexpectedEOF},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "abc", false, nil},
		{"HTTP/1.1 204 No Content\r\n\r\n", "", true, nil},
		{"HTTP/1.0 200 OK\r\n\r\nabc", "abc", false, nil},
		{chunked + "2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc", true, nil},
		{chunked + "3\r\nabc\r\n0\r\nKeepsight-Error: not_found\r\n\r\n", "abc", true, nil},
		{chunked + "3\r\nabc\r\n0\r\n\r\nx", "abc", false, nil},
		{chunked + "3\r\nabc\r\n0\r\nx\r\n\r\n", "abc", false, ErrProtocol},
		{chunked + "3\r\nabc\r\n0\r\nA: " + strings.Repeat("a", 2*maxHeaderBytes), "abc", false, ErrProtocol},
		{chunked + "3\r\nabc\r\n0\r\n", "abc", false, io.ErrUnexpectedEOF},
		{chunked + "3\r\nabc\r\n0\r\n\n", "abc", false, ErrProtocol},
		{chunked + "3\r\nabc\r\n0\r\nA: b\r\n\n", "abc", false, ErrProtocol},
		{chunked + "3\r\nab", "ab", false, io.ErrUnexpectedEOF},
		{chunked + "g\r\nabc", "", false, ErrProtocol},
		{chunked + "-1\r\nabc", "", false, ErrProtocol},
		{chunked + "3\r\nabcd\r\n", "abc", false, ErrProtocol},
		{chunked + "fffffffffffffffff\r\nabc", "", false, ErrProtocol},
	} {
		for _, slow := range []bool{false, true} {
			said := io.Reader(strings.NewReader(test.text))
			if slow {
				said = iotest.OneByteReader(said)
			}
			body, kept, err := read(hear(said))
			if slow && len(body) == len(test.body) {
				kept = test.kept // what comes behind the response may not have come yet
			}
			if string(body) != test.body || kept != test.kept || !errors.Is(err, test.want) {
				t.Errorf("%.120q, slow %t: %.20q, kept %t, %v", test.text, slow, body, kept, err)
			}
		}
	}
}

// FuzzResponse compares with net/http: what is accepted here is accepted there and means the same.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\n{}",
		"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\nabc",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		h, err := hear(bytes.NewReader(said)).readHead(http.MethodGet)
		if err != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(said)), nil)
		if err != nil {
			t.Fatalf("net/http refuses what is accepted here: %v", err)
		}
		length := h.length
		if h.status < 200 {
			length = theirs.ContentLength // which has no body either
		}
		if h.status != theirs.StatusCode || length != theirs.ContentLength || h.persist && theirs.Close || len(h.header) < len(theirs.Header) {
			t.Errorf("%+v here, %+v there", h, theirs)
		}
		ours, _, oursErr := read(hear(bytes.NewReader(said)))
		if h.status < 200 || oursErr != nil {
			return
		}
		if body, err := io.ReadAll(theirs.Body); err != nil || !bytes.Equal(ours, body) {
			t.Errorf("the body is %q here, %q and %v there", ours, body, err)
		}
	})
}

func TestHeadIsEscaped(t *testing.T) {
	r := &request{method: http.MethodPut, target: "/a%20b?wait_ms=1", header: http.Header{"Keepsight-Dtype": {"BF16"}}, body: inMemory(make([]byte, expectContinueBytes))}
	if err := r.validate(); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.appendHead(nil, "localhost"))))
	if err != nil || got.Method != r.method || got.RequestURI != r.target || got.Host != "localhost" || got.ContentLength != expectContinueBytes ||
		got.Header.Get("Keepsight-Dtype") != "BF16" || got.Header.Get("Expect") != "100-continue" || len(got.Header) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []*request{
		{target: ""}, {target: "/a b"}, {target: "/a\r\nB: c"}, {target: "/\x7f"}, {target: "/é"},
		{target: "/", header: http.Header{"": {"a"}}}, {target: "/", header: http.Header{"A:": {"a"}}}, {target: "/", header: http.Header{"A B": {"a"}}},
		{target: "/", header: http.Header{"A": {"b\r"}}}, {target: "/", header: http.Header{"A": {"b", "\n"}}}, {target: "/", header: http.Header{"A": {"\x00"}}},
	} {
		if bad.validate() == nil {
			t.Errorf("%q, %q is sent", bad.target, bad.header)
		}
	}
}

func TestAddresses(t *testing.T) {
	for base, want := range map[string]address{
		"http://cache":                     {network: "tcp", dial: "cache:80", host: "cache"},
		"http://cache:7070/":               {network: "tcp", dial: "cache:7070", host: "cache:7070"},
		"http://[::1]:7070/a%2Fb/":         {network: "tcp", dial: "[::1]:7070", host: "[::1]:7070", prefix: "/a%2Fb"},
		"http://[fe80::1%25eth0]":          {network: "tcp", dial: "[fe80::1%eth0]:80", host: "[fe80::1]"},
		"unix:///run/keepsight/a%20b.sock": {network: "unix", dial: "/run/keepsight/a b.sock", host: "localhost"},
	} {
		if got, err := parseAddress(base, nil); err != nil || got != want {
			t.Errorf("%s: %+v, %v", base, got, err)
		}
	}
	a, err := parseAddress("https://cache", nil)
	if err != nil || a.dial != "cache:443" || a.tls.ServerName != "cache" || strconv.Quote(a.tls.NextProtos[0]) != `"http/1.1"` {
		t.Errorf("%+v, %v", a, err)
	}
	for _, base := range []string{"http://:80", "https://", "http://müller", "http://a%0d"} {
		if a, err := parseAddress(base, nil); err == nil {
			t.Errorf("%s: %+v", base, a)
		}
	}
}
