package client_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/keepsight/keepsight/api/client"
)

// A held is a connection whose writes wait, to arrive together.
type held struct {
	net.Conn
	holding bool
	waiting bytes.Buffer
}

func (h *held) Write(p []byte) (int, error) {
	if h.holding {
		return h.waiting.Write(p)
	}
	return h.Conn.Write(p)
}

func (h *held) release() error {
	_, err := h.waiting.WriteTo(h.Conn)
	return err
}

// TLS holds what it has read and not given out, where the socket does not show it.
func TestUnsolicitedAnswerInsideTLS(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	certificates := server.TLS.Certificates
	server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for _, answers := range [][]string{{"mine", "another key's"}, {"mine"}} {
			conn, err := listener.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			serving.Go(func() {
				defer conn.Close()
				socket := &held{Conn: conn}
				secure := tls.Server(socket, &tls.Config{Certificates: certificates})
				p := &peer{Conn: secure, in: bufio.NewReader(secure), t: t}
				p.whole()
				socket.holding = true
				for _, answer := range answers {
					p.say(embedding([]byte(answer))) // a record of its own
				}
				if err := socket.release(); err != nil {
					t.Error(err)
				}
				p.gone()
			})
		}
	})
	c, err := client.New(client.Options{BaseURL: "https://" + listener.Addr().String(), TLS: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for range 2 {
		if stat, err := c.Get(t.Context(), namespace, "a", buf, client.GetOptions{}); err != nil || string(buf[:stat.Size]) != "mine" {
			t.Errorf("%q, %v", buf[:stat.Size], err)
		}
	}
	c.Close()
	listener.Close()
	serving.Wait()
}
