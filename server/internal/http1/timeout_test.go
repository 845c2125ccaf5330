package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A starter starts a server that is reached by way of pipes.
type starter func(handler http.HandlerFunc, edits ...func(*Server)) (dial func() net.Conn)

// inBubble runs a test in time of its own.
func inBubble(t *testing.T, test func(t *testing.T, start starter)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, func(handler http.HandlerFunc, edits ...func(*Server)) func() net.Conn {
			l := newStage()
			times := func(s *Server) { s.HeadTimeout, s.IdleTimeout = 5*time.Second, time.Minute }
			newFixture(t, handler, append([]func(*Server){times}, edits...)...).listen(l)
			return func() net.Conn {
				here, there := net.Pipe()
				t.Cleanup(func() { here.Close() })
				l.conns <- there
				return here
			}
		})
	})
}

// lasts returns how long it takes until the server ends the connection.
func lasts(conn net.Conn) time.Duration {
	begin := time.Now()
	_, _ = io.Copy(io.Discard, conn)
	return time.Since(begin)
}

// ask sends a request and takes the answer.
func ask(t *testing.T, conn net.Conn, raw, want string) {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, raw) }() // the answer tells whether it was taken
	(&client{conn, t}).want(want)
}

// TestIdleTimeout is for each request anew, and off by little.
func TestIdleTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{time.Minute, time.Second / 2} {
		inBubble(t, func(t *testing.T, start starter) {
			dial := start(echo, func(s *Server) { s.IdleTimeout = timeout })
			conn := dial()
			if got := lasts(conn); got != timeout {
				t.Errorf("a silent client is kept for %s, not %s", got, timeout)
			}
			conn = dial()
			for range 10 {
				time.Sleep(timeout * 59 / 60)
				ask(t, conn, plain("/a"), answer(`GET /a ""`))
				ask(t, conn, plain("/a"), answer(`GET /a ""`))
			}
			if got := lasts(conn); got < timeout-timeout/slack || got > timeout {
				t.Errorf("a client that is silent again is kept for %s, not %s", got, timeout)
			}
		})
	}
}

// TestHeadTimeout bounds the whole head, however busily it comes, and so it does that of the next request.
func TestHeadTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, start starter) {
		dial := start(echo)
		for _, before := range []string{"", plain("/a")} {
			conn := dial()
			if before != "" {
				ask(t, conn, before, answer(`GET /a ""`))
			}
			time.Sleep(30 * time.Second)
			var writing sync.WaitGroup
			writing.Go(func() {
				for piece := "GET /a HTTP/1.1\r\n"; ; piece = "x" {
					if _, err := io.WriteString(conn, piece); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
			if got := lasts(conn); got != 5*time.Second {
				t.Errorf("a head may take %s", got)
			}
			writing.Wait()
		}
	})
}

// TestHeadTimeoutOfPipelined bounds a head whose beginning came with the request before.
func TestHeadTimeoutOfPipelined(t *testing.T) {
	inBubble(t, func(t *testing.T, start starter) {
		dial := start(echo)
		conn := dial()
		ask(t, conn, plain("/a")+"GET /b", answer(`GET /a ""`))
		if got := lasts(conn); got != 5*time.Second {
			t.Errorf("half a head is kept for %s", got)
		}
	})
}

// TestBodyTimeout bounds a body whose handler sets no deadline, by the idle timeout.
func TestBodyTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, start starter) {
		failed := make(chan error, 1)
		conn := start(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			failed <- err
			panic(http.ErrAbortHandler)
		})()
		go func() { _, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab") }()
		if got := lasts(conn); got != time.Minute {
			t.Errorf("a body is waited for %s", got)
		}
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, new(net.Error)) {
			t.Errorf("the handler is told %v", err)
		}
	})
}

// sendTwice returns a handler that sends a part of a known answer, and then another, and says how that went.
func sendTwice(part []byte, pace func(*Response) Full) (handler http.HandlerFunc, second chan error) {
	second = make(chan error, 1)
	return func(rw http.ResponseWriter, _ *http.Request) {
		w := rw.(*Response)
		if pace != nil {
			w.Pace(pace(w))
		}
		w.Header().Set("Content-Length", strconv.Itoa(2*len(part)))
		if _, err := w.Send(part); err != nil {
			panic(err)
		}
		_, err := w.Send(part)
		second <- err
	}, second
}

// TestUnpacedAnswer gives a client that stops to read as long as a head.
func TestUnpacedAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, start starter) {
		handler, second := sendTwice(make([]byte, 3*step), nil)
		conn := start(handler)()
		ask(t, conn, plain("/"), fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 6*step))
		for range 3 { // however long it takes in all
			time.Sleep(4 * time.Second)
			_, _ = io.ReadFull(conn, make([]byte, step))
		}
		begin := time.Now()
		if err := <-second; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("sending to who does not read: %v", err)
		}
		if got := time.Since(begin); got != 5*time.Second {
			t.Errorf("the answer ends after %s", got)
		}
	})
}

// TestDeadlineStays ends an answer at the deadline that its pace set for an earlier part and then left as it is.
func TestDeadlineStays(t *testing.T) {
	inBubble(t, func(t *testing.T, start starter) {
		part := make([]byte, 2*smallWrite)
		handler, second := sendTwice(part, func(w *Response) Full {
			set := sync.OnceValue(func() error { return w.SetWriteDeadline(time.Now().Add(3 * time.Second)) })
			return func(int64, int64) error { return set() }
		})
		conn := start(handler)()
		begin := time.Now()
		ask(t, conn, plain("/"), fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 2*len(part)))
		if _, err := io.ReadFull(conn, part); err != nil {
			t.Fatal(err)
		}
		if err := <-second; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("sending to who does not read: %v", err)
		}
		if got := time.Since(begin); got != 3*time.Second {
			t.Errorf("the answer ends after %s", got)
		}
	})
}

// TestDeadlineIsOfItsResponse does not end an answer at a deadline of the one before.
func TestDeadlineIsOfItsResponse(t *testing.T) {
	inBubble(t, func(t *testing.T, start starter) {
		conn := start(func(rw http.ResponseWriter, r *http.Request) {
			w := rw.(*Response)
			w.Pace(func(int64, int64) error {
				if r.URL.Path == "/patient" {
					return nil
				}
				return w.SetWriteDeadline(time.Now().Add(time.Second))
			})
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ok")
			if err := w.FlushError(); err != nil {
				panic(err)
			}
		})()
		ask(t, conn, plain("/impatient"), answer("ok"))
		if _, err := io.WriteString(conn, plain("/patient")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		(&client{conn, t}).want(answer("ok"))
	})
}
