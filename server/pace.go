package server

import (
	"io"
	"net/http"
	"time"
)

// A peer that sends or takes a body too slowly holds memory that others wait for. It gets a grace, then its
// mean rate must stay above a minimum; and once it is faster, what it gained buys no more than the time for
// a stall. A deadline on the connection enforces both, so a peer that is silent costs no goroutine of ours.

// refresh is how far a deadline may be behind before it is set anew: setting it costs a microsecond, which a
// body of many small reads should not pay each time.
const refresh = 200 * time.Millisecond

// A meter computes the deadline for the next bytes of one body.
type meter struct {
	pace  pace
	start time.Time
	set   time.Time // when the deadline was set last
	bytes int64
}

// next returns the deadline by which n more bytes must have passed, and whether it must be set.
func (m *meter) next(n int64) (deadline time.Time, fresh bool) {
	now := time.Now()
	if m.start.IsZero() {
		m.start = now
	} else if now.Sub(m.set) < refresh {
		return time.Time{}, false
	}
	m.set = now
	mean := m.start.Add(m.pace.grace + m.duration(m.bytes+n))
	stall := now.Add(m.pace.stall + m.duration(n))
	if stall.Before(mean) {
		return stall, true
	}
	return mean, true
}

// duration is how long n bytes take at the minimum rate.
func (m *meter) duration(n int64) time.Duration {
	return time.Duration(float64(n) / float64(m.pace.rate) * float64(time.Second))
}

// A pacedBody reads a request's body under a moving deadline.
type pacedBody struct {
	body    io.Reader
	control *http.ResponseController
	meter   meter
}

// paced returns the call's body. Its first Read answers Expect: 100-continue.
func (s *Server) paced(c *call) *pacedBody {
	return &pacedBody{body: c.r.Body, control: c.w.control, meter: meter{pace: s.config.pace}}
}

// Read implements io.Reader. The deadline ends with the body: net/http clears it when it begins to watch the
// connection for the client's leaving.
func (b *pacedBody) Read(p []byte) (int, error) {
	if deadline, fresh := b.meter.next(0); fresh {
		if err := b.control.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
	}
	n, err := b.body.Read(p)
	b.meter.bytes += int64(n)
	return n, err
}

// writeStep is how much is written under one deadline. A whole write of 8 MiB is no faster.
const writeStep = 1 << 20

// write writes a body under a moving deadline; the client's read rate is what moves it.
func (s *Server) write(c *call, meter *meter, p []byte) error {
	for len(p) > 0 {
		step := p[:min(len(p), writeStep)]
		if deadline, fresh := meter.next(int64(len(step))); fresh {
			if err := c.w.control.SetWriteDeadline(deadline); err != nil {
				return err
			}
		}
		n, err := c.w.Write(step)
		meter.bytes += int64(n)
		if err != nil {
			return sent(err)
		}
		p = p[len(step):]
	}
	return nil
}
