package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// payload returns n bytes that are not like any shift of themselves.
func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

func sumOf(b []byte) api.Sum { return api.Sum(xxh3.Hash128(b).Bytes()) }

func mustPut(t testing.TB, c *client.Client, key string, body []byte) {
	t.Helper()
	if _, err := c.Put(t.Context(), namespace, key, body, api.PutHeader{}); err != nil {
		t.Fatal(err)
	}
}

func TestOptions(t *testing.T) {
	for url, good := range map[string]bool{
		"http://127.0.0.1:7070":       true,
		"http://127.0.0.1:7070/":      true,
		"https://keepsight.example/x": true,
		"unix:///run/keepsight.sock":  true,
		"":                            false,
		"127.0.0.1:7070":              false,
		"http://":                     false,
		"ftp://a":                     false,
		"unix://run/keepsight.sock":   false,
		"http://user:pass@a":          false,
		"http://a?b":                  false,
		"http://a#b":                  false,
		"http://a\n":                  false,
	} {
		c, err := client.New(client.Options{BaseURL: url})
		if (err == nil) != good {
			t.Errorf("New(%q): %v", url, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestPutAndGet(t *testing.T) {
	for _, size := range []int{1, 100, 64 << 10, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c := serve(t, new(fake))
			body := payload(size)
			epoch := uint64(0)
			stored, err := c.Put(t.Context(), namespace, oddKey, body, api.PutHeader{
				DType: "U8", Shape: []int64{1, int64(size)}, Meta: []byte(`{"grid_thw":[1,2,3]}`),
				Cost: 85 * time.Millisecond, TTL: time.Hour, Epoch: &epoch,
			})
			if err != nil || stored != api.StoredCreated {
				t.Fatalf("%s, %v", stored, err)
			}
			buf := make([]byte, size+10)
			got, err := c.Get(t.Context(), namespace, oddKey, buf, client.GetOptions{})
			if err != nil || !bytes.Equal(buf[:size], body) {
				t.Fatalf("other bytes came back: %v", err)
			}
			want := api.Stat{
				Tensor: api.Tensor{Size: int64(size), DType: "U8", Shape: []int64{1, int64(size)}, Meta: []byte(`{"grid_thw":[1,2,3]}`)},
				Sum:    got.Sum, Cost: 85 * time.Millisecond, TTL: time.Hour, Tier: "host",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("stat (-want +got):\n%s", diff)
			}
			if head, err := c.Stat(t.Context(), namespace, oddKey, client.GetOptions{}); err != nil || cmp.Diff(want, head) != "" {
				t.Errorf("HEAD says %+v, %v", head, err)
			}
			if err := c.Delete(t.Context(), namespace, oddKey); err != nil {
				t.Error(err)
			}
			if _, err := c.Stat(t.Context(), namespace, oddKey, client.GetOptions{}); !errors.Is(err, client.ErrNotFound) {
				t.Errorf("after DELETE: %v", err)
			}
		})
	}
}

// The shape of a scalar is empty, and so is its header.
func TestScalar(t *testing.T) {
	c := serve(t, new(fake))
	if _, err := c.Put(t.Context(), namespace, "a", payload(4), api.PutHeader{DType: "F32", Shape: []int64{}}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Get(t.Context(), namespace, "a", make([]byte, 4), client.GetOptions{Expect: &api.Expect{Shape: []int64{}}})
	if err != nil || got.DType != "F32" || got.Shape == nil || len(got.Shape) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUnixSocket(t *testing.T) {
	f := &fake{t: t, values: map[string]value{}}
	socket := filepath.Join(t.TempDir(), "keepsight.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(f)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	c := connect(t, "unix://"+socket)
	mustPut(t, c, "a", payload(1<<20))
	buf := make([]byte, 1<<20)
	if _, err := c.Get(t.Context(), namespace, "a", buf, client.GetOptions{}); err != nil || !bytes.Equal(buf, payload(1<<20)) {
		t.Errorf("other bytes came back: %v", err)
	}
}

func TestNamesAreCheckedHere(t *testing.T) {
	f := new(fake)
	c := serve(t, f)
	for _, err := range []error{
		second(c.Stat(t.Context(), "Qwen", "a", client.GetOptions{})),
		second(c.Stat(t.Context(), namespace, "", client.GetOptions{})),
		second(c.Put(t.Context(), namespace, "\n", []byte("a"), api.PutHeader{})),
		c.Delete(t.Context(), "", "a"),
		second(c.Lookup(t.Context(), "Qwen", api.LookupRequest{Keys: []string{"a"}})),
		second(c.Lookup(t.Context(), namespace, api.LookupRequest{})),
		second(c.Fetch(t.Context(), "Qwen", api.FetchRequest{Keys: []string{"a"}}, nil)),
		second(c.Fetch(t.Context(), namespace, api.FetchRequest{Keys: []string{""}}, nil)),
		second(c.Namespace(t.Context(), "Qwen")),
		second(c.Epoch(t.Context(), "Qwen")),
	} {
		if _, ok := errors.AsType[*api.Error](err); !ok {
			t.Errorf("%v", err)
		}
	}
	for _, err := range []error{c.Renew(t.Context(), "", 0), c.GiveUp(t.Context(), "a/b")} {
		if !errors.Is(err, client.ErrNoSuchClaim) {
			t.Errorf("%v", err)
		}
	}
	if err := c.ReleasePin(t.Context(), "a/b"); !errors.Is(err, client.ErrNoSuchPin) {
		t.Errorf("%v", err)
	}
	if calls := f.requests(); len(calls) > 0 {
		t.Errorf("requests were sent: %v", calls)
	}
}

func second[T any](_ T, err error) error { return err }

func TestDeadlines(t *testing.T) {
	arrived := make(chan struct{})
	f := &fake{override: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices when the client goes
		arrived <- struct{}{}
		<-r.Context().Done()
	}}
	c := serve(t, f)
	buf := make([]byte, 10)
	for name, call := range map[string]func(context.Context) error{
		"get": func(ctx context.Context) error { return second(c.Get(ctx, namespace, "a", buf, client.GetOptions{})) },
		"put": func(ctx context.Context) error { return second(c.Put(ctx, namespace, "a", buf, api.PutHeader{})) },
		"lookup": func(ctx context.Context) error {
			return second(c.Lookup(ctx, namespace, api.LookupRequest{Keys: []string{"a"}}))
		},
		"fetch": func(ctx context.Context) error {
			return second(c.Fetch(ctx, namespace, api.FetchRequest{Keys: []string{"a"}}, nil))
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// A connection that the service closes just when a call uses it again, as it does when it restarts, is
// replaced, whatever the call.
func TestClosedConnectionIsReplaced(t *testing.T) {
	requests, idempotencyKeys := 0, 0
	f := &fake{override: func(w http.ResponseWriter, r *http.Request) {
		requests++
		idempotencyKeys += len(r.Header["Idempotency-Key"])
		_, _ = io.Copy(io.Discard, r.Body)
		if requests%3 == 2 {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		w.Header().Set(api.HeaderStored, string(api.StoredExisting))
		_, _ = io.WriteString(w, `{"epoch":1,"results":[{"state":"miss"}]}`)
	}}
	c := serve(t, f)
	for name, call := range map[string]func() error{
		"put":    func() error { return second(c.Put(t.Context(), namespace, "a", payload(100), api.PutHeader{})) },
		"lookup": func() error { return second(c.Lookup(t.Context(), namespace, api.LookupRequest{Keys: []string{"a"}})) },
		"epoch":  func() error { return second(c.Epoch(t.Context(), namespace)) },
	} {
		for range 2 { // one request, then two
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if requests != 9 || idempotencyKeys != 0 {
		t.Errorf("%d requests, %d of them with a header that is not meant to be sent", requests, idempotencyKeys)
	}
}

func TestBaseURLWithAPath(t *testing.T) {
	f := &fake{override: func(w http.ResponseWriter, r *http.Request) { fail(w, api.NotFound) }}
	f.t = t
	server := httptest.NewServer(f)
	defer server.Close()
	c := connect(t, server.URL+"/behind%2Fa/proxy/")
	_, _ = c.Stat(t.Context(), namespace, "a/b", client.GetOptions{})
	if diff := cmp.Diff([]string{"HEAD /behind%2Fa/proxy/v1/namespaces/qwen/embeddings/a%2Fb"}, f.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestTLS(t *testing.T) {
	f := &fake{t: t, values: map[string]value{}}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of who does not trust it
	server.StartTLS()
	defer server.Close()
	trusting, err := client.New(client.Options{BaseURL: server.URL, Token: "secret", TLS: server.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	defer trusting.Close()
	body := payload(1 << 20)
	mustPut(t, trusting, "a", body)
	buf := make([]byte, len(body))
	if _, err := trusting.Get(t.Context(), namespace, "a", buf, client.GetOptions{}); err != nil || !bytes.Equal(buf, body) {
		t.Errorf("other bytes came back: %v", err)
	}
	if err := connect(t, server.URL).Live(t.Context()); err == nil {
		t.Error("a certificate of nobody is trusted")
	}
}

// Connections are used again after answers of every kind.
func TestConnectionsAreReused(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			f := new(fake)
			f.t, f.values, f.epochs = t, map[string]value{}, map[string]uint64{}
			server := httptest.NewUnstartedServer(f)
			opened := 0
			server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					opened++
				}
			}
			o := client.Options{Token: "secret"}
			if scheme == "https" {
				server.StartTLS()
				o.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
			} else {
				server.Start()
			}
			defer server.Close()
			o.BaseURL = server.URL
			c, err := client.New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			mustPut(t, c, "a", payload(100<<10))
			for range 3 {
				_, _ = c.Get(t.Context(), namespace, "a", make([]byte, 100<<10), client.GetOptions{})
				_, _ = c.Get(t.Context(), namespace, "a", make([]byte, 10), client.GetOptions{Expect: &api.Expect{Size: 10}})
				_, _ = c.Stat(t.Context(), namespace, "b", client.GetOptions{})
				_, _ = c.Put(t.Context(), namespace, "b", []byte("abc"), api.PutHeader{})
				_, _ = c.Lookup(t.Context(), namespace, api.LookupRequest{Keys: []string{"a", "b"}})
				_, _ = c.Fetch(t.Context(), namespace, api.FetchRequest{Keys: []string{"a", "b"}}, func(int, api.Tensor) []byte { return nil })
				_ = c.Ready(t.Context())
				_ = c.Delete(t.Context(), namespace, "b")
			}
			server.Close() // before opened is read
			if opened != 1 {
				t.Errorf("%d connections were opened", opened)
			}
		})
	}
}
