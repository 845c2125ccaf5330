package demo

import (
	"context"
	"path/filepath"

	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/process"
)

// A child is a running service and a client of it.
type child struct {
	*client.Client
	*process.Process
}

// start runs a service on dir and returns once it is ready.
func start(ctx context.Context, binary, dir string) (*child, error) {
	socket := filepath.Join(dir, "socket")
	c, err := client.New(client.Options{BaseURL: "unix://" + socket})
	if err != nil {
		return nil, err
	}
	p, err := process.Start(ctx, process.Options{
		Path: binary,
		Args: []string{"serve", "--listen", "none", "--socket", socket, "--memory", memory,
			"--disk-dir", filepath.Join(dir, "disk"), "--disk-size", diskSize, "--log-format", "text"},
		Env:   process.EnvironmentWithout("KEEPSIGHT_"), // the demonstration is the same for everybody
		Log:   filepath.Join(dir, "log"),
		Ready: c.Ready,
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return &child{Client: c, Process: p}, nil
}

// kill ends the service as a crash would and waits for its end. It may be repeated, and a child that never
// came to life is dead already.
func (c *child) kill() {
	if c == nil {
		return
	}
	c.Kill()
	c.Close()
}
