package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// An EventType says what happened in a namespace.
type EventType string

const (
	EventAdded   EventType = "added"   // a key became readable
	EventRemoved EventType = "removed" // a key is no longer in any tier
	EventEpoch   EventType = "epoch"   // the epoch was raised: all keys before are gone
	// EventReset says that events were lost: what a listener knows of the namespace may be wrong. It comes
	// first when Last-Event-ID is of another process or too old.
	EventReset EventType = "reset"
)

// An EventID is a place in a stream of events.
type EventID struct {
	Stream uint64 // differs each time the service starts, so that a number of an earlier life is noticed
	Seq    uint64
}

// String formats the id as 16 hex digits, a dash and a number.
func (id EventID) String() string { return fmt.Sprintf("%016x-%d", id.Stream, id.Seq) }

// ParseEventID is the inverse of EventID.String.
func ParseEventID(s string) (EventID, error) {
	stream, seq, found := strings.Cut(s, "-")
	if !found || len(stream) != 16 || strings.Trim(stream, "0123456789abcdef") != "" {
		return EventID{}, errorf(InvalidHeader, "%s is not an event id", HeaderLastEventID)
	}
	var id EventID
	var err1, err2 error
	id.Stream, err1 = strconv.ParseUint(stream, 16, 64)
	id.Seq, err2 = parseDecimal(seq, math.MaxUint64)
	if err1 != nil || err2 != nil {
		return EventID{}, errorf(InvalidHeader, "%s is not an event id", HeaderLastEventID)
	}
	return id, nil
}

// An Event is one change in a namespace.
type Event struct {
	ID    EventID   `json:"-"`
	Seq   uint64    `json:"seq"` // ID.Seq
	Type  EventType `json:"type"`
	Key   string    `json:"key,omitempty"`  // of added and removed
	Size  int64     `json:"size,omitempty"` // bytes, of added
	Epoch uint64    `json:"epoch"`
}

// AppendEvent appends the event to b in the form of a text/event-stream.
func AppendEvent(b []byte, e Event) ([]byte, error) {
	e.Seq = e.ID.Seq
	data, err := json.Marshal(e) // one line: JSON escapes line ends
	if err != nil {
		return b, fmt.Errorf("encode event: %w", err)
	}
	return fmt.Appendf(b, "id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Type, data), nil
}

// AppendEventID appends a place without an event to b: what a stream begins with, so that a listener who
// loses the connection before the first event can still resume.
func AppendEventID(b []byte, id EventID) []byte { return fmt.Appendf(b, "id: %s\n\n", id) }

// EventComment keeps a connection without events alive.
const EventComment = ": keepsight\n\n"

// maxEventLine bounds a line of an event stream: a key of MaxKeyLen bytes, escaped, and the other fields.
const maxEventLine = 8 << 10

// ErrEvent means that an event stream does not keep the contract.
var ErrEvent = errors.New("invalid event stream")

// An EventReader reads a text/event-stream as AppendEvent writes it, and passes over comments and over
// fields that it does not know. An event of a type that is not known here is the caller's to pass over.
type EventReader struct {
	lines *bufio.Scanner
	last  EventID
}

// NewEventReader returns a reader of the stream.
func NewEventReader(r io.Reader) *EventReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEventLine)
	return &EventReader{lines: lines}
}

// Last returns the place that the stream has reached, zero if it has not said.
func (r *EventReader) Last() EventID { return r.last }

// Next returns the next event, or io.EOF at the end of the stream.
func (r *EventReader) Next() (Event, error) {
	var data []byte
	id := r.last
	for r.lines.Scan() {
		line := r.lines.Bytes()
		if len(line) == 0 {
			r.last = id // not before: a stream cut between id and data would lose the event
			if data == nil {
				continue
			}
			return r.parse(data)
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			var err error
			if id, err = ParseEventID(string(value)); err != nil {
				return Event{}, fmt.Errorf("%w: bad id", ErrEvent)
			}
		case "data":
			if data != nil {
				return Event{}, fmt.Errorf("%w: data of two lines", ErrEvent)
			}
			data = bytes.Clone(value)
		}
	}
	if err := r.lines.Err(); err != nil {
		return Event{}, fmt.Errorf("read event stream: %w", err)
	}
	return Event{}, io.EOF
}

func (r *EventReader) parse(data []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("%w: data is not JSON", ErrEvent)
	}
	keyed := e.Type == EventAdded || e.Type == EventRemoved
	if e.Seq != r.last.Seq || keyed && ValidateKey(e.Key) != nil {
		return Event{}, fmt.Errorf("%w: sequence number or key", ErrEvent)
	}
	e.ID = r.last
	return e, nil
}
