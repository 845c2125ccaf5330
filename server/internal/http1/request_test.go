package http1

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// exchanges are raw requests and what comes back. FuzzRequest begins with them.
var exchanges = []struct {
	name  string
	raw   string
	want  string
	lives bool // the next request on the connection is answered
}{
	{"a GET", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", answer(`GET /a ""`), true},
	{"a body of known length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", answer(`POST /a "abc"`), true},
	{"a body that reads like a request is a body",
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 34\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n",
		answer(`POST /a "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n"`), true},
	{"a length of nothing", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", answer(`PUT /a ""`), true},
	{"chunks", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		answer(`POST /a "abcde"`), true},
	{"chunks with extensions and a trailer",
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer-Field: v\r\n\r\n",
		answer(`POST /a "abc"`), true},
	{"a pipeline is answered in order", plain("/a") + "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" + plain("/c"),
		answer(`GET /a ""`) + answer(`POST /b "x"`) + answer(`GET /c ""`), true},
	{"HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", lastAnswer(`GET /a ""`), false},
	{"HTTP/1.0 that stays", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n" + `GET /a ""`, true},
	{"a client that wants no more", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", lastAnswer(`GET /a ""`), false},
	{"a folded header", "GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n  b\r\n\r\n", answer(`GET /a ""`), true},
	{"lines that end with LF alone", "GET /a HTTP/1.1\nHost: h\n\n", answer(`GET /a ""`), true},
	{"the same length twice", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		answer(`POST /a "x"`), true},

	{"a body that is asked for", "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 100 Continue\r\n\r\n" + answer(`POST /a "abc"`), true},
	{"chunks that are asked for",
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n" + answer(`POST /a "abc"`), true},
	{"no body to ask for", "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", answer(`POST /a ""`), true},
	{"HTTP/1.0 is not asked", "POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		lastAnswer(`POST /a "abc"`), false},
	{"something else is expected", "POST /a HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc", refused(417), false},

	// One of two lengths is wrong. Chunks win, and what follows them is not believed to be a request.
	{"chunks and a length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		lastAnswer(`POST /a "x"`), false},
	{"chunks and a length in small letters", "POST /a HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
		lastAnswer(`POST /a ""`), false},
	{"chunks in HTTP/1.0", "POST /a HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		lastAnswer(`POST /a ""`), false},
	{"two lengths", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", refused(400), false},
	{"a list of lengths", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\nx", refused(400), false},
	{"a signed length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\nx", refused(400), false},
	{"a length below zero", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\nx", refused(400), false},
	{"a length beyond all numbers", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\nx", refused(400), false},
	{"an empty length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\nx", refused(400), false},
	{"identity", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", refused(501), false},
	{"a list of encodings", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", refused(501), false},
	{"an encoding twice", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		refused(501), false},
	{"an encoding that only looks like chunks", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		refused(400), false},
	{"a space before the colon", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length : 1\r\n\r\nx", refused(400), false},
	{"a CR within a line", "GET /a HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", refused(400), false},
	{"a header that begins with a space", "GET /a HTTP/1.1\r\n Host: h\r\n\r\n", refused(400), false},
	{"a header without a colon", "GET /a HTTP/1.1\r\nHost: h\r\nX\r\n\r\n", refused(400), false},
	{"a NUL in a value", "GET /a HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n", refused(400), false},
	{"a trailer that would be a length",
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n", refused(400), false},

	// The handler sees a body that ends in an error; nothing after it is a request.
	{"a chunk larger than all numbers", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nx",
		answer(`POST /a "" http chunk length too large`), false},
	{"a chunk of a size that is none", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
		answer(`POST /a "" invalid byte in chunk length`), false},
	{"a chunk that is longer than it says", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n",
		answer(`POST /a "x" malformed chunked encoding`), false},
	{"a chunk line that ends with LF alone", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
		answer(`POST /a "" chunked line ends with bare LF`), false},

	{"no host", "GET /a HTTP/1.1\r\n\r\n", refused(400), false},
	{"two hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", refused(400), false},
	{"a host that is none", "GET /a HTTP/1.1\r\nHost: h/\r\n\r\n", refused(400), false},
	{"what a proxy is asked", "GET http://h/a HTTP/1.1\r\nHost: other\r\n\r\n", refused(400), false},
	{"what a proxy is asked, without a Host", "GET http://h/a HTTP/1.1\r\n\r\n", refused(400), false},
	{"a tunnel", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", refused(400), false},
	{"a path that is none", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", refused(400), false},
	{"a method that is none", "G@T /a HTTP/1.1\r\nHost: h\r\n\r\n", refused(400), false},
	{"a method that speaks of transfer encoding", "G@transfer encoding / HTTP/1.1\r\n\r\n", refused(400), false},
	{"an empty line first", "\r\n" + plain("/a"), refused(400), false},
	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused(505), false},
	{"HTTP/0.9", "GET /a HTTP/0.9\r\nHost: h\r\n\r\n", refused(505), false},
	{"a head without end", "GET /a HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 64<<10), refused(431), false},
	{"headers without end", "GET /a HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X:\r\n", 16<<10), refused(431), false},
	{"a URL without end", "GET /" + strings.Repeat("x", 64<<10), refused(431), false},
	{"another, behind a request", plain("/a") + "GET /" + strings.Repeat("x", 64<<10), answer(`GET /a ""`) + refused(431), false},
}

// TestRequests sends each request and, behind it, another one that is answered only if the connection lives.
func TestRequests(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		f := serve(t, network, echo)
		for _, e := range exchanges {
			t.Run(network+"/"+e.name, func(t *testing.T) {
				c := f.dial()
				c.send(e.raw + "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				want := e.want
				if e.lives {
					want += lastAnswer(`GET /next ""`)
				}
				if got := c.rest(); got != want {
					t.Errorf("answer %q, want %q", got, want)
				}
			})
		}
	}
}

// TestAmbiguousInPieces ends the connection after a request that may be ambiguous: its head is not there to look at, as
// it has come in pieces.
func TestAmbiguousInPieces(t *testing.T) {
	for _, length := range []string{"", "Content-Length: 3\r\n"} {
		l := newStage()
		newFixture(t, echo).listen(l)
		s := newScript([]byte("POST /a HTTP/1.1\r\nHost: h\r\n"+length+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+plain("/b")), 7)
		l.play(t, s)
		if got := dates.ReplaceAllString(s.got.String(), ""); got != lastAnswer(`POST /a ""`) {
			t.Errorf("%q is answered %q", length, got)
		}
	}
}

// TestHeadLimit takes a head of the allowed size, in whatever pieces it comes, and not one of twice the size.
func TestHeadLimit(t *testing.T) {
	const limit = 16 << 10
	f := serve(t, "tcp", echo)
	head := func(size int) string {
		const frame = "GET /a HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n"
		return strings.Replace(frame, "X: ", "X: "+strings.Repeat("x", size-len(frame)), 1)
	}
	for _, piece := range []int{100, 4 << 10, limit} {
		c := f.dial()
		for rest := head(limit); rest != ""; {
			n := min(piece, len(rest))
			c.send(rest[:n])
			rest = rest[n:]
		}
		c.want(answer(`GET /a ""`))
	}
	c := f.dial()
	c.send(head(2 * limit))
	if got := c.rest(); got != refused(431) {
		t.Errorf("twice the limit: %q", got)
	}
}

// TestUnreadBody keeps a connection whose handler left a small body, and ends it if the body is large or is only
// sent when asked for.
func TestUnreadBody(t *testing.T) {
	f := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) { respond(w, http.StatusOK, r.URL.Path) })
	post := func(framing, body string) string {
		return "POST /a HTTP/1.1\r\nHost: h\r\n" + framing + "\r\n\r\n" + body
	}
	const tooMuch = discardBytes + 1
	for _, e := range []struct {
		name, raw, want string
		lives           bool
	}{
		{"small", post("Content-Length: 3", "abc"), answer("/a"), true},
		{"small, in chunks", post("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"), answer("/a"), true},
		{"large", post(fmt.Sprintf("Content-Length: %d", tooMuch), strings.Repeat("x", tooMuch)), lastAnswer("/a"), false},
		{"large, in one chunk", post("Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s", 2*tooMuch, strings.Repeat("x", 2*tooMuch))), answer("/a"), false},
		{"broken chunks", post("Transfer-Encoding: chunked", "zz\r\n"), answer("/a"), false},
		{"not asked for", post("Expect: 100-continue\r\nContent-Length: 3", ""), lastAnswer("/a"), false},
		{"not asked for and sent all the same", post("Expect: 100-continue\r\nContent-Length: 3", "abc"), lastAnswer("/a"), false},
	} {
		t.Run(e.name, func(t *testing.T) {
			c := f.dial()
			c.send(e.raw + "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			if e.lives {
				e.want += lastAnswer("/next")
			}
			if got := c.rest(); got != e.want {
				t.Errorf("answer %q, want %q", got, e.want)
			}
		})
	}
}
