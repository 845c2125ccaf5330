package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepsight/keepsight/api"
)

const created = "HTTP/1.1 201 Created\r\nKeepsight-Stored: created\r\nContent-Length: 0\r\n\r\n"

// piped returns a client whose one connection ends at serve.
func piped(wrap func(net.Conn) net.Conn, serve func(net.Conn, *bufio.Reader)) *Client {
	return &Client{
		address: address{host: "localhost"},
		connect: func(context.Context) (*conn, error) {
			ours, other := net.Pipe()
			go func() {
				defer other.Close()
				serve(other, bufio.NewReader(other))
			}()
			return newConn(ours, wrap(ours)), nil
		},
	}
}

func plain(c net.Conn) net.Conn { return c }

// Behind a proxy that keeps the question to itself, the body is sent unasked in the end. The invitation may
// come late.
func TestBodyIsSentUnasked(t *testing.T) {
	for _, late := range []string{"", "HTTP/1.1 100 Continue\r\n\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			c := piped(plain, func(conn net.Conn, in *bufio.Reader) {
				r, err := http.ReadRequest(in)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := in.Peek(1); err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(conn, late)
				if n, err := io.Copy(io.Discard, r.Body); err != nil || n != expectContinueBytes {
					t.Errorf("%d bytes came: %v", n, err)
				}
				_, _ = io.WriteString(conn, created)
			})
			begin := time.Now()
			if _, err := c.Put(t.Context(), "ns", "a", make([]byte, expectContinueBytes), api.PutHeader{}); err != nil {
				t.Error(err)
			}
			if waited := time.Since(begin); waited != expectContinueTimeout {
				t.Errorf("after %v", waited)
			}
			c.Close()
		})
	}
}

// A deaf is a connection whose other end takes nothing.
type deaf struct{ net.Conn }

func (deaf) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// What cannot be sent may have been answered all the same, but nobody waits long for that.
func TestRequestThatCannotBeSent(t *testing.T) {
	for _, size := range []int{10, expectContinueBytes} {
		for _, answer := range []string{"", "HTTP/1.1 503 Service Unavailable\r\nKeepsight-Error: no_memory\r\nContent-Length: 2\r\n\r\n{}"} {
			synctest.Test(t, func(t *testing.T) {
				c := piped(func(c net.Conn) net.Conn { return deaf{c} }, func(conn net.Conn, in *bufio.Reader) {
					_, _ = io.WriteString(conn, answer)
					_, _ = io.Copy(io.Discard, in)
				})
				begin := time.Now()
				_, err := c.Put(t.Context(), "ns", "a", make([]byte, size), api.PutHeader{})
				waited := time.Since(begin)
				switch {
				case answer != "" && (!errors.Is(err, ErrUnavailable) || waited != 0):
					t.Errorf("answered: %v after %v", err, waited)
				case answer == "" && (err == nil || waited != lastWordTimeout):
					t.Errorf("%v after %v", err, waited)
				}
			})
		}
	}
}
