package load

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// A wire is the socket under a Conn.
type wire struct {
	// ctx is the life of the connection: its end closes the socket under whatever waits for it, so a server that
	// hangs cannot hold up the end of a run.
	ctx     context.Context
	dial    func(context.Context) (net.Conn, error)
	timeout time.Duration // of one operation

	conn    net.Conn    // nil while closed
	outlive func() bool // ends the wait for the end of ctx
	r       *bufio.Reader
	head    []byte // of the request, reused
}

// readBuffer holds the head of an answer; the value behind it is read past the buffer.
const readBuffer = 16 << 10

func newWire(ctx context.Context, timeout time.Duration, dial func(context.Context) (net.Conn, error)) wire {
	return wire{ctx: ctx, dial: dial, timeout: timeout, r: bufio.NewReaderSize(nil, readBuffer)}
}

// Open implements Conn.
func (w *wire) Open() error {
	if w.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.timeout)
	defer cancel()
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	w.conn = conn
	w.outlive = context.AfterFunc(w.ctx, func() { _ = conn.Close() })
	w.r.Reset(conn)
	return nil
}

// begin connects if need be and starts the clock of one operation.
func (w *wire) begin() error {
	if err := w.Open(); err != nil {
		return err
	}
	return w.conn.SetDeadline(time.Now().Add(w.timeout))
}

// end closes a connection whose state is not known any more. An answer leaves it known, whatever it says.
func (w *wire) end(err error) error {
	var refusal *Refusal
	var answer *answerError
	if err != nil && err != ErrMiss && !errors.As(err, &refusal) && !errors.As(err, &answer) {
		_ = w.Close() // it is broken already
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
		return nil, protocolErrorf("a line without CR LF")
	}
	return line[:len(line)-2], nil
}

// value reads a value into buf.
func (w *wire) value(buf []byte, size int) error {
	if size < 0 || size > len(buf) {
		return protocolErrorf("a value of %d bytes, expected are at most %d", size, len(buf))
	}
	_, err := io.ReadFull(w.r, buf[:size])
	return err
}

// Close implements Conn.
func (w *wire) Close() error {
	if w.conn == nil {
		return nil
	}
	w.outlive()
	err := w.conn.Close()
	w.conn = nil
	if errors.Is(err, net.ErrClosed) { // the run has ended
		return nil
	}
	return err
}
