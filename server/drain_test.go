package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/disktier"
)

// TestDrain looks at every kind of request while the service stops.
func TestDrain(t *testing.T) {
	v := start(t)
	c := v.client()
	v.put(t, c, "k", 64)

	// A body that is under way when the drain begins.
	const size = 1 << 20
	conn := dial(t, v)
	defer conn.Close()
	body := payload("late", size)
	if _, err := conn.Write(append([]byte(putHead("late", size)), body[:size/2]...)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the body", func() bool { return v.store.Stats().InFlightBytes == size })
	// A stream and a wait that would go on for long.
	_, events, _ := v.listen(t, c, "")
	waited := make(chan int, 1)
	go func() {
		got := shot{method: "GET", path: embeddingPath("none") + "?wait_ms=60000"}.do(t, c, v, 404)
		waited <- got.resp.StatusCode
	}()
	eventually(t, "the wait", func() bool { return v.store.Stats().WaitingKeys == 1 })
	// Connections that are open, to ask on while no new ones are taken.
	asking := dial(t, v)
	defer asking.Close()
	ask := func(request string) *http.Response {
		t.Helper()
		if _, err := io.WriteString(asking, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(asking), nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	ask("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")

	v.draining.Store(true)
	v.refusing.Store(true)
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/readyz", "", 503},
		{"GET", "/livez", "", 200},
		{"GET", embeddingPath("k"), "", 200},
		{"PUT", embeddingPath("new"), "x", 503},
		{"POST", "/v1/namespaces/ns/lookup", `{"keys":["k"]}`, 200},
		{"POST", "/v1/namespaces/ns/lookup", `{"keys":["x"],"claim":{"owner":"o"}}`, 503},
	} {
		h := http.Header{}
		if tc.method == "POST" {
			h = asJSON
		}
		got := shot{method: tc.method, path: tc.path, header: h, body: []byte(tc.body)}.do(t, c, v, tc.status)
		if !got.resp.Close {
			t.Errorf("%s %s keeps its connection", tc.method, tc.path)
		}
		if tc.status == 503 && (got.code() != api.Draining || got.resp.Header.Get("Retry-After") == "") {
			t.Errorf("%s %s: code %q", tc.method, tc.path, got.code())
		}
	}

	stopped := make(chan error, 1)
	go func() { stopped <- v.stop() }()
	if e, err := events.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream went on with %+v, %v", e, err)
	}
	if status := <-waited; status != 404 {
		t.Errorf("the wait ended with %d", status)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a body in flight: %v", err)
	default:
	}
	if _, err := conn.Write(body[size/2:]); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 201 {
		t.Errorf("the body in flight was answered %d", resp.StatusCode)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(v.config.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestDrainUnderLoad stops the service under 32 clients that write and read: nobody loses an answer inside a
// body, and every acknowledged embedding is there after the restart.
func TestDrainUnderLoad(t *testing.T) {
	c := testConfig(t)
	c.DrainDelay = 200 * time.Millisecond
	v := run(t, c)
	const size = 200_000
	var acked sync.Map
	var broken atomic.Int64
	var clients sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 32 {
		own := v.dialClient(t)
		clients.Go(func() {
			buf := make([]byte, size)
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("%d/%d", i, n)
				_, err := own.Put(ctx, "ns", key, payload(key, size), api.PutHeader{})
				if err == nil {
					acked.Store(key, true)
					_, err = own.Get(ctx, "ns", key, buf, client.GetOptions{})
				}
				switch {
				case err == nil && !bytes.Equal(buf, payload(key, size)):
					t.Errorf("%s has other bytes", key)
				case errors.Is(err, io.ErrUnexpectedEOF):
					broken.Add(1)
				case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrNotFound):
				case err != nil:
					return // no connection any more
				}
			}
		})
	}
	eventually(t, "some load", func() bool { return v.store.Stats().Puts > 100 })
	begin := time.Now()
	if err := v.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("the drain took %s", took)
	}
	cancel()
	clients.Wait()
	if n := broken.Load(); n > 0 {
		t.Errorf("%d answers were broken off", n)
	}
	v = run(t, c)
	own := v.dialClient(t)
	buf := make([]byte, size)
	kept, total := 0, 0
	acked.Range(func(key, _ any) bool {
		total++
		_, err := own.Get(t.Context(), "ns", key.(string), buf, client.GetOptions{})
		if err == nil {
			kept++
			if !bytes.Equal(buf, payload(key.(string), size)) {
				t.Errorf("%s has other bytes after the restart", key)
			}
		} else if !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s: %v", key, err)
		}
		return true
	})
	if evicted := v.store.Stats().Tiers[1].Evictions["capacity"]; kept < total && evicted == 0 && total*size < 100<<20 {
		t.Errorf("%d of %d acknowledged embeddings are there after the restart", kept, total)
	}
}

