package api_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api"
)

func TestEventsSurviveTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := api.EventID{Stream: rapid.Uint64().Draw(t, "stream"), Seq: rapid.Uint64Range(0, 1<<60).Draw(t, "seq")}
		stream := api.AppendEventID(nil, id)
		var want []api.Event
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			id.Seq++
			e := api.Event{ID: id, Seq: id.Seq, Epoch: rapid.Uint64Range(0, api.MaxEpoch).Draw(t, "epoch")}
			e.Type = rapid.SampledFrom([]api.EventType{api.EventAdded, api.EventRemoved, api.EventEpoch, api.EventReset}).Draw(t, "type")
			if e.Type == api.EventAdded || e.Type == api.EventRemoved {
				e.Key = keys().Draw(t, "key")
			}
			var err error
			if stream, err = api.AppendEvent(stream, e); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "comment") {
				stream = append(stream, api.EventComment...)
			}
			want = append(want, e)
		}
		r := api.NewEventReader(bytes.NewReader(stream))
		for i := range want {
			got, err := r.Next()
			if err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
			if diff := cmp.Diff(want[i], got); diff != "" {
				t.Fatalf("event %d (-want +got):\n%s", i, diff)
			}
		}
		if e, err := r.Next(); err != io.EOF {
			t.Fatalf("behind the last event: %+v, %v", e, err)
		}
		if r.Last() != id {
			t.Fatalf("the stream reached %v, want %v", r.Last(), id)
		}
	})
}

// A stream that is cut anywhere resumes behind the last event that was read: none is lost, none comes twice.
func TestEventsResumeAfterACut(t *testing.T) {
	event := func(seq uint64) api.Event {
		return api.Event{ID: api.EventID{Stream: 7, Seq: seq}, Seq: seq, Type: api.EventAdded, Key: "a"}
	}
	stream := api.AppendEventID(nil, api.EventID{Stream: 7, Seq: 10})
	for seq := uint64(11); seq <= 12; seq++ {
		var err error
		if stream, err = api.AppendEvent(stream, event(seq)); err != nil {
			t.Fatal(err)
		}
	}
	for end := range len(stream) + 1 {
		r := api.NewEventReader(bytes.NewReader(stream[:end]))
		last := uint64(10)
		for {
			e, err := r.Next()
			if err != nil {
				break
			}
			if e.Seq != last+1 {
				t.Fatalf("cut at %d: event %d came behind %d", end, e.Seq, last)
			}
			last = e.Seq
		}
		if got := r.Last(); got != (api.EventID{}) && got.Seq != last {
			t.Errorf("cut at %d: %d events were read and the reader stands at %d", end, last-10, got.Seq)
		}
	}
}

func TestEventStreamsAreRefused(t *testing.T) {
	const id = "id: 0000000000000007-1\n"
	for name, stream := range map[string]string{
		"no id":           "data: {\"seq\":1,\"type\":\"epoch\"}\n\n",
		"bad id":          "id: 1\n",
		"another number":  id + "data: {\"seq\":2,\"type\":\"epoch\"}\n\n",
		"not JSON":        id + "data: {\n\n",
		"two lines":       id + "data: {\"seq\":1,\ndata: \"type\":\"epoch\"}\n\n",
		"added nothing":   id + "data: {\"seq\":1,\"type\":\"added\"}\n\n",
		"removed nothing": id + "data: {\"seq\":1,\"type\":\"removed\",\"key\":\"\\n\"}\n\n",
	} {
		if e, err := api.NewEventReader(strings.NewReader(stream)).Next(); !errors.Is(err, api.ErrEvent) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	endless := strings.NewReader("data: " + strings.Repeat("a", 1<<20))
	if e, err := api.NewEventReader(endless).Next(); err == nil || err == io.EOF {
		t.Errorf("a line without end: %+v, %v", e, err)
	}
	if got := len("data: ") + 1<<20 - endless.Len(); got > 64<<10 {
		t.Errorf("%d bytes of a line without end were read", got)
	}
}

func TestLargestEventFits(t *testing.T) {
	for _, key := range []string{strings.Repeat("\"", api.MaxKeyLen), strings.Repeat("<", api.MaxKeyLen), strings.Repeat("\u2028", api.MaxKeyLen/3)} {
		want := api.Event{Type: api.EventAdded, Key: key, Size: 1 << 60, Epoch: api.MaxEpoch}
		stream, err := api.AppendEvent(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := api.NewEventReader(bytes.NewReader(stream)).Next(); err != nil || got.Key != key {
			t.Errorf("an event of %d bytes: %v", len(stream), err)
		}
	}
}

func FuzzEventReader(f *testing.F) {
	stream, err := api.AppendEvent(api.AppendEventID(nil, api.EventID{Stream: 1}), api.Event{ID: api.EventID{Stream: 1, Seq: 1}, Type: api.EventAdded, Key: "a"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stream)
	f.Add([]byte("id: 0000000000000007-1\r\ndata:{}\r\n\r\n:\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := api.NewEventReader(bytes.NewReader(stream))
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			if e.ID != r.Last() || e.Seq != e.ID.Seq {
				t.Fatalf("event %+v at %v", e, r.Last())
			}
		}
	})
}
