package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// A process is the service in a process of its own, whose memory is not mixed with that of the clients.
type process struct {
	*exec.Cmd
	t      testing.TB
	socket string
}

// startProcess builds the command, without the race detector, whose own memory would be measured, and starts it.
func startProcess(t testing.TB, memory, disk int64) *process {
	t.Helper()
	dir := shortDir(t)
	binary := filepath.Join(dir, "keepsight")
	if out, err := exec.Command("go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p := &process{t: t, socket: filepath.Join(dir, "s")}
	p.Cmd = exec.Command(binary, "serve", "--listen", "none", "--socket", p.socket, "--disk-dir", filepath.Join(dir, "disk"),
		"--memory", fmt.Sprint(memory), "--disk-size", fmt.Sprint(disk), "--drain-delay", "0s")
	var said bytes.Buffer
	p.Stdout, p.Stderr = &said, &said
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill() // it may have ended
		_ = p.Wait()
		if t.Failed() {
			t.Logf("the service said:\n%s", said.String())
		}
	})
	eventually(t, "the start", func() bool {
		conn, err := net.Dial("unix", p.socket)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return p
}

// status returns a field of /proc/PID/status in bytes, such as VmHWM, the peak of resident memory.
func (p *process) status(field string) int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, field+":"); found {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatalf("no %s in the status", field)
	return 0
}

// TestResidentMemory has many clients put bodies of nearly the largest size at once, and read them back: the
// surplus is refused, everything that is answered is right, and resident memory keeps the promise.
func TestResidentMemory(t *testing.T) {
	clients, memory, size, rounds := 16, int64(MinMemoryBytes), 16<<20, 2
	if os.Getenv("KEEPSIGHT_LONG") != "" {
		clients, memory, size, rounds = 64, 1<<30, 100_000_000, 4
	}
	service := startProcess(t, memory, 2*memory)
	var stored, refused, read atomic.Int64
	var work sync.WaitGroup
	body := payload("k", size)
	for i := range clients {
		c, err := client.New(client.Options{BaseURL: "unix://" + service.socket})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		work.Go(func() {
			for round := range rounds {
				key := fmt.Sprintf("%d/%d", i, round)
				for attempt := range 50 {
					_, err := c.Put(context.Background(), "ns", key, body, api.PutHeader{})
					if err == nil {
						stored.Add(1)
						break
					}
					if !errors.Is(err, client.ErrUnavailable) {
						t.Errorf("put: %v", err)
						break
					}
					refused.Add(1)
					time.Sleep(time.Duration(attempt) * time.Millisecond)
				}
			}
			stream, err := c.Open(context.Background(), "ns", fmt.Sprintf("%d/0", i), client.OpenOptions{})
			if err != nil {
				return // evicted, or no memory to read it into
			}
			defer stream.Close()
			if err := compare(stream, body); err != nil {
				t.Errorf("read: %v", err)
			}
			read.Add(1)
		})
	}
	work.Wait()
	peak := service.status("VmHWM")
	t.Logf("%d stored, %d refused, %d read back; peak %d MiB of %d MiB, ratio %.3f", stored.Load(), refused.Load(), read.Load(),
		peak>>20, memory>>20, float64(peak)/float64(memory))
	if float64(peak) > 1.15*float64(memory) {
		t.Errorf("peak resident memory is %.3f of the budget", float64(peak)/float64(memory))
	}
	if stored.Load() == 0 || refused.Load() == 0 {
		t.Error("the load was no overload")
	}
	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// compare reads a stream to its end, in small pieces, and holds it against what it should be.
func compare(r io.Reader, want []byte) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if n > len(want) || !bytes.Equal(buf[:n], want[:n]) {
			return errors.New("other bytes")
		}
		want = want[n:]
		switch {
		case err == io.EOF && len(want) == 0:
			return nil
		case err != nil:
			return fmt.Errorf("%d bytes are missing: %w", len(want), err)
		}
	}
}
