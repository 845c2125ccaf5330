package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// A small body is sent with its head, a large one when it is asked for; a stream can be read once.
var (
	small = payload(1000)
	large = payload(4 << 20)
)

func puts(c *client.Client) map[string]func(context.Context) error {
	put := func(body []byte) func(context.Context) error {
		return func(ctx context.Context) error { return second(c.Put(ctx, namespace, "a", body, api.PutHeader{})) }
	}
	putFrom := func(body []byte) func(context.Context) error {
		return func(ctx context.Context) error {
			r := struct{ io.Reader }{bytes.NewReader(body)}
			return second(c.PutFrom(ctx, namespace, "a", r, int64(len(body)), api.PutHeader{}))
		}
	}
	return map[string]func(context.Context) error{
		"small": put(small), "large": put(large), "small stream": putFrom(small), "large stream": putFrom(large),
	}
}

// Whenever the service closes a connection between two calls, the second call opens another one.
func TestStaleConnectionIsReplaced(t *testing.T) {
	closed := map[string]func(*peer){
		"while it was idle": func(p *peer) {
			p.whole()
			p.say(created)
		},
		"when it was used": func(p *peer) {
			p.whole()
			p.say(created)
			p.request()
		},
		"with a word": func(p *peer) {
			p.whole()
			p.say(created + noMemory)
			p.gone()
		},
	}
	for when, first := range closed {
		for body := range puts(nil) {
			t.Run(when+", "+body, func(t *testing.T) {
				c := script(t, first, func(p *peer) {
					p.whole()
					p.say(created)
					p.gone()
				})
				put := puts(c)[body]
				for range 2 {
					if err := put(t.Context()); err != nil {
						t.Error(err)
					}
				}
				c.Close()
			})
		}
	}
}

// What the service says of itself on an idle connection is not the answer to the next request.
func TestUnsolicitedAnswerIsNotTaken(t *testing.T) {
	said := make(chan struct{})
	c := script(t, func(p *peer) {
		p.whole()
		p.say(alive)
		p.say(embedding([]byte("another key's")))
		close(said)
		p.gone()
	}, func(p *peer) {
		p.whole()
		p.say(embedding([]byte("mine")))
		p.gone()
	})
	if err := c.Live(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-said
	buf := make([]byte, 100)
	if stat, err := c.Get(t.Context(), namespace, "a", buf, client.GetOptions{}); err != nil || string(buf[:stat.Size]) != "mine" {
		t.Errorf("%q, %v", buf[:stat.Size], err)
	}
	c.Close()
}

// A request that the service has begun to answer, or whose stream was read, is not sent twice.
func TestWhatWasHeardIsNotRepeated(t *testing.T) {
	for name, last := range map[string]func(*peer){
		"after half a head": func(p *peer) {
			p.request()
			p.say("HTTP/1.1 201 Cre")
		},
		"after a part of the body": func(p *peer) {
			p.request()
			p.say(invite)
			_, _ = io.CopyN(io.Discard, p.in, 1000)
		},
	} {
		for _, body := range []string{"large", "large stream"} {
			t.Run(name+", "+body, func(t *testing.T) {
				c := script(t, func(p *peer) {
					p.whole()
					p.say(created)
					last(p)
				})
				put := puts(c)[body]
				if err := put(t.Context()); err != nil {
					t.Error(err)
				}
				if err := put(t.Context()); err == nil || errors.Is(err, client.ErrProtocol) {
					t.Error(err)
				}
				c.Close()
			})
		}
	}
	t.Run("on a new connection", func(t *testing.T) {
		c := script(t, func(p *peer) { p.request() })
		if err := c.Live(t.Context()); err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, client.ErrProtocol) {
			t.Error(err)
		}
	})
}

// A service that refuses a body while it comes is heard, whether it reads on, waits or goes.
func TestRefusalDuringTheBody(t *testing.T) {
	for name, then := range map[string]func(*peer){
		"reads on": func(p *peer) { p.gone() },
		"waits": func(p *peer) {
			// One byte behind what it has read: it takes nothing more, and notices the end all the same.
			for p.in.Buffered() > 0 {
				_, _ = p.in.Discard(p.in.Buffered())
			}
			<-p.t.Context().Done()
		},
		"goes": func(*peer) {},
	} {
		for _, body := range []string{"large", "large stream"} {
			t.Run(name+", "+body, func(t *testing.T) {
				c := script(t, func(p *peer) {
					p.request()
					p.say(invite)
					_, _ = io.CopyN(io.Discard, p.in, 1000)
					p.say(noMemory)
					then(p)
				})
				err := puts(c)[body](t.Context())
				e, ok := errors.AsType[*client.Error](err)
				if !ok || e.Code != api.NoMemory || e.Detail != "full" {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// A service that answers before it asks never gets the body, and not the next request on that connection.
func TestAnswerInsteadOfAnInvitation(t *testing.T) {
	once := func(answer string) func(*peer) {
		return func(p *peer) {
			p.request()
			p.say(answer)
			if n, _ := io.Copy(io.Discard, p.in); n > 0 {
				t.Errorf("%d bytes came behind the head", n)
			}
		}
	}
	c := script(t, once(existing), once("HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"+existing), once(noMemory))
	for i, want := range []error{nil, nil, client.ErrUnavailable} {
		if err := puts(c)["large"](t.Context()); !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// Interim responses are passed over, within reason.
func TestInterimResponses(t *testing.T) {
	c := script(t, func(p *peer) {
		p.request()
		p.say("HTTP/1.1 102 Processing\r\n\r\n" + invite + alive)
		p.request()
		p.say(strings.Repeat(invite, 100))
		p.gone()
	})
	if err := c.Live(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Live(t.Context()); !errors.Is(err, client.ErrProtocol) {
		t.Error(err)
	}
}

// Nothing that is sent can end a header or begin another one.
func TestHeadersCannotBeInjected(t *testing.T) {
	url := listen(t, func(_ int, p *peer) { t.Error("a connection was opened") })
	forged, err := client.New(client.Options{BaseURL: url, Token: "secret\r\nKeepsight-Ttl: 1"})
	if err != nil {
		t.Fatal(err)
	}
	honest := connect(t, url)
	for name, err := range map[string]error{
		"token": forged.Live(t.Context()),
		"meta":  second(honest.Put(t.Context(), namespace, "a", small, api.PutHeader{Meta: []byte("1\nKeepsight-Ttl: 1")})),
		"claim": second(honest.Put(t.Context(), namespace, "a", small, api.PutHeader{Claim: "a\x00b"})),
	} {
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Many calls at once share the connections and nothing else.
func TestConcurrentCalls(t *testing.T) {
	c := serve(t, new(fake))
	var calling sync.WaitGroup
	for i := range 16 {
		calling.Go(func() {
			key, body := fmt.Sprint(i), payload(1000+i*20_000)
			buf := make([]byte, len(body))
			for range 10 {
				if _, err := c.Put(t.Context(), namespace, key, body, api.PutHeader{}); err != nil {
					t.Error(err)
				}
				if stat, err := c.Get(t.Context(), namespace, key, buf, client.GetOptions{}); err != nil || !bytes.Equal(buf[:stat.Size], body) {
					t.Errorf("other bytes came back: %v", err)
				}
				clear(buf)
				if r, err := c.Lookup(t.Context(), namespace, api.LookupRequest{Keys: []string{key}}); err != nil || r.Results[0].Size != int64(len(body)) {
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	calling.Wait()
}
