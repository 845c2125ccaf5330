package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// A turn is a request and how it is sent, and the answer and how the handler sends it.
type turn struct {
	method    string
	body      []byte
	chunks    []int // sizes that the body is sent in; nil: with its length
	expects   bool
	answer    int   // bytes
	pieces    []int // sizes that the answer is sent in
	announced bool  // its length is
	read      int   // how much of the body the handler reads; -1: all
}

var turns = rapid.Custom(func(t *rapid.T) turn {
	sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 64), rapid.IntRange(1, 20_000)), 1, 4)
	v := turn{
		method:    rapid.SampledFrom([]string{"GET", "HEAD", "PUT", "POST"}).Draw(t, "method"),
		answer:    rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 300_000)).Draw(t, "answer"),
		pieces:    sizes.Draw(t, "pieces"),
		announced: rapid.Bool().Draw(t, "announced"),
		read:      -1,
	}
	if v.method[0] == 'P' {
		v.body = pattern(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 40_000)).Draw(t, "body"), 'b')
		if rapid.Bool().Draw(t, "chunked") {
			v.chunks = sizes.Draw(t, "chunks")
		}
		if rapid.Bool().Draw(t, "reads part") {
			v.read = rapid.IntRange(0, len(v.body)).Draw(t, "read")
		}
		v.expects = v.read == -1 && rapid.Bool().Draw(t, "expects")
	}
	return v
})

// pattern is n bytes that show where one is missing.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = seed + byte(i%251)
	}
	return p
}

// pieces calls f with consecutive parts of p, of the sizes over and over.
func pieces(p []byte, sizes []int, f func([]byte)) {
	for i := 0; len(p) > 0; i++ {
		n := min(len(p), sizes[i%len(sizes)])
		f(p[:n])
		p = p[n:]
	}
}

// raw is the nth request on the wire.
func (v turn) raw(n int) []byte {
	b := fmt.Appendf(nil, "%s /%d HTTP/1.1\r\nHost: h\r\n", v.method, n)
	if v.expects {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	switch {
	case v.chunks != nil:
		b = append(b, "Transfer-Encoding: chunked\r\n\r\n"...)
		pieces(v.body, v.chunks, func(p []byte) { b = fmt.Appendf(b, "%x\r\n%s\r\n", len(p), p) })
		return append(b, "0\r\n\r\n"...)
	case v.body != nil:
		return fmt.Appendf(b, "Content-Length: %d\r\n\r\n%s", len(v.body), v.body)
	}
	return append(b, "\r\n"...)
}

// handle answers as the turn says, if the request is the one of the turn.
func (v turn) handle(w http.ResponseWriter, r *http.Request) error {
	want := v.body
	if v.read >= 0 {
		want = want[:v.read]
	}
	body := make([]byte, len(want))
	_, err := io.ReadFull(r.Body, body)
	if err == nil && v.read < 0 {
		_, err = io.ReadFull(r.Body, make([]byte, 1))
		if err == io.EOF {
			err = nil
		}
	}
	if err != nil || r.Method != v.method || !bytes.Equal(body, want) {
		return fmt.Errorf("%s with %d bytes of body, %w, want %s with %d", r.Method, len(body), err, v.method, len(want))
	}
	if v.announced {
		w.Header().Set("Content-Length", strconv.Itoa(v.answer))
	}
	pieces(pattern(v.answer, 'a'), v.pieces, func(p []byte) {
		if _, failed := w.(*Response).Send(p[:len(p)/2], nil, p[len(p)/2:]); failed != nil {
			err = failed
		}
	})
	return err
}

// TestOrder sends sequences of requests, all at once and cut anywhere: each is seen and answered in its turn, with
// every byte. Where an answer ends the connection, the client goes on with another.
func TestOrder(t *testing.T) {
	var current atomic.Pointer[[]turn] // the race detector does not see that a request comes before its answer
	wrong := make(chan error, 1)
	f := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Path[1:])
		if err == nil {
			err = (*current.Load())[n].handle(w, r)
		}
		if err != nil {
			select {
			case wrong <- fmt.Errorf("request %s: %w", r.URL.Path, err):
			default:
			}
			panic(http.ErrAbortHandler)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		script := rapid.SliceOfN(turns, 1, 6).Draw(t, "requests")
		current.Store(&script)
		cuts := rapid.SliceOfN(rapid.IntRange(1, 10_000), 1, 5).Draw(t, "cuts")
		for done := 0; done < len(script); {
			n := exchange(t, f, script, done, cuts)
			select {
			case err := <-wrong:
				t.Fatal(err)
			default:
			}
			if n == 0 {
				t.Fatalf("request %d is not answered", done)
			}
			done += n
		}
	})
}

// exchange sends the requests from the first on by a connection of their own, and returns how many were answered before
// it ended.
func exchange(t *rapid.T, f *fixture, script []turn, first int, cuts []int) (answered int) {
	c := f.dial()
	defer c.Close()
	var raw []byte
	for i, v := range script[first:] {
		raw = append(raw, v.raw(first+i)...)
	}
	go pieces(raw, cuts, func(p []byte) { _, _ = c.Write(p) }) // if the connection ends, the answers tell
	r := bufio.NewReader(c)
	for i, v := range script[first:] {
		resp, err := http.ReadResponse(r, &http.Request{Method: v.method})
		if err == nil && resp.StatusCode == http.StatusContinue {
			if !v.expects {
				t.Fatalf("request %d is asked for a body", first+i)
			}
			resp, err = http.ReadResponse(r, &http.Request{Method: v.method})
		}
		if err != nil {
			return i
		}
		want := pattern(v.answer, 'a')
		if v.method == "HEAD" {
			want = nil
		}
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("answer %d has %d bytes, %v, want %d", first+i, len(got), err, len(want))
		}
		if resp.Close {
			return i + 1
		}
	}
	return len(script) - first
}
