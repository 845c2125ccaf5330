package server

import (
	"context"
	"net"
)

// A link is a connection from its first request to its last, of which one at a time is under way. It travels in the
// context of every request: a context of each request's own would cost a copy of the request.
type link struct{ call *call }

type linkKey struct{}

func withLink(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, linkKey{}, new(link))
}

func linkOf(ctx context.Context) *link { return ctx.Value(linkKey{}).(*link) }
