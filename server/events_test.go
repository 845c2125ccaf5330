package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// listen opens an event stream and returns its events one by one; leave ends it.
func (v *service) listen(t testing.TB, c *http.Client, lastEventID string) (next func() api.Event, reader *api.EventReader, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", v.url("/v1/namespaces/ns/events"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastEventID != "" {
		r.Header.Set(api.HeaderLastEventID, lastEventID)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != api.MediaEvents {
		t.Fatalf("status %d, type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	reader = api.NewEventReader(resp.Body)
	next = func() api.Event {
		t.Helper()
		e, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	leave = func() {
		cancel()
		resp.Body.Close()
	}
	t.Cleanup(leave)
	return next, reader, leave
}

func TestEvents(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	next, _, leave := v.listen(t, c, "")
	v.put(t, c, "k", 64)
	added := next()
	if added.Type != api.EventAdded || added.Key != "k" || added.Size != 64 {
		t.Fatalf("got %+v", added)
	}
	leave()

	// What happens while a listener is away comes when it resumes.
	shot{method: "DELETE", path: embeddingPath("k")}.do(t, c, v, 204)
	shot{method: "PUT", path: "/v1/namespaces/other/embeddings/k", body: []byte("x")}.do(t, c, v, 201)
	shot{method: "PUT", path: "/v1/namespaces/ns/epoch", header: asJSON, body: []byte(`{"epoch":2}`)}.do(t, c, v, 200)
	next, _, leave = v.listen(t, c, added.ID.String())
	if e := next(); e.Type != api.EventRemoved || e.Key != "k" || e.Epoch != 0 {
		t.Errorf("got %+v, want the removal", e)
	}
	if e := next(); e.Type != api.EventEpoch || e.Epoch != 2 {
		t.Errorf("got %+v, want the epoch", e)
	}
	leave()

	// A number of another life of the service means nothing in this one.
	other := api.EventID{Stream: added.ID.Stream + 1, Seq: added.Seq}
	next, _, _ = v.listen(t, c, other.String())
	if e := next(); e.Type != api.EventReset || e.Epoch != 2 || e.ID.Stream != v.life {
		t.Errorf("got %+v, want a reset", e)
	}
}

// TestEventsResumeBeforeTheFirst leaves a stream that never had an event and resumes it.
func TestEventsResumeBeforeTheFirst(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", v.url("/v1/namespaces/ns/events"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var first string
	if _, err := fmt.Fscanf(resp.Body, "id: %s\n", &first); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	v.put(t, c, "k", 64)
	next, _, _ := v.listen(t, c, first)
	if e := next(); e.Type != api.EventAdded || e.Key != "k" {
		t.Errorf("got %+v", e)
	}
}

// TestHeartbeat waits for the comments that keep a silent stream alive.
func TestHeartbeat(t *testing.T) {
	v := start(t, noDisk)
	conn := dial(t, v)
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/namespaces/ns/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	var got strings.Builder
	buf := make([]byte, 4096)
	for strings.Count(got.String(), api.EventComment) < 2 {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.Write(buf[:n])
	}
}

// TestEventsEndWithTheRight takes the token of a listener away, or gives it to another tenant: its stream ends,
// though it never pauses.
func TestEventsEndWithTheRight(t *testing.T) {
	for name, after := range map[string][]tokenEntry{
		"token gone":     {entry("a", "t", "*", "read")},
		"another tenant": {entry("a", "t", "*", "read"), entry("b", "u", "*", "read")},
		"another verb":   {entry("b", "t", "*", "write")},
	} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, busy %t", name, busy), func(t *testing.T) { eventsEnd(t, after, busy) })
		}
	}
}

func eventsEnd(t *testing.T, after []tokenEntry, busy bool) {
	file := tokens(t, entry("a", "t", "*", "read"), entry("b", "t", "*", "read"))
	v := start(t, noDisk, withTokens(file), func(c *Config) { c.pace.heartbeat = 300 * time.Millisecond }) // no pause is as long
	c := v.client()
	r, err := http.NewRequest("GET", v.url("/v1/namespaces/ns/events"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = bearer("b")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ended := make(chan struct{})
	var raising sync.WaitGroup
	if busy {
		raising.Go(func() {
			for epoch := uint64(1); ; epoch++ {
				select {
				case <-ended:
					return
				default:
				}
				if err := v.store.RaiseEpoch(t.Context(), tiers.Scope{Tenant: "t", Namespace: "ns", Epoch: epoch}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writeTokens(t, file, after...)
	if err := v.Reload(); err != nil {
		t.Fatal(err)
	}
	reader, begin := api.NewEventReader(resp.Body), time.Now()
	for err == nil {
		if _, err = reader.Next(); err == nil && (!busy || time.Since(begin) > 5*time.Second) {
			t.Error("an event came after the right had ended")
			break
		}
	}
	close(ended)
	raising.Wait()
}
