// Package overload finds out what a server does when ten times as much is asked of it as it can do: whether what
// it does do stays near its best, whether it refuses the rest in so many words, and whether its memory keeps its
// bound.
//
// The server belongs to the caller. A run stores under keys of its own, which no other run has used, and leaves
// what it stored.
package overload

import (
	"context"
	"crypto/rand"
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
	// mostClients send the overload: as many bodies of 8 MiB are twice what 1 GiB of memory could hold.
	mostClients = 256
	// hot is how many values the reads are spread over, at most hotBytes of them.
	hot      = 16
	hotBytes = 128 << 20
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

// An overload is one run of this package.
type overload struct {
	Options
	keys string // what all keys of this run begin with
	hot  int64
}

// Run measures the best, and then ten times that. A Put stores a new value, a Get reads one of a few.
func Run(ctx context.Context, options Options) (*Result, error) {
	o := &overload{
		Options: options,
		keys:    "overload-" + rand.Text(),
		hot:     max(1, min(hot, hotBytes/options.Item.Size)),
	}
	o.Target.AskFirst = true // a client whose body is refused should not have to send it
	if err := o.store(ctx); err != nil {
		return nil, fmt.Errorf("store what is going to be read: %w", err)
	}
	peak, err := load.Run(ctx, o.Target, o.traffic("best", peakClients, 0))
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if peak.Operations() == 0 {
		return nil, fmt.Errorf("no request to %s succeeded: %d refused, %d errors: %s",
			o.Target.Name, peak.Refused, peak.Errors, peak.FirstError)
	}
	rate := factor * float64(peak.Operations()) / peak.Seconds
	over, err := load.Run(ctx, o.Target, o.traffic(fmt.Sprintf("%d times that", factor), o.clients(), rate))
	if err != nil {
		return nil, err
	}
	return &Result{Peak: peak, Over: over}, ctx.Err()
}

// clients is how many send the overload, as far as memory for what they read allows.
func (o *overload) clients() int { return int(max(1, min(mostClients, load.MaxBuffers/o.Item.Size))) }

// store puts what is going to be read.
func (o *overload) store(ctx context.Context) error {
	traffic := o.traffic("prepare", 1, 0)
	traffic.Requests = o.hot
	traffic.Duration = time.Minute
	traffic.Next = func(n int64) load.Request {
		return load.Request{Op: load.Put, Items: []load.Item{o.item("hot", n)}}
	}
	result, err := load.Run(ctx, o.Target, traffic)
	if err != nil {
		return err
	}
	if result.Operations() < o.hot {
		return errors.Join(ctx.Err(), fmt.Errorf("%d of %d values, %d refused: %s",
			result.Operations(), o.hot, result.Refused, result.FirstError))
	}
	return nil
}

func (o *overload) traffic(name string, clients int, rate float64) load.Traffic {
	stored := "best"
	if rate > 0 {
		stored = "over"
	}
	t := load.Traffic{
		Name: name, Clients: clients, Rate: rate, Duration: o.Duration,
		Payloads: o.Payloads, Largest: o.Item.Size, Verify: o.Verify,
		Next: func(n int64) load.Request {
			op := o.Ops[n%int64(len(o.Ops))]
			item := o.item(stored, n)
			if op == load.Get {
				item = o.item("hot", n/int64(len(o.Ops))%o.hot)
			}
			return load.Request{Op: op, Items: []load.Item{item}}
		},
	}
	if o.Progress != nil {
		t.Progress = func(m load.Moment) { o.Progress(name, m) }
	}
	return t
}

func (o *overload) item(of string, n int64) load.Item {
	item := o.Item
	item.Key = fmt.Sprintf("%s-%s-%d", o.keys, of, n)
	return item
}
