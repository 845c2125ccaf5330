package peer

import (
	"context"
	"os"

	"github.com/keepsight/keepsight/loadtest/load"
)

// Raw runs this very program as a source of bytes: with the arguments that make it serve them on a port. It has an
// address and no targets.
func Raw(ctx context.Context, serve func(port int) []string, o Options) (*Peer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return kind{
		name:    "raw",
		program: program,
		launch: func(_ string, port int, _ Options) ([]string, []load.Target, error) {
			return serve(port), nil, nil
		},
	}.start(ctx, o)
}
