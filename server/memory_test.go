package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
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

// childConfig is the environment variable that makes the test binary a service: its configuration in JSON.
const childConfig = "KEEPSIGHT_TEST_SERVE"

// serveChild is the main function of the test binary as a service. SIGTERM drains it.
func serveChild(config string) int {
	var c Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := New(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready")
	if err := s.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A child is a service in a process of its own.
type child struct {
	*exec.Cmd
	t testing.TB
}

func startChild(t testing.TB, c Config) *child {
	t.Helper()
	c.Logger = nil
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(serviceBinary(t))
	cmd.Env = append(os.Environ(), childConfig+"="+string(config))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return &child{cmd, t}
}

// serviceBinary is the test binary, or under the race detector, whose own memory would be measured, one
// without it.
func serviceBinary(t testing.TB) string {
	t.Helper()
	if !raceEnabled {
		return os.Args[0]
	}
	path := filepath.Join(t.TempDir(), "service.test")
	if out, err := exec.Command("go", "test", "-c", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build without the race detector: %v\n%s", err, out)
	}
	return path
}

// status returns a field of /proc/PID/status in bytes, such as VmHWM, the peak of resident memory.
func (c *child) status(field string) int64 {
	c.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, field+":"); found {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			return kib << 10
		}
	}
	c.t.Fatalf("no %s in the status", field)
	return 0
}

// TestResidentMemory has many clients put bodies of nearly the largest size at once, and read them back: the
// surplus is refused, everything that is answered is right, and resident memory keeps the promise.
func TestResidentMemory(t *testing.T) {
	clients, memory, size, rounds := 24, int64(MinMemoryBytes), 16<<20, 4
	if os.Getenv("KEEPSIGHT_LONG") != "" {
		clients, memory, size, rounds = 64, 1<<30, 100_000_000, 4
	}
	config := testConfig(t)
	config.MemoryBytes, config.DiskBytes = memory, 2*memory
	config.pace = pace{} // does not travel
	service := startChild(t, config)
	var stored, refused, read atomic.Int64
	var work sync.WaitGroup
	body := payload("k", size)
	for i := range clients {
		c, err := client.New(client.Options{BaseURL: "unix://" + config.Socket})
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
			got := new(bytes.Buffer)
			if _, err := got.ReadFrom(stream); err == nil && bytes.Equal(got.Bytes(), body) {
				read.Add(1)
			} else {
				t.Errorf("read: %d bytes, %v", got.Len(), err)
			}
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
