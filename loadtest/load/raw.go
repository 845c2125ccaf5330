package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// rawPiece is how much the raw stream writes and reads at once: it stays in the L2 cache, as iperf3 does it.
const rawPiece = 128 << 10

// ServeRaw sends zeros to whoever connects, as fast as they are taken, until the listener is closed.
func ServeRaw(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			for piece := make([]byte, rawPiece); err == nil; {
				_, err = conn.Write(piece)
			}
		}()
	}
}

// rawGrace is what a server of raw bytes may take beyond the time that it is read for.
const rawGrace = 10 * time.Second

// ReadRaw reads from a server of raw bytes for a while and returns how many came in a second: the limit of what one
// TCP connection can carry on this machine, whatever is said on it.
func ReadRaw(ctx context.Context, address, congestion string, duration time.Duration) (bytesPerSecond float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, duration+rawGrace)
	defer cancel()
	dialer := &net.Dialer{Control: congestionControl("tcp", congestion)}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	piece := make([]byte, rawPiece)
	if _, err := io.ReadFull(conn, piece); err != nil { // it flows
		return 0, fmt.Errorf("read raw bytes: %w", err)
	}
	var total int64
	began := time.Now()
	for time.Since(began) < duration {
		n, err := conn.Read(piece)
		if err != nil {
			return 0, fmt.Errorf("read raw bytes: %w", err)
		}
		total += int64(n)
	}
	return perSecond(total, time.Since(began).Seconds()), nil
}
