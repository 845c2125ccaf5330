// Package compare sends the same traffic to several servers in turn and holds what they reach against each other
// and against the raw loopback stream of the same moment.
//
// One kind of traffic is a row. Its rounds are interleaved: the raw stream, each target, and again, so that a
// machine that is slow for a while is slow for all of them; a cell is the median of its rounds, and a share or a
// ratio is made within a round before the median is taken.
//
// The servers belong to the caller. What is going to be read is stored before a row is measured, and every byte of
// it is read back and checked then: rounds need not spend the processors that they share with the servers on that.
// A server that fails spoils its own cells only, which say so.
package compare

import (
	"context"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/loadtest/load"
)

// Options say what to compare.
type Options struct {
	Targets    []load.Target
	PutOnly    map[string]bool // names of targets that only store
	Raw        string          // address of a server of raw bytes
	Congestion string          // of the raw stream's client
	Rows       []Row           // without cells
	Rounds     int
	Duration   time.Duration // of one cell in one round
	// MemoryBytes is what each server may keep; a little more is stored before PUTs are measured, so that memory which
	// a server uses for the first time is not what is measured.
	MemoryBytes int64
	Verify      load.Verify // in the rounds
	Seed        uint64
	Progress    func(done, all int, row Row, target string) // nil: nobody is told
}

// comparison is a run of Compare.
type comparison struct {
	Options
	payloads *load.Payloads
	stored   int64        // values that were stored under new keys so far
	full     map[int]bool // processes whose memory was filled
	done     int          // of all runs
	all      int
	result   Result
}

// Run compares. When ctx ends, it fails.
func Run(ctx context.Context, o Options) (*Result, error) {
	c := &comparison{Options: o, full: make(map[int]bool), result: Result{Rounds: o.Rounds}}
	var largest int64
	for _, row := range o.Rows {
		largest = max(largest, row.Size)
		c.all += len(c.targets(row)) * o.Rounds
	}
	c.payloads = load.NewPayloads(o.Seed, largest)
	for _, t := range o.Targets {
		c.result.Targets = append(c.result.Targets, t.Name)
	}
	var raws []float64
	for _, row := range o.Rows {
		cells, raw, err := c.row(ctx, row)
		if err != nil {
			return nil, err
		}
		raws = append(raws, raw...)
		row.Cells = cells
		c.result.Rows = append(c.result.Rows, row)
	}
	c.result.RawBytesPerSecond = median(raws)
	return &c.result, nil
}

// row measures all targets under one kind of traffic. Its error means that there can be no comparison.
func (c *comparison) row(ctx context.Context, row Row) (map[string]Cell, []float64, error) {
	targets := c.targets(row)
	rounds := make(map[string][]round)
	ready := targets[:0:0]
	for _, t := range targets {
		c.tell(row, t)
		err := c.prepare(ctx, row, t)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			rounds[t.Name] = []round{{err: fmt.Errorf("prepare: %w", err)}}
			c.done += c.Rounds
			continue
		}
		ready = append(ready, t)
	}
	var raws []float64
	for range c.Rounds {
		raw, err := load.ReadRaw(ctx, c.Raw, c.Congestion, c.Duration/2)
		if err != nil {
			return nil, nil, fmt.Errorf("raw loopback stream: %w", err)
		}
		raws = append(raws, raw)
		for _, t := range ready {
			c.tell(row, t)
			result, err := load.Run(ctx, t, c.traffic(row, t))
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			rounds[t.Name] = append(rounds[t.Name], round{result, raw, err})
			c.done++
		}
	}
	cells := make(map[string]Cell)
	for name, rounds := range rounds {
		cells[name] = cell(row, rounds)
	}
	return cells, raws, nil
}

func (c *comparison) tell(row Row, t load.Target) {
	if c.Progress != nil {
		c.Progress(c.done, c.all, row, t.Name)
	}
}

// targets returns who takes part in a row.
func (c *comparison) targets(row Row) (targets []load.Target) {
	for _, t := range c.Targets {
		if row.Op == load.Lookup && !t.Looks() || row.Op != load.Put && c.PutOnly[t.Name] {
			continue
		}
		targets = append(targets, t)
	}
	return targets
}
