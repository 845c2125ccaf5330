package load

import (
	"errors"
	"fmt"
	"time"
)

// A Conn is one client's connection to a target. It belongs to one goroutine. A connection that breaks is
// opened again at the next call.
type Conn interface {
	// Open connects now, so that a call need not do so first. It does nothing on a connection that is open.
	Open() error
	// Get reads a value into buf and returns its length; a miss is ErrMiss.
	Get(key string, buf []byte) (Reply, error)
	// Put stores a value. A server that has it already has it stored.
	Put(v *Value, claim string) error
	// Close ends the connection.
	Close() error
}

// A Reply is what a server said beside the bytes of a value.
type Reply struct {
	Size int
	Tier string // where it was found, if the server says so
}

// A Looker can ask about many keys in one exchange, and returns how many are there.
type Looker interface {
	Lookup(q *Question) (hits int, err error)
}

// A Claimer can find out in one exchange who reads, who encodes and who waits.
type Claimer interface {
	// Claim asks about the keys and claims what is missing; it waits for what others have claimed.
	Claim(keys []string, owner string, wait time.Duration) (Standing, error)
}

// A Standing is the answer to a claim.
type Standing struct {
	Hit     []bool // by key; a key that is neither hit nor pending is the asker's to encode
	Pending []bool
	Claim   string
}

// A Question is many keys to look up. It is asked again and again, by any client.
type Question struct{ Keys []string }

// questions are what a connection has made of the questions that it asked: making one takes longer than some
// servers take to answer it.
type questions map[*Question][]byte

func (known questions) encoded(q *Question, encode func() ([]byte, error)) ([]byte, error) {
	if b, ok := known[q]; ok {
		return b, nil
	}
	b, err := encode()
	if err == nil {
		known[q] = b
	}
	return b, err
}

// ErrMiss means that there is nothing under the key.
var ErrMiss = errors.New("miss")

// A Refusal is an answer of a server that has no room for the request now: HTTP's 429 and 503, and other
// protocols' out of memory.
type Refusal struct {
	Said       string
	RetryAfter string // empty: the server did not say when
}

func (r *Refusal) Error() string { return "refused: " + r.Said }

// An answerError is what a server says instead of doing what it was asked. The connection is fit for the next call.
type answerError struct{ said string }

func (e *answerError) Error() string { return "the server answered " + e.said }

// errProtocol means that the server does not speak the protocol that the target's URL says.
var errProtocol = errors.New("protocol error")

func protocolErrorf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errProtocol, fmt.Errorf(format, args...))
}
