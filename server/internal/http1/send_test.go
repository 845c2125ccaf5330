package http1

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSentMemory has a handler overwrite what it sent as soon as Send has returned, as the service does with memory that
// it frees: the client, which has read nothing by then, gets what was sent. For the kernel copies what is written.
func TestSentMemory(t *testing.T) {
	everywhere(t, func(t *testing.T, network string) {
		for _, size := range []int{1, smallWrite, smallWrite + 1, 32 << 10} {
			old := pattern(size, 'a')
			overwritten := make(chan struct{})
			f := serve(t, network, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(size))
				memory := bytes.Clone(old)
				if _, err := w.(*Response).Send(memory); err != nil {
					panic(err)
				}
				clear(memory)
				close(overwritten)
			})
			c := f.dial()
			c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			wait(t, "the overwriting", overwritten)
			if got := c.rest(); got != lastAnswer(string(old)) {
				t.Errorf("%d bytes are not those that were sent", size)
			}
		}
	})
}

// TestSendfile shows why answers are copied: what sendfile has "sent" is the file's memory itself, until the client has
// read it. Who overwrites it changes the answer, unless the file lets go of the memory first.
func TestSendfile(t *testing.T) {
	const size = 64 << 10
	before, after := pattern(size, 'a'), make([]byte, size)
	for _, e := range []struct {
		name string
		free func(memfd int) error // comes between sending and overwriting
		want []byte
	}{
		{"overwritten", func(int) error { return nil }, after},
		{"punched out and overwritten", func(memfd int) error {
			return unix.Fallocate(memfd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, size)
		}, before},
	} {
		t.Run(e.name, func(t *testing.T) {
			here, there := tcpPair(t)
			memfd := newMemfd(t, before)
			if n := sendfile(t, there, memfd, size); n != size {
				t.Skipf("the socket takes %d bytes only", n)
			}
			if err := e.free(memfd); err != nil {
				t.Skipf("free: %v", err)
			}
			if _, err := unix.Pwrite(memfd, after, 0); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, size)
			if _, err := io.ReadFull(here, got); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(got, e.want) {
				return
			}
			if bytes.Equal(got, before) {
				t.Skip("this kernel copies")
			}
			t.Error("the client gets neither")
		})
	}
}

// tcpPair is a connection over loopback.
func tcpPair(t testing.TB) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	here, there = conn.(*net.TCPConn), accepted.(*net.TCPConn)
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

func newMemfd(t testing.TB, content []byte) int {
	t.Helper()
	fd, err := unix.MemfdCreate("http1", unix.MFD_CLOEXEC)
	if err != nil {
		t.Skipf("memfd: %v", err)
	}
	file := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { file.Close() })
	if _, err := file.Write(content); err != nil {
		t.Fatal(err)
	}
	return fd
}

// sendfile sends the memfd from its beginning, as one answer is, and waits while the socket is full.
func sendfile(t testing.TB, conn *net.TCPConn, memfd, size int) (sent int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var offset int64
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for offset < int64(size) {
			_, failed = unix.Sendfile(int(fd), memfd, &offset, size-int(offset))
			if failed != nil {
				return failed != unix.EAGAIN
			}
		}
		return true
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return int(offset)
}

// BenchmarkSend compares copying with sendfile, for values of 8 MiB that another goroutine reads.
func BenchmarkSend(b *testing.B) {
	const size = 8 << 20
	value := pattern(size, 'a')
	run := func(b *testing.B, send func(conn *net.TCPConn)) {
		here, there := tcpPair(b)
		read := make(chan error, 1)
		go func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{here}, make([]byte, 256<<10))
			read <- err
		}()
		b.SetBytes(size)
		for b.Loop() {
			send(there)
		}
		there.Close()
		if err := <-read; err != nil {
			b.Error(err)
		}
	}
	b.Run("writev", func(b *testing.B) {
		var s *socket
		run(b, func(conn *net.TCPConn) {
			if s == nil || s.Conn != conn {
				s, _ = newSocket(conn)
			}
			if _, err := s.send(func(int64, int64) error { return nil }, nil, value); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("sendfile", func(b *testing.B) {
		memfd := newMemfd(b, value)
		run(b, func(conn *net.TCPConn) { sendfile(b, conn, memfd, size) })
	})
}
