package http1

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAnswers has handlers do right and wrong, and looks at what is sent.
func TestAnswers(t *testing.T) {
	const get, head, old = "GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0"
	large := strings.Repeat("x", 3*smallWrite)
	length := func(w http.ResponseWriter, n string) { w.Header().Set("Content-Length", n) }
	for _, e := range []struct {
		name, request string
		handle        http.HandlerFunc
		want          string
		lives         bool
	}{
		{"nothing is written", get, func(http.ResponseWriter, *http.Request) {},
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{"nothing is written to HEAD", head, func(http.ResponseWriter, *http.Request) {},
			"HTTP/1.1 200 OK\r\n\r\n", true},
		{"HEAD with a length", head, func(w http.ResponseWriter, _ *http.Request) { length(w, "7") },
			"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true},
		{"HEAD answered like GET", head, func(w http.ResponseWriter, _ *http.Request) { respond(w, 404, "none") },
			"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n", true},
		{"HEAD of unknown length", head, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "abc") },
			"HTTP/1.1 200 OK\r\n\r\n", true},
		{"204", get, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
			"HTTP/1.1 204 No Content\r\n\r\n", true},
		{"204 with a length", get, func(w http.ResponseWriter, _ *http.Request) { length(w, "0"); w.WriteHeader(204) },
			"HTTP/1.1 204 No Content\r\n\r\n", true},
		{"304 with a body", get, func(w http.ResponseWriter, _ *http.Request) {
			length(w, "3")
			w.WriteHeader(304)
			if _, err := io.WriteString(w, "abc"); err != http.ErrBodyNotAllowed {
				panic(err)
			}
		}, "HTTP/1.1 304 Not Modified\r\n\r\n", true},
		{"unknown length", get, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "abc")
			_, _ = w.Write(nil) // an empty chunk would be the end
			_, _ = io.WriteString(w, "de")
		}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", true},
		{"unknown length, large", get, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) },
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3000\r\n" + large + "\r\n0\r\n\r\n", true},
		{"unknown length, HTTP/1.0", old, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) },
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + large, false},
		{"unknown length, HTTP/1.0 that would stay", old + "\r\nConnection: keep-alive", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "abc")
		}, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", false},
		{"the handler closes", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			respond(w, 200, "abc")
		}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", false},
		{"framing is the connection's", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "gzip")
			w.Header().Set("Connection", "upgrade")
			respond(w, 200, "abc")
		}, answer("abc"), true},

		{"less than announced", get, func(w http.ResponseWriter, _ *http.Request) { length(w, "5"); _, _ = io.WriteString(w, "abc") },
			answer("abc..")[:len(answer("abc"))], false},
		{"nothing of what was announced", get, func(w http.ResponseWriter, _ *http.Request) { length(w, "5") },
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false},
		{"more than announced", get, func(w http.ResponseWriter, _ *http.Request) {
			length(w, "3")
			_, _ = io.WriteString(w, "abc")
			if _, err := io.WriteString(w, "d"); err != http.ErrContentLength {
				panic(err)
			}
		}, answer("abc"), true},

		{"a value of two lines", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", "a\r\nSet-Cookie: b\n\xff")
			w.WriteHeader(204)
		}, "HTTP/1.1 204 No Content\r\nX: a  Set-Cookie: b \xff\r\n\r\n", true},
		{"names that are none", get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X: y\r\nSet-Cookie"] = []string{"a"}
			w.Header()["Trailer:X"] = []string{"a"}
			w.Header()[""] = []string{"a"}
			w.WriteHeader(204)
		}, "HTTP/1.1 204 No Content\r\n\r\n", true},
	} {
		t.Run(e.name, func(t *testing.T) {
			f := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/next" {
					respond(w, http.StatusOK, "next") // without the headers of the answer before
					return
				}
				e.handle(w, r)
			})
			c := f.dial()
			c.send(e.request + "\r\nHost: h\r\n\r\n" + "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			want := e.want
			if e.lives {
				want += lastAnswer("next")
			}
			if got := c.rest(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
			if n := f.failed.Load(); n > 0 {
				t.Errorf("%v", f.failure.Load())
			}
		})
	}
}

// TestPanics cuts the connection before the end that the answer announced, and says what a handler died of.
func TestPanics(t *testing.T) {
	for _, e := range []struct {
		name   string
		handle http.HandlerFunc
		want   string
		failed string // empty: nobody needs to know
	}{
		{"before the answer", func(http.ResponseWriter, *http.Request) { panic("oh") }, "", "oh"},
		{"with what cannot be compared", func(http.ResponseWriter, *http.Request) { panic([]int{1}) }, "", "[1]"},
		{"on purpose", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", ""},
		{"on purpose, within chunks", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "abc")
			_ = w.(*Response).FlushError()
			panic(http.ErrAbortHandler)
		}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", ""},
		{"a status that is none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(99) }, "", "status 99"},
		{"two statuses", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) }, "", "status 500 after 200"},
		{"a length that is none, at the end", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "x") },
			"", "Content-Length x"},
		{"with somebody at the door", func(w http.ResponseWriter, r *http.Request) {
			w.(*Response).Attend(r.Context())
			panic(http.ErrAbortHandler)
		}, "", ""},
	} {
		t.Run(e.name, func(t *testing.T) {
			f := serve(t, "tcp", e.handle)
			c := f.dial()
			c.send(plain("/"))
			if got := c.rest(); got != e.want {
				t.Errorf("answer %q, want %q", got, e.want)
			}
			f.shutDown() // once the connection is gone, it has failed if it does
			failure, _ := f.failure.Load().(string)
			if (failure != "") != (e.failed != "") || !strings.Contains(failure, e.failed) {
				t.Errorf("failure %q, want %q", failure, e.failed)
			}
		})
	}
}

// TestLateBody reads a body only after the answer has begun: then it is too late to ask for it, in the midst of it.
func TestLateBody(t *testing.T) {
	f := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "abc")
		_ = w.(*Response).FlushError()
		_, _ = io.Copy(w, r.Body)
	})
	c := f.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	c.want("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	c.send("de")
	if got := c.rest(); got != "2\r\nde\r\n0\r\n\r\n" {
		t.Errorf("rest %q", got)
	}
}

// TestDeadlinesEnd sets deadlines that are over, when they no longer matter: a later answer, a later request to send a
// body and a later body come through all the same.
func TestDeadlinesEnd(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 2*smallWrite)
	f := serve(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		over := w.(*Response)
		if _, err := over.Send(large, body); err != nil {
			panic(err)
		}
		if over.SetReadDeadline(time.Unix(1, 0)) != nil || over.SetWriteDeadline(time.Unix(1, 0)) != nil {
			panic("no deadlines")
		}
	})
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2001\r\n"
	want := chunks + string(large) + "b\r\n0\r\n\r\n"
	c := f.dial()
	post := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"
	for range 2 {
		c.send(post) // and once the server waits for the body:
		c.send("b")
		c.want(want)
	}
	c.send(post + "b" + post) // the head of the second is there when the first is over
	c.want(want)
	c.send("b")
	c.want(want)
	c.send(strings.Replace(post, "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1))
	got := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(c, got); string(got) != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("asked with %q, %v", got, err)
	}
	c.send("b")
	c.want(want)
	if n := f.failed.Load(); n > 0 {
		t.Errorf("%v", f.failure.Load())
	}
}
