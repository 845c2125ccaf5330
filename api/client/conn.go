package client

import (
	"io"
	"net"
)

// A conn writes a body that is in memory straight from there. net/http copies bodies through 32 KiB; without
// that a PUT of 8 MiB is 1.3 times as fast on a unix socket and on loopback (median of five pairs). The
// transport offers each body to the connection first, for the sake of sendfile; where it does not, as under
// TLS, the copy remains and nothing else changes.
type conn struct{ net.Conn }

// ReadFrom implements io.ReaderFrom.
func (c conn) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if body, ok := limited.R.(*trackedBody); ok {
			if n, whole, err := body.writeTo(c.Conn, limited.N); whole {
				return n, err
			}
		}
	}
	return io.Copy(c.Conn, r)
}
