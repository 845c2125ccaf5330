// Package process runs a server as a child of this program, for as long as this program wants it and no longer.
//
// A [Process] is owned by who started it, who ends it with Kill. It also ends when its context does, and when this
// program dies, however that happens. What it prints goes to a file, whose end explains why it did not serve.
//
// It leads a process group of its own: what it has started ends with it, and a terminal's interrupt reaches this
// program alone, which then ends its children in its own order.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// startTimeout is for opening an empty or just written store; a machine that takes longer is in trouble.
	startTimeout = 30 * time.Second
	readyPoll    = 10 * time.Millisecond
	// logTail is how much of the log explains a failure.
	logTail = 2048
)

// Options say what to run.
type Options struct {
	Path string
	Args []string
	Env  []string // nil: that of this program
	Log  string   // path of the file that it prints to; appended to
	// Ready reports whether the process serves. It is asked until it does.
	Ready func(context.Context) error
	// Orphaned is what the process is sent when this program dies without having ended it; zero: SIGKILL. One
	// that has workers needs a signal that lets it end them.
	Orphaned syscall.Signal
}

// A Process is a running child.
type Process struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// Start runs a server and returns once it is ready.
func Start(ctx context.Context, o Options) (*Process, error) {
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	p := &Process{cmd: exec.CommandContext(ctx, o.Path, o.Args...), log: o.Log, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = log, log, o.Env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: cmp.Or(o.Orphaned, syscall.SIGKILL)}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	if err := p.awaitReady(ctx, o.Ready); err != nil {
		p.Kill()
		return nil, p.Explain(err)
	}
	return p, nil
}

// run starts the child and waits for its end, on one thread: the kernel takes a parent for dead when the thread that
// started the child ends, and any thread that Go may use for something else may end.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	// What the child has started does not end by itself. It is ended before the child is reaped: after that, the
	// number of the group may be another's.
	for unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	_ = p.cmd.Wait() // how it ended is in the log
}

func (p *Process) awaitReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		if ready(ctx) == nil {
			return nil
		}
		select {
		case <-p.exited:
			return errors.New("the server ended instead of serving")
		case <-ctx.Done():
			return fmt.Errorf("the server did not become ready: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

// PID returns the child's process number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the child as a crash would and waits for its end. It may be repeated.
func (p *Process) Kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // fails if it ended already; the rest of the group follows
	<-p.exited
}

// Explain adds the end of what the child printed to an error.
func (p *Process) Explain(err error) error {
	log, readErr := os.ReadFile(p.log)
	if readErr != nil || len(log) == 0 {
		return err
	}
	return fmt.Errorf("%w; its log ends with:\n%s", err, log[max(0, len(log)-logTail):])
}

// EnvironmentWithout returns this program's environment without the settings whose names begin so.
func EnvironmentWithout(prefix string) []string {
	return slices.DeleteFunc(os.Environ(), func(setting string) bool { return strings.HasPrefix(setting, prefix) })
}
