package server

import (
	"io"
	"time"
)

// A peer that sends or takes a body too slowly holds memory that others wait for. It gets a grace, then its
// mean rate must stay above a minimum; and once it is faster, what it gained buys no more than the time for
// a stall. A deadline on the connection enforces both, so a peer that is silent costs no goroutine of ours.
// Only time spent in reading or writing counts: a client is not slow while the service looks for something.

// refresh is how far a deadline may be off before it is set anew: setting it costs a microsecond, which a
// body of many small pieces should not pay each time.
const refresh = 200 * time.Millisecond

// A meter computes the deadlines of one body.
type meter struct {
	pace     pace
	bytes    int64         // that have passed
	spent    time.Duration // in passing them
	deadline time.Time     // in force
}

// next returns the deadline by which n more bytes must have passed, and whether it must be set. One that is
// about right stays in force.
func (m *meter) next(now time.Time, n int64) (deadline time.Time, fresh bool) {
	mean := m.pace.grace + m.duration(m.bytes+n) - m.spent
	stall := m.pace.stall + m.duration(n)
	deadline = now.Add(min(mean, stall))
	if deadline.Sub(m.deadline).Abs() < refresh {
		return m.deadline, false
	}
	m.deadline = deadline
	return deadline, true
}

// passed counts bytes and the time in which they passed.
func (m *meter) passed(n int64, took time.Duration) {
	m.bytes += n
	m.spent += took
}

// duration is how long n bytes take at the minimum rate.
func (m *meter) duration(n int64) time.Duration {
	return time.Duration(float64(n) / float64(m.pace.rate) * float64(time.Second))
}

// A pacedBody reads a request's body under a moving deadline.
type pacedBody struct {
	body  io.Reader
	w     *response // sets the deadlines of the connection
	meter meter
}

// paced returns the call's body. Its first Read answers Expect: 100-continue.
func (s *Server) paced(c *call) *pacedBody {
	return &pacedBody{body: c.r.Body, w: c.w, meter: meter{pace: s.config.pace}}
}

// Read implements io.Reader. The deadline ends with the body: the connection sets one of its own for the next
// request.
func (b *pacedBody) Read(p []byte) (int, error) {
	begin := time.Now()
	if deadline, fresh := b.meter.next(begin, 0); fresh {
		if err := b.w.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
	}
	n, err := b.body.Read(p)
	b.meter.passed(int64(n), time.Since(begin))
	return n, err
}
