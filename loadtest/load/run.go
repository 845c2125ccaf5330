package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A run is one target under one traffic.
type run struct {
	target  Target
	traffic Traffic
	server  family
	started time.Time
	next    atomic.Int64 // number of the next request
	moment  moment
	peak    int64 // of the server's resident memory
}

// Run sends the traffic to the target. What goes wrong with single requests is counted in the result; the error
// tells that there could be no run at all, since the traffic makes no sense or the target cannot be reached. When
// ctx ends, the run does, and what was seen until then is the result. The end closes the connections: what has no
// answer by then has none.
func Run(ctx context.Context, target Target, traffic Traffic) (*Result, error) {
	if err := traffic.validate(); err != nil {
		return nil, err
	}
	r := &run{target: target, traffic: traffic, server: familyOf(target.PID)}
	ctx, end := context.WithCancel(ctx)
	defer end()
	clients, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	server, mine := r.server.usage(), ownProcessorTime()
	r.started = time.Now()
	timer := time.AfterFunc(traffic.Duration, end)
	defer timer.Stop()
	timeline := r.drive(clients)
	seconds := time.Since(r.started).Seconds()

	result := &Result{
		Target: target.Name, Traffic: traffic.Name, Clients: traffic.Clients, Rate: traffic.Rate,
		Seconds: seconds, Timeline: timeline,
		ClientCPUSeconds: (ownProcessorTime() - mine).Seconds(),
		ServerCPUSeconds: max(0, (r.server.usage().processor - server.processor).Seconds()), // it may have ended
		ServerPeakBytes:  r.peak,
	}
	all := newTally()
	for _, c := range clients {
		all.add(c.tally)
	}
	all.unanswered += r.unsent(seconds)
	all.result(result)
	return result, nil
}

// connect opens the clients' connections, none of which is on the clock. If the first cannot be opened there is no
// run; any other is tried again, and counted, at its first request.
func (r *run) connect(ctx context.Context) ([]*client, error) {
	clients := make([]*client, r.traffic.Clients)
	for i := range clients {
		c := &client{
			run:   r,
			ctx:   ctx,
			name:  fmt.Sprintf("client-%d", i),
			conn:  r.target.Dial(ctx),
			buf:   make([]byte, r.traffic.Largest),
			tally: newTally(),
		}
		c.touch()
		if err := c.conn.Open(); err != nil && i == 0 {
			return nil, fmt.Errorf("connect to %s: %w", r.target.Name, err)
		}
		clients[i] = c
	}
	return clients, nil
}

// drive lets the clients work and reads the counters meanwhile.
func (r *run) drive(clients []*client) []Moment {
	var working sync.WaitGroup
	for _, c := range clients {
		working.Go(func() { c.work() })
	}
	done := make(chan struct{})
	go func() {
		working.Wait()
		close(done)
	}()
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	var timeline []Moment
	var last Moment
	for {
		ended := false
		select {
		case <-ticker.C:
		case <-done:
			ended = true
		}
		timeline = append(timeline, r.slice(&last))
		if ended {
			return timeline
		}
	}
}

// slice returns what went on since last, which it moves on.
func (r *run) slice(last *Moment) Moment {
	now := Moment{
		Seconds:       time.Since(r.started).Seconds(),
		Requests:      r.moment.requests.Load(),
		Bytes:         r.moment.bytes.Load(),
		Refused:       r.moment.refused.Load(),
		ResidentBytes: r.server.usage().resident,
	}
	r.peak = max(r.peak, now.ResidentBytes)
	if r.traffic.Progress != nil {
		r.traffic.Progress(now)
	}
	slice := now
	slice.Requests -= last.Requests
	slice.Bytes -= last.Bytes
	slice.Refused -= last.Refused
	*last = now
	return slice
}

// due is when request n is to be sent.
func (r *run) due(n int64) time.Time {
	if r.traffic.Rate == 0 {
		return r.started
	}
	// How long after the end something is due does not matter: a low rate must not overflow.
	seconds := min(float64(n)/r.traffic.Rate, 2*r.traffic.Duration.Seconds())
	return r.started.Add(time.Duration(seconds * float64(time.Second)))
}

// unsent is how many requests were due in so many seconds that no client was free to send.
func (r *run) unsent(seconds float64) int64 {
	if r.traffic.Rate == 0 {
		return 0
	}
	due := int64(min(seconds*r.traffic.Rate, 1<<53)) + 1 // the first one at once
	if r.traffic.Requests > 0 {
		due = min(due, r.traffic.Requests)
	}
	return max(0, due-r.next.Load())
}
