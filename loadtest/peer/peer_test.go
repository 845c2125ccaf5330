package peer

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/loadtest/load"
)

func TestAStartThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for name, k := range map[string]kind{
		"a program that ends": {program: "sh", launch: shell("echo it is broken >&2; exit 1")},
		"a launch that fails": {program: "sh", launch: func(string, int, Options) ([]string, []load.Target, error) { return nil, nil, os.ErrInvalid }},
		"a bad congestion name": {program: "memcached", launch: func(_ string, port int, _ Options) ([]string, []load.Target, error) {
			return []string{"-l", "127.0.0.1", "-p", strconv.Itoa(port), "-u", "root"}, nil, nil
		}},
	} {
		k.name, k.beside = "broken", dir
		p, err := k.start(t.Context(), Options{Congestion: "no-such"})
		if err == nil || !strings.HasPrefix(err.Error(), "broken: ") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a program that ends" && !strings.Contains(err.Error(), "it is broken") {
			t.Errorf("%s: %v does not say why", name, err)
		}
		if p != nil && p.process != nil {
			if err := unix.Kill(p.process.PID(), 0); err == nil {
				t.Errorf("%s: it runs", name)
			}
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left: %v", left, err)
	}
}

func shell(script string) func(string, int, Options) ([]string, []load.Target, error) {
	return func(string, int, Options) ([]string, []load.Target, error) { return []string{"-c", script}, nil, nil }
}

func TestAServerThatIsNotInstalledIsNamed(t *testing.T) {
	_, err := kind{name: "varnish", program: "no-such-program"}.start(t.Context(), Options{})
	if err == nil || err.Error() != "varnish: no-such-program is not installed" {
		t.Errorf("%v", err)
	}
}

// nginx's workers do not end by themselves when their master is killed.
func TestAServerEndsWithItsWorkers(t *testing.T) {
	for name, end := range map[string]func(p *Peer, cancel func()){
		"closed":                func(p *Peer, _ func()) { _ = p.Close() },
		"its context has ended": func(_ *Peer, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := started(t, func(_ context.Context, o Options) (*Peer, error) { return Nginx(ctx, o) }, Options{MemoryBytes: testMemory})
			pids := members(p.process.PID())
			if len(pids) < 2 {
				t.Fatalf("nginx has no workers: %v", pids)
			}
			var alive []int
			for _, pid := range pids {
				fd, err := unix.PidfdOpen(pid, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(fd)
				alive = append(alive, fd)
			}
			end(p, cancel)
			for i, fd := range alive {
				ended, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
				if ended != 1 || err != nil {
					t.Errorf("process %d goes on: %v", pids[i], err)
				}
			}
		})
	}
}
