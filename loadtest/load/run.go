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
	started time.Time
	next    atomic.Int64 // number of the next request
	moment  moment
	server  usage // when the run began
	peak    int64 // of the server's resident memory
}

// Run sends the traffic to the target. What goes wrong with single requests is counted in the result; the error
// tells that there could be no run at all. When ctx ends, the run does, and what was seen until then is the result.
func Run(ctx context.Context, target Target, traffic Traffic) (*Result, error) {
	if err := traffic.validate(); err != nil {
		return nil, err
	}
	r := &run{target: target, traffic: traffic}
	clients := make([]*client, traffic.Clients)
	for i := range clients {
		clients[i] = &client{
			run:   r,
			name:  fmt.Sprintf("client-%d", i),
			conn:  target.Dial(),
			buf:   make([]byte, traffic.Largest),
			tally: newTally(),
		}
		clients[i].touch()
	}
	r.server = usageOf(target.PID)
	mine := ownProcessorTime()
	ctx, cancel := context.WithTimeout(ctx, traffic.Duration)
	defer cancel()
	r.started = time.Now()
	timeline := r.drive(ctx, clients)
	seconds := time.Since(r.started).Seconds()

	result := &Result{
		Target: target.Name, Traffic: traffic.Name, Clients: traffic.Clients, Rate: traffic.Rate,
		Seconds: seconds, Timeline: timeline,
		ClientCPUSeconds: (ownProcessorTime() - mine).Seconds(),
		ServerCPUSeconds: (usageOf(target.PID).processor - r.server.processor).Seconds(),
		ServerPeakBytes:  r.peak,
	}
	all := newTally()
	for _, c := range clients {
		all.add(c.tally)
	}
	all.result(result)
	return result, nil
}

// drive lets the clients work and reads the counters meanwhile.
func (r *run) drive(ctx context.Context, clients []*client) []Moment {
	var working sync.WaitGroup
	for _, c := range clients {
		working.Go(func() { c.work(ctx) })
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
		ResidentBytes: usageOf(r.target.PID).resident,
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
	return r.started.Add(time.Duration(float64(n) / r.traffic.Rate * float64(time.Second)))
}
