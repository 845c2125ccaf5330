package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keepsight/keepsight/api/client"
)

// A service has to open an empty or just written disk tier; a machine that takes longer is in trouble.
const (
	startTimeout = 30 * time.Second
	readyPoll    = 10 * time.Millisecond
)

// A child is a running service and a client of it.
type child struct {
	*client.Client
	process *exec.Cmd
	log     string
	exited  chan struct{}
}

// start runs a service on dir and returns once it is ready.
func start(ctx context.Context, binary, dir string) (*child, error) {
	socket := filepath.Join(dir, "socket")
	c := &child{log: filepath.Join(dir, "log"), exited: make(chan struct{})}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	c.process = exec.CommandContext(ctx, binary, "serve", "--listen", "none", "--socket", socket,
		"--memory", memory, "--disk-dir", filepath.Join(dir, "disk"), "--disk-size", diskSize, "--log-format", "text")
	c.process.Stdout, c.process.Stderr = log, log
	c.process.Env = slices.DeleteFunc(os.Environ(), func(setting string) bool {
		return strings.HasPrefix(setting, "KEEPSIGHT_") // the demonstration is the same for everybody
	})
	if c.Client, err = client.New(client.Options{BaseURL: "unix://" + socket}); err != nil {
		return nil, err
	}
	if err := c.process.Start(); err != nil {
		return nil, fmt.Errorf("start the service: %w", err)
	}
	go func() {
		_ = c.process.Wait() // how it ended is in the log
		close(c.exited)
	}()
	if err := c.awaitReady(ctx); err != nil {
		c.kill()
		return nil, c.explain(err)
	}
	return c, nil
}

func (c *child) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		if c.Ready(ctx) == nil {
			return nil
		}
		select {
		case <-c.exited:
			return errors.New("the service ended instead of serving")
		case <-ctx.Done():
			return fmt.Errorf("the service did not become ready: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

// kill ends the service as a crash would and waits for its end. It may be repeated, and a child that never
// came to life is dead already.
func (c *child) kill() {
	if c == nil {
		return
	}
	_ = c.process.Process.Kill() // fails if it ended already
	<-c.exited
	c.Close()
}

// explain adds what the service logged to an error.
func (c *child) explain(err error) error {
	log, readErr := os.ReadFile(c.log)
	if readErr != nil || len(log) == 0 {
		return err
	}
	const tail = 2048
	return fmt.Errorf("%w; the service's log ends with:\n%s", err, log[max(0, len(log)-tail):])
}
