package main

import (
	"context"
	"net"
	"strconv"

	"github.com/keepsight/keepsight/loadtest/load"
)

// serveRaw is the other end of the raw loopback stream, a process like the servers that are compared with it. It
// serves until ctx ends.
func serveRaw(ctx context.Context, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	if err := load.ServeRaw(l); ctx.Err() == nil {
		return err
	}
	return nil
}
