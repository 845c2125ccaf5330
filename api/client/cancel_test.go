package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/keepsight/keepsight/api/client"
)

// A call returns when its context ends, whatever it is waiting for, and so does its connection.
func TestCancellationInEachPhase(t *testing.T) {
	half := embedding(large)[:1<<20]
	get := func(ctx context.Context, c *client.Client) error {
		return second(c.Get(ctx, namespace, "a", make([]byte, len(large)), client.GetOptions{}))
	}
	put := func(ctx context.Context, c *client.Client) error { return puts(c)["large"](ctx) }
	for _, test := range []struct {
		phase string
		serve func(p *peer, reached func())
		call  func(context.Context, *client.Client) error
	}{
		{"invitation", func(p *peer, reached func()) { p.request(); reached(); p.gone() }, put},
		{"writing", func(p *peer, reached func()) {
			p.request()
			p.say(invite)
			_, _ = p.in.Peek(1)
			reached()
			<-p.t.Context().Done()
		}, put},
		{"writing a stream", func(p *peer, reached func()) {
			p.request()
			p.say(invite)
			_, _ = p.in.Peek(1)
			reached()
			<-p.t.Context().Done()
		}, func(ctx context.Context, c *client.Client) error { return puts(c)["large stream"](ctx) }},
		{"answer to a body", func(p *peer, reached func()) { p.whole(); reached(); p.gone() }, put},
		{"head", func(p *peer, reached func()) { p.request(); p.say("HTTP/1.1 200"); reached(); p.gone() }, get},
		{"body", func(p *peer, reached func()) { p.request(); p.say(half); reached(); p.gone() }, get},
		{"chunks", func(p *peer, reached func()) {
			p.request()
			p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"epo")
			reached()
			p.gone()
		}, func(ctx context.Context, c *client.Client) error { return second(c.Epoch(ctx, namespace)) }},
		{"second use", func(p *peer, reached func()) { p.request(); p.say(alive); p.request(); reached(); p.gone() },
			func(ctx context.Context, c *client.Client) error { return errors.Join(c.Live(ctx), c.Live(ctx)) }},
	} {
		t.Run(test.phase, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := script(t, func(p *peer) { test.serve(p, cancel) })
			if err := test.call(ctx, c); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if err := test.call(ctx, c); !errors.Is(err, context.Canceled) { // and opens no connection
				t.Error(err)
			}
		})
	}
}

// A service that accepts and says nothing more holds up a handshake, which is a part of connecting.
func TestCancellationWhileConnecting(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1))
		cancel()
		_, _ = io.Copy(io.Discard, conn)
	}()
	c := connect(t, "https://"+listener.Addr().String())
	if err := c.Live(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
	listener.Close()
	if err := c.Live(t.Context()); !errors.As(err, new(*net.OpError)) {
		t.Errorf("nobody listens: %v", err)
	}
}