// TestRestart stops and starts the service: it serves from disk, and warms its host tier with what was hot.
func TestRestart(t *testing.T) {
	c := testConfig(t)
	v := run(t, c)
	hc := v.client()
	for i := range 8 {
		v.put(t, hc, fmt.Sprint("k", i), 1<<20, api.HeaderMeta, `{"n":1}`, api.HeaderEncodeCost, "1")
	}
	shot{method: "PUT", path: "/v1/namespaces/raised/epoch", header: asJSON, body: []byte(`{"epoch":3}`)}.do(t, hc, v, 200)
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}

	cold := c
	if err := os.Rename(v.hotList, v.hotList+".kept"); err != nil {
		t.Fatal(err)
	}
	v = run(t, cold)
	hc = v.client()
	got := shot{method: "GET", path: embeddingPath("k3")}.do(t, hc, v, 200)
	if !bytes.Equal(got.got, payload("k3", 1<<20)) || got.resp.Header.Get(api.HeaderTier) != "disk" || got.resp.Header.Get(api.HeaderMeta) != `{"n":1}` {
		t.Errorf("after the restart: tier %q, meta %q", got.resp.Header.Get(api.HeaderTier), got.resp.Header.Get(api.HeaderMeta))
	}
	if again := (shot{method: "GET", path: embeddingPath("k3")}).do(t, hc, v, 200); again.resp.Header.Get(api.HeaderTier) != "host" {
		t.Errorf("the second read came from %q", again.resp.Header.Get(api.HeaderTier))
	}
	if epoch := (shot{method: "GET", path: "/v1/namespaces/raised/epoch"}).do(t, hc, v, 200); string(epoch.got) != `{"epoch":3}` {
		t.Errorf("epoch %s", epoch.got)
	}
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}

	if err := os.Rename(v.hotList+".kept", v.hotList); err != nil {
		t.Fatal(err)
	}
	v = run(t, c)
	eventually(t, "the warming", func() bool { return v.store.Stats().Tiers[0].Entries == 8 })
}

// TestClose ends a service that runs, one that drains, and one that never ran.
func TestClose(t *testing.T) {
	t.Run("running", func(t *testing.T) {
		v := start(t, noDisk)
		shot{method: "GET", path: "/livez"}.do(t, v.client(), v, 200)
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("draining", func(t *testing.T) {
		v := start(t, func(c *Config) { c.DrainDelay, c.DrainTimeout = time.Hour, 2*time.Hour })
		stopped := make(chan error, 1)
		go func() { stopped <- v.stop() }()
		eventually(t, "the drain", v.draining.Load)
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	t.Run("never run", func(t *testing.T) {
		s, err := New(t.Context(), testConfig(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestInUse starts a second service on what a first one has.
func TestInUse(t *testing.T) {
	v := start(t)
	for name, tc := range map[string]struct {
		edit func(*Config)
		want error
	}{
		"address":        {func(c *Config) { c.Listen = []string{v.addrs[0].String()} }, ErrAddressInUse},
		"socket":         {func(c *Config) { c.Socket = v.config.Socket }, ErrAddressInUse},
		"disk directory": {func(c *Config) { c.DiskDir = v.config.DiskDir }, disktier.ErrLocked},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			tc.edit(&c)
			s, err := New(t.Context(), c)
			if !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if err == nil {
				s.Close()
			}
			if _, err := os.Stat(c.Socket); err == nil && name != "socket" {
				t.Error("the socket of the service that did not start is there")
			}
		})
	}
	shot{method: "GET", path: "/readyz"}.do(t, v.client(), v, 200)
}
