package peer

import (
	"context"
	"fmt"
	"os"

	"github.com/keepsight/keepsight/loadtest/load"
)

// Raw runs this very program as a source of bytes: with the arguments that make it serve them on a port.
func Raw(ctx context.Context, serve func(port int) []string, o Options) (*Peer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return kind{
		name:    "raw",
		program: program,
		launch: func(_ string, port int, _ Options) ([]string, []load.Target, error) {
			return serve(port), []load.Target{{Name: "raw", URL: fmt.Sprintf("raw://127.0.0.1:%d", port)}}, nil
		},
	}.start(ctx, o)
}
