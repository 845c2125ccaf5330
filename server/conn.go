package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A conn is a socket as net/http sees it, with two differences that profiles asked for.
//
// It sends an answer's head and body with one system call. net/http fills a buffer of 4 KiB with the head and the
// front of the body, sends that, and then the rest in another: the client wakes up twice, the first time for next to
// nothing.
//
// And it does not tell the Go scheduler of its short system calls. Sockets here do not block, so a call is work and
// never a wait; but the scheduler takes a call of more than 20 µs, as copying 64 KiB is, for a wait, gives the
// processor to another thread, and having found one such call goes on looking every 20 µs. GETs of 64 KiB made one
// futex call for every two and one nanosleep for nearly every one; now they make one of either for a hundred, and
// take 0.85 of the processor time.
type conn struct {
	net.Conn
	raw     syscall.RawConn
	holding bool   // what net/http writes next is a head that waits for its body
	head    []byte // that is held
	armed   bool   // a write deadline is in force
}

// quietBytes is the most that is copied without telling the scheduler: for 30 µs or so, this processor runs no other
// goroutine. A large body had better be a wait to the scheduler, and one call however large: while threads copy, others
// go on. With 4 clients that read 1 MiB each, quiet calls or calls of 256 KiB cost a fifth of the throughput.
const quietBytes = 128 << 10

// A connListener makes conns of what it accepts.
type connListener struct{ net.Listener }

// Accept implements net.Listener.
func (l connListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	socket, ok := accepted.(syscall.Conn)
	if !ok {
		panic(fmt.Sprintf("server: %T has no socket", accepted))
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, accepted.Close())
	}
	return &conn{Conn: accepted, raw: raw}, nil
}

// A link is a connection from its first request to its last, of which one at a time is under way. It travels in the
// context of every request: a context of each request's own would cost a copy of the request.
type link struct {
	conn *conn // nil: TLS is between the handlers and the socket
	call *call // under way
}

type linkKey struct{}

func withLink(ctx context.Context, nc net.Conn) context.Context {
	l := new(link)
	l.conn, _ = nc.(*conn)
	return context.WithValue(ctx, linkKey{}, l)
}

func linkOf(ctx context.Context) *link { return ctx.Value(linkKey{}).(*link) }

// Read implements net.Conn.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	waitErr := c.raw.Read(func(fd uintptr) (done bool) {
		n, err = quietRead(fd, p)
		return err != unix.EAGAIN
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if c.holding {
		c.head = append(c.head, p...)
		return len(p), nil
	}
	n, err := c.send([][]byte{p}, nil)
	return int(n), err
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.armed = !t.IsZero()
	return c.Conn.SetWriteDeadline(t)
}

// A body is what follows a head. net/http reads the front of it into the head, to see that there is something to
// send, and hands the rest to ReadFrom.
type body struct {
	net.Buffers
	meter *meter
}

// hold keeps what net/http writes next, which is the head of an answer, for ReadFrom.
func (c *conn) hold() { c.holding, c.head = true, c.head[:0] }

// ReadFrom implements io.ReaderFrom, which net/http looks for. It sends the head that is held and the body.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	b, ok := r.(*body)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	c.holding = false
	if c.armed { // by an earlier answer, and long over
		if err := c.SetWriteDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	n, err := c.send(append([][]byte{c.head}, b.Buffers...), b.meter)
	return max(0, n-int64(len(c.head))), err
}

// send writes all parts. With a meter, it gives the client a deadline whenever it has to wait for it.
func (c *conn) send(parts [][]byte, m *meter) (sent int64, err error) {
	v := vector{conn: c, parts: parts, meter: m, mark: time.Now()}
	waitErr := c.raw.Write(func(fd uintptr) (done bool) {
		done, err = v.write(fd)
		return done
	})
	v.tell(time.Now())
	return v.sent, errors.Join(waitErr, err)
}

// A vector is slices of memory on their way into a socket.
type vector struct {
	conn  *conn
	parts [][]byte // not sent yet
	sent  int64
	meter *meter
	mark  time.Time // when the meter was told last
	told  int64     // how much of sent it knows of
}

// write sends what the socket takes. It is not done when the socket is full: then the poller calls again once it
// takes more, or ends the waiting at the deadline.
func (v *vector) write(fd uintptr) (done bool, err error) {
	for len(v.parts) > 0 {
		n, err := writev(fd, v.parts)
		switch err {
		case nil:
			v.advance(n)
		case unix.EAGAIN:
			err := v.await()
			return err != nil, err
		default:
			return true, os.NewSyscallError("writev", err)
		}
	}
	return true, nil
}

// advance drops what was sent.
func (v *vector) advance(n int) {
	v.sent += int64(n)
	for len(v.parts) > 0 && n >= len(v.parts[0]) {
		n -= len(v.parts[0])
		v.parts = v.parts[1:]
	}
	if n > 0 {
		v.parts[0] = v.parts[0][n:]
	}
}

// await sets the deadline for taking more.
func (v *vector) await() error {
	if v.meter == nil {
		return nil // who wrote has set one
	}
	now := time.Now()
	v.tell(now)
	var left int64
	for _, part := range v.parts {
		left += int64(len(part))
	}
	if deadline, fresh := v.meter.next(now, min(left, writeStep)); fresh {
		return v.conn.SetWriteDeadline(deadline)
	}
	return nil
}

// tell lets the meter know what has passed since it was told last.
func (v *vector) tell(now time.Time) {
	if v.meter != nil {
		v.meter.passed(v.sent-v.told, now.Sub(v.mark))
		v.mark, v.told = now, v.sent
	}
}

// quietRead reads without telling the scheduler. A socket has no more than a few hundred KiB at a time.
func quietRead(fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// maxVector is how many parts one call sends: a head, a safetensors header, and a payload.
const maxVector = 3

// writev sends what the socket takes of the parts, quietly if they are few bytes.
func writev(fd uintptr, parts [][]byte) (int, error) {
	var vectors [maxVector]unix.Iovec
	count, size := 0, 0
	for _, part := range parts[:min(len(parts), maxVector)] {
		if len(part) > 0 {
			vectors[count].Base = &part[0]
			vectors[count].SetLen(len(part))
			count++
			size += len(part)
		}
	}
	for {
		var n uintptr
		var errno syscall.Errno
		if size <= quietBytes {
			n, _, errno = syscall.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors[0])), uintptr(count))
		} else {
			n, _, errno = syscall.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors[0])), uintptr(count))
		}
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
