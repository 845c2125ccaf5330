package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/keepsight/keepsight/internal/process"
	"github.com/keepsight/keepsight/loadtest/load"
)

// ErrMissing means that the server's program is not installed.
var ErrMissing = errors.New("not installed")

// versionTime is more than a program takes to say its version.
const versionTime = 10 * time.Second

// Options are the same for all peers of a run.
type Options struct {
	MemoryBytes int64
	Congestion  string // congestion control of the sockets that the peer accepts; empty: the machine's
}

// A Peer is a server that runs for a load test.
type Peer struct {
	Name    string
	Version string
	Address string        // HOST:PORT
	Targets []load.Target // ways to reach it
	process *process.Process
	dir     string
}

// Close ends the server and removes what it kept. It may be repeated.
func (p *Peer) Close() error {
	p.process.Kill()
	return os.RemoveAll(p.dir)
}

// A kind knows how to run one server.
type kind struct {
	name    string
	program string   // as it is found on the path
	version []string // arguments that make it print its version; nil: it has none of its own
	beside  string   // directory that the server's files lie in; empty: the usual one for temporary files
	// orphaned is what ends the server and its workers, should this program die; zero: SIGKILL.
	orphaned syscall.Signal
	// launch returns the arguments and the targets of a server on port, with dir for its own.
	launch func(dir string, port int, o Options) (args []string, targets []load.Target, err error)
}

// start runs one server for as long as ctx lives.
func (k kind) start(ctx context.Context, o Options) (_ *Peer, err error) {
	program, err := exec.LookPath(k.program)
	if err != nil {
		return nil, fmt.Errorf("%s: %s is %w", k.name, k.program, ErrMissing)
	}
	dir, err := os.MkdirTemp(k.beside, "keepsight-loadtest-")
	if err != nil {
		return nil, err
	}
	p := &Peer{Name: k.name, Version: versionOf(ctx, program, k.version), dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", k.name, err), p.Close())
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args, targets, err := k.launch(dir, port, o)
	if err != nil {
		return nil, err
	}
	p.Address = fmt.Sprintf("127.0.0.1:%d", port)
	p.process, err = process.Start(ctx, process.Options{
		Path:     program,
		Args:     args,
		Env:      process.EnvironmentWithout("KEEPSIGHT_"), // a comparison is the same for everybody
		Log:      filepath.Join(dir, "log"),
		Ready:    func(ctx context.Context) error { return knock(ctx, p.Address) },
		Orphaned: k.orphaned,
	})
	if err != nil {
		return nil, err
	}
	for i := range targets {
		targets[i].PID = p.process.PID()
		targets[i].Congestion = o.Congestion
	}
	p.Targets = targets
	if o.Congestion != "" {
		err = setCongestion(p.process.PID(), o.Congestion)
	}
	return p, err
}

// versionOf returns the first line that the program prints of itself.
func versionOf(ctx context.Context, program string, args []string) string {
	if args == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	printed, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(printed)), "\n")
	return line
}

// freePort returns a port that nobody listens on at this moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// knock reports whether somebody accepts connections.
func knock(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
