// Package overload finds out what a server does when ten times as much is asked of it as it can do: whether what
// it does do stays near its best, whether it refuses the rest in so many words, and whether its memory keeps its
// bound.
package overload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/loadtest/load"
)

const (
	// factor is how many times the server's best is asked of it.
	factor = 10
	// peakClients reach the best on a machine with few cores: more of them only queue.
	peakClients = 4
	// clients send the overload: as many bodies of 8 MiB are twice what 1 GiB of memory could hold.
	clients = 256
	// hot is how many values the reads are spread over.
	hot = 16
)

// Options say what to do to whom.
type Options struct {
	Target   load.Target
	Item     load.Item // every value is as large and of this shape
	Payloads *load.Payloads
	Duration time.Duration // of each of the two runs
	Verify   load.Verify
	Ops      []load.Op                        // Get and Put in turn, or one of them
	Progress func(what string, m load.Moment) // nil: nobody is told
}

// A Result is the server at its best and beyond.
type Result struct {
	Peak *load.Result `json:"peak"`
	Over *load.Result `json:"over"`
}

// Goodput returns what the server did under overload as a share of its best.
func (r *Result) Goodput() float64 {
	if r.Peak.BytesPerSecond() == 0 {
		return 0
	}
	return r.Over.BytesPerSecond() / r.Peak.BytesPerSecond()
}

// Run measures the best, and then ten times that. A Put stores a new value, a Get reads one of a few.
func Run(ctx context.Context, o Options) (*Result, error) {
	o.Target.AskFirst = true // a client whose body is refused should not have to send it
	if err := o.store(ctx); err != nil {
		return nil, err
	}
	peak, err := load.Run(ctx, o.Target, o.traffic("best", peakClients, 0))
	if err != nil {
		return nil, err
	}
	requests := 0.0
	for _, s := range peak.Ops {
		requests += float64(s.Count)
	}
	if requests == 0 {
		return nil, fmt.Errorf("no request succeeded: %s", peak.FirstError)
	}
	over, err := load.Run(ctx, o.Target, o.traffic("10 times that", clients, factor*requests/peak.Seconds))
	if err != nil {
		return nil, err
	}
	return &Result{Peak: peak, Over: over}, ctx.Err()
}

// store puts what is going to be read.
func (o Options) store(ctx context.Context) error {
	traffic := o.traffic("prepare", 1, 0)
	traffic.Requests = hot
	traffic.Duration = time.Minute
	traffic.Next = func(n int64) load.Request { return load.Request{Op: load.Put, Items: []load.Item{o.item("hot", n)}} }
	result, err := load.Run(ctx, o.Target, traffic)
	if err == nil && result.FirstError != "" {
		err = errors.New(result.FirstError)
	}
	return err
}

func (o Options) traffic(name string, clients int, rate float64) load.Traffic {
	t := load.Traffic{
		Name: name, Clients: clients, Rate: rate, Duration: o.Duration,
		Payloads: o.Payloads, Largest: o.Item.Size, Verify: o.Verify,
		Next: func(n int64) load.Request {
			op := o.Ops[n%int64(len(o.Ops))]
			item := o.item(name, n)
			if op == load.Get {
				item = o.item("hot", n/int64(len(o.Ops))%hot)
			}
			return load.Request{Op: op, Items: []load.Item{item}}
		},
	}
	if o.Progress != nil {
		t.Progress = func(m load.Moment) { o.Progress(name, m) }
	}
	return t
}

func (o Options) item(name string, n int64) load.Item {
	item := o.Item
	item.Key = fmt.Sprintf("overload-%s-%d", name, n)
	return item
}
