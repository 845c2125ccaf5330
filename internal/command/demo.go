package command

import (
	"context"
	"os"

	"github.com/keepsight/keepsight/internal/demo"
)

type demoCommand struct{}

// Run shows this very binary.
func (demoCommand) Run(ctx context.Context, streams Streams) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	return demo.Run(ctx, demo.Options{Binary: binary, Out: streams.Out})
}
