package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"
)

// A pacing is what a pace hears of a client.
type pacing struct{ taken, left int64 }

// TestPace tells the pace what a client took once it is asked to take more, and sends every part, however many there are
// and wherever the socket is full.
func TestPace(t *testing.T) {
	everywhere(t, func(t *testing.T, network string) {
		var parts [][]byte
		for i := range 3 * maxVector {
			parts = append(parts, pattern(1<<20, byte(i)), nil)
		}
		full, heard := make(chan struct{}), make(chan []pacing, 1)
		f := serve(t, network, func(rw http.ResponseWriter, _ *http.Request) {
			w := rw.(*Response)
			var all []pacing
			w.Pace(func(taken, left int64) error {
				all = append(all, pacing{taken, left})
				if len(all) == 1 {
					close(full)
				}
				return w.SetWriteDeadline(time.Now().Add(patience))
			})
			w.Header().Set("Content-Length", strconv.FormatInt(size(parts), 10))
			if n, err := w.Send(parts...); n != size(parts) || err != nil {
				t.Errorf("%d bytes are sent, %v", n, err)
			}
			heard <- all
		})
		c := f.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		wait(t, "the full socket", full)
		if got := c.rest(); got != lastAnswer(string(bytes.Join(parts, nil))) {
			t.Error("the answer is not what was sent")
		}
		var taken int64
		for _, p := range wait(t, "the handler's end", heard) {
			if taken += p.taken; p.left <= 0 || p.left > step {
				t.Errorf("%d bytes are to be taken at once", p.left)
			}
		}
		if taken <= 0 || taken >= size(parts)+smallWrite {
			t.Errorf("%d bytes of %d were taken", taken, size(parts))
		}
	})
}

// TestClientThatDoesNotRead holds a handler until the deadline that its pace sets, or until the pace gives up, and then
// nothing is left of it.
func TestClientThatDoesNotRead(t *testing.T) {
	giveUp := errors.New("give up")
	everywhere(t, func(t *testing.T, network string) {
		for _, want := range []error{os.ErrDeadlineExceeded, giveUp} {
			sent := make(chan error, 2)
			f := serve(t, network, func(rw http.ResponseWriter, _ *http.Request) {
				w := rw.(*Response)
				w.Pace(func(int64, int64) error {
					if want == giveUp {
						return giveUp
					}
					return w.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
				})
				for range 2 {
					_, err := w.Send(make([]byte, 64<<20))
					sent <- err
				}
			})
			c := f.dial()
			c.send(plain("/"))
			for range 2 { // the second is not even tried
				if err := wait(t, "the end of sending", sent); !errors.Is(err, want) {
					t.Errorf("sending ends with %v, want %v", err, want)
				}
			}
			f.shutDown()
			if n, err := io.Copy(io.Discard, c); n >= 64<<20 {
				t.Errorf("the client gets %d bytes, %v", n, err)
			}
		}
	})
}

// TestEndHasItsOwnPace sends what a handler leaves to be sent when it returns without asking its pace, which no longer
// knows how long the client has been waited for.
func TestEndHasItsOwnPace(t *testing.T) {
	everywhere(t, func(t *testing.T, network string) {
		f := serve(t, network, func(rw http.ResponseWriter, r *http.Request) {
			rw.(*Response).Pace(func(int64, int64) error { return errors.New("the handler is gone") })
			echo(rw, r)
		})
		c := f.dial()
		c.send(plain("/a") + "POST /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb")
		if got := c.rest(); got != answer(`GET /a ""`)+"HTTP/1.1 100 Continue\r\n\r\n"+lastAnswer(`POST /b "b"`) {
			t.Errorf("answers %q", got)
		}
	})
}
