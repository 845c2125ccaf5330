package http1

import (
	"errors"
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
type socket struct {
	net.Conn
	raw   syscall.RawConn // nil: TLS, or something else that is not a socket
	armed bool            // a write deadline is in force
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

// Read implements net.Conn.
func (s *socket) Read(p []byte) (n int, err error) {
	if s.raw == nil {
		return s.Conn.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	waitErr := s.raw.Read(func(fd uintptr) (done bool) {
		n, err = quietRead(fd, p)
		return err != unix.EAGAIN
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, s.failure("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.armed = !t.IsZero()
	return s.Conn.SetWriteDeadline(t)
}

// failure is a failed system call as package net reports it.
func (s *socket) failure(call string, err error) error {
	local := s.LocalAddr()
	return &net.OpError{Op: call, Net: local.Network(), Source: local, Addr: s.RemoteAddr(), Err: os.NewSyscallError(call, err)}
}

// A Full function hears that the client must take something before more can be sent: how many bytes it took since
// the last time, and how many are to follow. It sets a write deadline, and an error of it ends the sending.
type Full func(taken, left int64) error

// send writes all parts, of which it keeps no count afterwards. There is no deadline before the socket is full.
func (s *socket) send(full Full, parts [][]byte) (sent int64, err error) {
	if s.armed { // for an answer before, and long over
		if err := s.SetWriteDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	v := vector{parts: parts, full: full}
	if s.raw == nil {
		err := v.copyTo(s.Conn)
		return v.sent, err
	}
	waitErr := s.raw.Write(func(fd uintptr) (done bool) {
		done, err = v.write(fd)
		return done
	})
	if errno, ok := err.(syscall.Errno); ok {
		err = s.failure("writev", errno)
	}
	return v.sent, errors.Join(waitErr, err)
}

// A vector is slices of memory on their way to a client.
type vector struct {
	parts [][]byte // not sent yet
	full  Full
	sent  int64
	told  int64 // how much of it full has heard of
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
			err := v.tell()
			return err != nil, err
		default:
			return true, err
		}
	}
	return true, nil
}

// copyTo writes to what cannot say that it is full, a step at a time.
func (v *vector) copyTo(w io.Writer) error {
	for len(v.parts) > 0 {
		if err := v.tell(); err != nil {
			return err
		}
		n, err := w.Write(v.parts[0][:min(len(v.parts[0]), step)])
		v.advance(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// advance drops what was sent, and parts of which nothing is left.
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

func (v *vector) tell() error {
	taken := v.sent - v.told
	v.told = v.sent
	return v.full(taken, min(size(v.parts), step))
}

func size(parts [][]byte) (n int64) {
	for _, part := range parts {
		n += int64(len(part))
	}
	return n
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
