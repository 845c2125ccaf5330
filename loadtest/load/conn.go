package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A Conn is one client's connection to a target. It belongs to one goroutine. A connection that breaks is
// opened again at the next call.
type Conn interface {
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
	Hit   []bool // by key; a key that is neither hit nor pending is the asker's to encode
	Pend  []bool
	Claim string
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

// A Refusal is an answer that asks the client to come again later.
type Refusal struct {
	Status     int
	RetryAfter string // empty: the server did not say when
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused with status %d", r.Status) }

// A wire is the socket under a Conn.
type wire struct {
	dial    func(context.Context) (net.Conn, error)
	timeout time.Duration // of one operation
	conn    net.Conn      // nil while closed
	r       *bufio.Reader
	head    []byte // of the request, reused
}

// readBuffer holds the head of an answer; the value behind it is read past the buffer.
const readBuffer = 16 << 10

func newWire(dial func(context.Context) (net.Conn, error), timeout time.Duration) wire {
	return wire{dial: dial, timeout: timeout, r: bufio.NewReaderSize(nil, readBuffer)}
}

// begin connects if need be and starts the clock of one operation.
func (w *wire) begin() error {
	deadline := time.Now().Add(w.timeout)
	if w.conn == nil {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		conn, err := w.dial(ctx)
		if err != nil {
			return err
		}
		w.conn = conn
		w.r.Reset(conn)
	}
	return w.conn.SetDeadline(deadline)
}

// end closes a connection whose state is not known any more.
func (w *wire) end(err error) error {
	if err != nil && w.conn != nil {
		_ = w.conn.Close() // it is broken already
		w.conn = nil
	}
	return err
}

// send writes a head and the parts of a value behind it, in as few system calls as the kernel allows.
func (w *wire) send(head []byte, parts ...[]byte) error {
	if len(parts) == 0 {
		_, err := w.conn.Write(head)
		return err
	}
	all := net.Buffers(append([][]byte{head}, parts...))
	_, err := all.WriteTo(w.conn)
	return err
}

// line reads up to the next CR LF and returns what is before it, valid until the next read.
func (w *wire) line() ([]byte, error) {
	line, err := w.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: a line without CR LF", errProtocol)
	}
	return line[:len(line)-2], nil
}

// value reads a value into buf.
func (w *wire) value(buf []byte, size int) error {
	if size < 0 || size > len(buf) {
		return fmt.Errorf("%w: a value of %d bytes, expected are at most %d", errProtocol, size, len(buf))
	}
	_, err := io.ReadFull(w.r, buf[:size])
	return err
}

// Close implements Conn.
func (w *wire) Close() error {
	if w.conn == nil {
		return nil
	}
	err := w.conn.Close()
	w.conn = nil
	return err
}

// errProtocol means that the server does not speak the protocol that the target's URL says.
var errProtocol = errors.New("protocol error")
