package http1

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket is what a connection reads from and writes to. On a plain TCP or unix socket it makes the system calls
// itself, and does not tell the Go scheduler of the short ones. The socket does not block, so a call is work and never
// a wait; but the scheduler takes a call of more than 20 µs, as copying 64 KiB is, for a wait, gives the processor to
// another thread, and having found one such call goes on looking every 20 µs. GETs of 64 KiB made one futex call for
// every two and one nanosleep for nearly every one; now they make one of either for a hundred, and take 0.85 of the
// processor time.
//
// One goroutine at a time reads, and one writes: what a call needs is kept here, not made for each.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil: TLS, or something else that is not a socket

	deadline time.Time // of writes, as it was set last
	armed    bool      // it is in force

	in    reading
	out   vector
	read  func(fd uintptr) bool // in.try
	write func(fd uintptr) bool // out.try
}

const (
	// quietBytes is the most that is copied without telling the scheduler: for 30 µs or so, this processor runs no
	// other goroutine. A large body had better be a wait to the scheduler, and one call however large: while threads
	// copy, others go on. With 4 clients that read 1 MiB each, quiet calls or calls of 256 KiB cost a fifth of the
	// throughput.
	quietBytes = 128 << 10
	// step is how much is written under one deadline.
	step = 1 << 20
)

func newSocket(conn net.Conn) (*socket, error) {
	s := &socket{Conn: conn}
	s.out.socket = s
	s.read, s.write = s.in.try, s.out.try
	switch plain := conn.(type) {
	case *net.TCPConn:
		raw, err := plain.SyscallConn()
		s.raw = raw
		return s, err
	case *net.UnixConn:
		raw, err := plain.SyscallConn()
		s.raw = raw
		return s, err
	}
	return s, nil
}

// cut closes the socket from another goroutine, without a goodbye that the client would have to take.
func (s *socket) cut() {
	if secure, ok := s.Conn.(*tls.Conn); ok {
		_ = secure.NetConn().Close()
		return
	}
	_ = s.Conn.Close()
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.deadline, s.armed = t, !t.IsZero()
	return s.Conn.SetWriteDeadline(t)
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (n int, err error) {
	if s.raw == nil {
		return s.Conn.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	s.in = reading{p: p}
	err = s.raw.Read(s.read)
	n, failed := s.in.n, s.in.err
	s.in = reading{} // p is the caller's
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, s.failure("read", failed)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// A reading is one read, and what came of it.
type reading struct {
	p   []byte
	n   int
	err error
}

// try reads, unless there is nothing to read yet.
func (r *reading) try(fd uintptr) (done bool) {
	r.n, r.err = quietRead(fd, r.p)
	return r.err != unix.EAGAIN
}

// failure is a failed system call as package net reports it.
func (s *socket) failure(call string, err error) error {
	local := s.LocalAddr()
	return &net.OpError{Op: call, Net: local.Network(), Source: local, Addr: s.RemoteAddr(), Err: os.NewSyscallError(call, err)}
}

// A Full function hears that the client must take something before more can be sent: how many bytes it took since
// the last time, and how many are to follow. It sets a write deadline, or wants the one that it set before for this
// response, and an error of it ends the sending.
type Full func(taken, left int64) error

// send writes head and parts, one after the other. There is no deadline before the socket is full: one that was set
// for what was sent before may be over, through no fault of the client.
func (s *socket) send(full Full, head []byte, parts ...[]byte) (sent int64, err error) {
	if s.armed {
		if err := s.Conn.SetWriteDeadline(time.Time{}); err != nil {
			return 0, err
		}
		s.armed = false
	}
	v := &s.out
	v.parts = append(append(v.parts[:0], head), parts...)
	v.next, v.full, v.sent, v.told, v.err = 0, full, 0, 0, nil
	if s.raw == nil {
		v.err = v.copyTo(s.Conn)
	} else {
		err = s.raw.Write(s.write)
	}
	if errno, ok := v.err.(syscall.Errno); ok {
		v.err = s.failure("writev", errno)
	}
	if err == nil {
		err = v.err
	}
	clear(v.parts) // they are the caller's
	v.full, v.err = nil, nil
	return v.sent, err
}

// A vector is slices of memory on their way to a client.
type vector struct {
	socket *socket
	parts  [][]byte
	next   int // the first part that is not sent yet
	full   Full
	sent   int64
	told   int64 // how much of it full has heard of
	err    error
}

// try sends what the socket takes. It is not done when the socket is full: then the poller calls again once it takes
// more, or ends the waiting at the deadline.
func (v *vector) try(fd uintptr) (done bool) {
	for v.next < len(v.parts) {
		n, err := writev(fd, v.parts[v.next:])
		switch err {
		case nil:
			v.advance(n)
		case unix.EAGAIN:
			v.err = v.tell()
			return v.err != nil
		default:
			v.err = err
			return true
		}
	}
	return true
}

// copyTo writes to what cannot say that it is full, a step at a time.
func (v *vector) copyTo(w io.Writer) error {
	for v.next < len(v.parts) {
		if err := v.tell(); err != nil {
			return err
		}
		part := v.parts[v.next]
		n, err := w.Write(part[:min(len(part), step)])
		v.advance(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// advance passes over what was sent, and over parts of which nothing is left.
func (v *vector) advance(n int) {
	v.sent += int64(n)
	for v.next < len(v.parts) && n >= len(v.parts[v.next]) {
		n -= len(v.parts[v.next])
		v.next++
	}
	if n > 0 {
		v.parts[v.next] = v.parts[v.next][n:]
	}
}

// tell tells full, and sees to it that a deadline which full leaves as it is is in force.
func (v *vector) tell() error {
	taken := v.sent - v.told
	v.told = v.sent
	if err := v.full(taken, min(size(v.parts[v.next:]), step)); err != nil {
		return err
	}
	if s := v.socket; !s.armed && !s.deadline.IsZero() {
		return s.SetWriteDeadline(s.deadline)
	}
	return nil
}

func size(parts [][]byte) (n int64) {
	for _, part := range parts {
		n += int64(len(part))
	}
	return n
}

// quietRead reads without telling the scheduler, and therefore not much at a time: a body comes in pieces of 256 KiB.
func quietRead(fd uintptr, p []byte) (int, error) {
	p = p[:min(len(p), 2*quietBytes)]
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

// maxVector is how many parts one system call sends; more are sent by another.
const maxVector = 4

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
