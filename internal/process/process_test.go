package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// orphanMaker makes this program start a child by a signal, print who it is, and wait to be killed.
const orphanMaker = "KEEPSIGHT_TEST_ORPHAN_SIGNAL"

func TestMain(m *testing.M) {
	if number, err := strconv.Atoi(os.Getenv(orphanMaker)); err == nil {
		makeOrphan(syscall.Signal(number))
	}
	goleak.VerifyTestMain(m)
}

func makeOrphan(signal syscall.Signal) {
	dir, err := os.MkdirTemp("", "keepsight-process-test-")
	if err != nil {
		panic(err)
	}
	// It waits for a writer to a pipe that has none, without another process that would be left.
	o := server(dir, `trap 'echo ended >"$0/trapped"; exit' TERM; mkfifo "$0/pipe"; touch "$0/ready"; read line <"$0/pipe"`, dir)
	o.Orphaned = signal
	p, err := Start(context.Background(), o)
	if err != nil {
		panic(err)
	}
	fmt.Println(p.PID(), dir)
	select {}
}

// server is a shell script that is ready when it has made the file "ready" in dir.
func server(dir, script string, args ...string) Options {
	return Options{
		Path:  "sh",
		Args:  append([]string{"-c", script}, args...),
		Log:   filepath.Join(dir, "log"),
		Ready: func(context.Context) error { _, err := os.Stat(filepath.Join(dir, "ready")); return err },
	}
}

// watch returns a function that waits for the end of a process, which need not be a child.
func watch(t *testing.T, pid int) (awaitEnd func()) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		defer unix.Close(fd)
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 || err != nil {
			t.Errorf("process %d goes on: %v", pid, err)
		}
	}
}

// worker reads the number of the process that a script has started.
func worker(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ready"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// withWorker starts another process, which would outlive it.
const withWorker = `sleep 1000 & echo $! >"$0/new"; mv "$0/new" "$0/ready"; wait`

func TestAProcessEndsWithWhatItStarted(t *testing.T) {
	for name, end := range map[string]func(p *Process, cancel func()){
		"killed":                func(p *Process, _ func()) { p.Kill(); p.Kill() },
		"its context has ended": func(_ *Process, cancel func()) { cancel() },
		"ended by somebody":     func(p *Process, _ func()) { _ = syscall.Kill(p.PID(), syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dir := t.TempDir()
			p, err := Start(ctx, server(dir, withWorker, dir))
			if err != nil {
				t.Fatal(err)
			}
			leader, other := watch(t, p.PID()), watch(t, worker(t, dir))
			end(p, cancel)
			leader()
			other()
			p.Kill()
		})
	}
}

func TestAProcessEndsWithItsParent(t *testing.T) {
	for signal, trapped := range map[syscall.Signal]bool{0: false, syscall.SIGKILL: false, syscall.SIGTERM: true} {
		t.Run(signal.String(), func(t *testing.T) {
			parent := exec.CommandContext(t.Context(), os.Args[0])
			parent.Env = append(os.Environ(), fmt.Sprintf("%s=%d", orphanMaker, signal))
			printed, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(printed).ReadString('\n')
			number, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
			pid, _ := strconv.Atoi(number)
			if err != nil || pid == 0 {
				t.Fatalf("the parent printed %q: %v", line, err)
			}
			defer os.RemoveAll(dir)
			ended := watch(t, pid)
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // it was killed
			ended()
			_, err = os.Stat(filepath.Join(dir, "trapped"))
			if (err == nil) != trapped {
				t.Errorf("it could end by itself: %v, expected is %v", err == nil, trapped)
			}
		})
	}
}

func TestAProcessThatDoesNotServeSaysWhy(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(t.Context(), server(dir, `echo the disk is full >&2; exit 1`))
	if err == nil || !strings.Contains(err.Error(), "ended instead of serving") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("%v", err)
	}
	o := server(dir, "")
	o.Path = filepath.Join(dir, "nothing")
	if _, err := Start(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestAStartThatIsGivenUpLeavesNoProcess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	o := server(dir, withWorker, dir)
	var ended []func()
	o.Ready = func(context.Context) error {
		if _, err := os.Stat(filepath.Join(dir, "ready")); err != nil {
			return err
		}
		if ended == nil {
			ended = append(ended, watch(t, worker(t, dir)))
			cancel()
		}
		return errors.New("never")
	}
	if p, err := Start(ctx, o); err == nil {
		t.Errorf("%v serves", p)
	}
	for _, await := range ended {
		await()
	}
}

func TestNobodyCanBeKilled(t *testing.T) {
	var nobody *Process
	nobody.Kill()
}

func TestTheEnvironmentLeavesOutSettings(t *testing.T) {
	t.Setenv("KEEPSIGHT_MEMORY", "1GiB")
	t.Setenv("OTHER_KEEPSIGHT_", "kept")
	kept := false
	for _, setting := range EnvironmentWithout("KEEPSIGHT_") {
		if strings.HasPrefix(setting, "KEEPSIGHT_") {
			t.Errorf("%s is passed on", setting)
		}
		kept = kept || setting == "OTHER_KEEPSIGHT_=kept"
	}
	if !kept {
		t.Error("a setting of another program is not passed on")
	}
}
