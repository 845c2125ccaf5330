package command

import (
	"context"
	"fmt"
	"time"
)

type healthCommand struct {
	connection
	Timeout time.Duration `default:"2s" placeholder:"DURATION" help:"How long to wait for an answer. (${default})"`
}

// Run asks /readyz.
func (c healthCommand) Run(ctx context.Context, streams Streams) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	service, err := c.open()
	if err != nil {
		return err
	}
	defer service.Close()
	if err := service.Ready(ctx); err != nil {
		return service.explain(err)
	}
	fmt.Fprintln(streams.Out, "ready")
	return nil
}
