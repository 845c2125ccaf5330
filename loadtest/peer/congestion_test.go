package peer

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/loadtest/load"
)

// otherCongestion returns a congestion control that is not the machine's own.
func otherCongestion(t *testing.T) string {
	usual, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		t.Skip(err)
	}
	available, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil {
		t.Skip(err)
	}
	for _, name := range strings.Fields(string(available)) {
		if name != strings.TrimSpace(string(usual)) {
			return name
		}
	}
	t.Skipf("this machine has %s alone", usual)
	return ""
}

// tcpEstablished is TCP_ESTABLISHED of the kernel's net/tcp_states.h.
const tcpEstablished = 1

// congestionOf returns the congestion control of a process's connected TCP sockets.
func congestionOf(t *testing.T, pid int) (names []string) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		copied, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err != nil {
			continue // closed since
		}
		// One that the other side has closed was dialled to see whether the server listens, before anything was set.
		info, err := unix.GetsockoptTCPInfo(copied, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State == tcpEstablished {
			if name, err := unix.GetsockoptString(copied, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err == nil {
				names = append(names, name)
			}
		}
		unix.Close(copied)
	}
	return names
}

// members returns a process and its workers.
func members(pid int) []int {
	pids := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				pids = append(pids, id)
			}
		}
	}
	return pids
}

func TestEveryServerAnswersByTheSameCongestionControl(t *testing.T) {
	name := otherCongestion(t)
	value := load.NewPayloads(1, 1000).Value(load.Item{Key: "key", Size: 1000})
	for _, server := range all {
		t.Run(server.name, func(t *testing.T) {
			p := started(t, server.start, Options{MemoryBytes: testMemory, Congestion: name})
			conn := p.Targets[0].Dial(t.Context())
			defer conn.Close()
			if err := conn.Put(&value, ""); err != nil { // the server has accepted
				t.Fatal(err)
			}
			var seen []string
			for _, pid := range members(p.process.PID()) {
				seen = append(seen, congestionOf(t, pid)...)
			}
			if len(seen) == 0 {
				t.Fatal("the server has no connection")
			}
			for _, got := range seen {
				if got != name {
					t.Errorf("the server's side of a connection has %q, asked for was %q", got, name)
				}
			}
			ours := congestionOf(t, os.Getpid())
			if len(ours) != 1 || ours[0] != name {
				t.Errorf("the client's sides have %q, asked for was %q", ours, name)
			}
		})
	}
}

func TestCongestionControlsThatCannotBeSet(t *testing.T) {
	if err := setCongestion(os.Getpid(), otherCongestion(t)); err == nil {
		t.Error("it was set on a process that does not listen")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := setCongestion(os.Getpid(), "no-such"); err == nil || !strings.Contains(err.Error(), "no-such") {
		t.Errorf("an unknown one is refused by %v", err)
	}
}
