// Package compare sends the same traffic to several servers in turn and holds what they reach against each other
// and against the raw loopback stream of the same moment.
//
// One kind of traffic is a row. Its rounds are interleaved: the raw stream, each target, and again, so that a
// machine that is slow for a while is slow for all of them; a cell is the median of its rounds, and a share or a
// ratio is made within a round before the median is taken.
package compare

import (
	"context"
	"fmt"
	"slices"
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
	Verify      load.Verify
	Seed        uint64
	Progress    func(done, all int, row Row, target string) // nil: nobody is told
}

const (
	// lookupKeys is how many keys one lookup asks about.
	lookupKeys = 64
	// readBytes is how much is stored for reads, in how many values at least and at most: several times what a
	// processor caches.
	readBytes  = 256 << 20
	leastReads = 4
	mostReads  = 4096
	// prepareTime bounds the storing of what is going to be read or pushed out.
	prepareTime = 5 * time.Minute
)

// comparison is a run of Compare.
type comparison struct {
	Options
	payloads *load.Payloads
	largest  int64
	stored   int64           // values that were stored under new keys so far
	full     map[string]bool // targets whose memory was filled
	done     int             // runs
	result   Result
}

// Run compares.
func Run(ctx context.Context, o Options) (*Result, error) {
	c := &comparison{Options: o, full: make(map[string]bool), result: Result{Rounds: o.Rounds}}
	for _, row := range o.Rows {
		c.largest = max(c.largest, row.Size)
	}
	c.payloads = load.NewPayloads(o.Seed, c.largest)
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

// row measures all targets under one kind of traffic.
func (c *comparison) row(ctx context.Context, row Row) (map[string]Cell, []float64, error) {
	targets := c.targets(row)
	for _, t := range targets {
		if err := c.prepare(ctx, row, t); err != nil {
			return nil, nil, err
		}
	}
	results := make(map[string][]*load.Result)
	var raws []float64
	for range c.Rounds {
		raw, err := load.ReadRaw(ctx, c.Raw, c.Congestion, c.Duration/2)
		if err != nil {
			return nil, nil, fmt.Errorf("raw loopback stream: %w", err)
		}
		raws = append(raws, raw)
		for _, t := range targets {
			if c.Progress != nil {
				c.Progress(c.done, c.runs(), row, t.Name)
			}
			result, err := load.Run(ctx, t, c.traffic(row, t))
			if err != nil {
				return nil, nil, err
			}
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			c.done++
			results[t.Name] = append(results[t.Name], result)
		}
	}
	cells := make(map[string]Cell)
	for name, rounds := range results {
		cells[name] = cell(row, rounds, raws)
	}
	return cells, raws, nil
}

// runs is how many there are in all.
func (c *comparison) runs() (n int) {
	for _, row := range c.Rows {
		n += len(c.targets(row)) * c.Rounds
	}
	return n
}

// targets returns who takes part in a row.
func (c *comparison) targets(row Row) (targets []load.Target) {
	for _, t := range c.Targets {
		_, looks := t.Dial().(load.Looker)
		if row.Op == load.Lookup && !looks || row.Op != load.Put && c.PutOnly[t.Name] {
			continue
		}
		targets = append(targets, t)
	}
	return targets
}

// prepare stores what is going to be read, or fills the memory of a server that has to store.
func (c *comparison) prepare(ctx context.Context, row Row, t load.Target) error {
	traffic := c.traffic(row, t)
	traffic.Clients, traffic.Duration = 1, prepareTime
	switch {
	case row.Op != load.Put:
		traffic.Requests = c.keys(row)
		traffic.Next = func(n int64) load.Request {
			return load.Request{Op: load.Put, Items: []load.Item{{Key: key(row, n), Size: row.Size}}}
		}
	case c.full[t.Name]:
		return nil
	default:
		c.full[t.Name] = true
		traffic.Requests = c.MemoryBytes / row.Size * 5 / 4
	}
	result, err := load.Run(ctx, t, traffic)
	if err == nil && result.FirstError != "" {
		err = fmt.Errorf("%d errors, first: %s", result.Errors, result.FirstError)
	}
	if err != nil {
		return fmt.Errorf("prepare %s: %w", t.Name, err)
	}
	return ctx.Err()
}

// keys is how many values reads of a row are spread over.
func (c *comparison) keys(row Row) int64 {
	switch {
	case row.Entries > 0:
		return row.Entries
	case row.Op == load.Lookup:
		return lookupKeys
	}
	return max(leastReads, min(readBytes/row.Size, mostReads))
}

func key(row Row, n int64) string { return fmt.Sprintf("%s-%d-%d", row.Op, row.Size, n) }

// traffic is what a target gets in one round.
func (c *comparison) traffic(row Row, t load.Target) load.Traffic {
	traffic := load.Traffic{
		Name: string(row.Op), Clients: row.Clients, Duration: c.Duration,
		Payloads: c.payloads, Largest: c.largest, Verify: c.Verify,
	}
	keys := c.keys(row)
	switch row.Op {
	case load.Lookup:
		questions := c.questions(row, keys)
		traffic.Next = func(n int64) load.Request {
			return load.Request{Op: load.Lookup, Question: questions[n%int64(len(questions))]}
		}
	case load.Put:
		first := c.stored
		c.stored += 1 << 32 // no round stores as many
		traffic.Next = func(n int64) load.Request {
			if n += first; t.Overwrites {
				n %= keys
			}
			return load.Request{Op: load.Put, Items: []load.Item{{Key: key(row, n), Size: row.Size}}}
		}
	default:
		traffic.Next = func(n int64) load.Request {
			return load.Request{Op: load.Get, Items: []load.Item{{Key: key(row, n%keys), Size: row.Size}}}
		}
	}
	return traffic
}

// questions spread lookups over the keys of a row. Each is encoded once.
func (c *comparison) questions(row Row, keys int64) []*load.Question {
	const most = 64 // different ones
	questions := make([]*load.Question, min(most, max(1, keys/lookupKeys)))
	for q := range questions {
		questions[q] = new(load.Question)
		for n := range int64(lookupKeys) {
			spread := (int64(q)*lookupKeys + n) * max(1, keys/most/lookupKeys)
			questions[q].Keys = append(questions[q].Keys, key(row, spread%keys))
		}
	}
	return questions
}

// cell takes the medians of a target's rounds.
func cell(row Row, rounds []*load.Result, raws []float64) Cell {
	var c Cell
	var ops, keys, share, server, client, p50, p99 []float64
	for i, r := range rounds {
		speed := r.BytesPerSecond()
		if row.Op == load.Lookup {
			speed = float64(r.Keys) / r.Seconds
			keys = append(keys, speed)
		}
		c.Rounds = append(c.Rounds, speed)
		share = append(share, speed/raws[i])
		if s := r.Ops[row.Op]; s != nil {
			ops = append(ops, float64(s.Count)/r.Seconds)
			p50 = append(p50, s.Percentile(50).Seconds())
			p99 = append(p99, s.Percentile(99).Seconds())
		}
		server = append(server, r.ServerCPUPerGB())
		client = append(client, r.ClientCPUPerGB())
		c.PeakBytes = max(c.PeakBytes, r.ServerPeakBytes)
		if c.FirstError == "" {
			c.FirstError = r.FirstError
		}
	}
	if row.Op != load.Lookup {
		c.BytesPerSecond, c.ShareOfRaw = median(c.Rounds), median(share)
	}
	c.OpsPerSecond, c.KeysPerSecond = median(ops), median(keys)
	c.ServerCPUPerGB, c.ClientCPUPerGB = median(server), median(client)
	c.P50, c.P99 = median(p50), median(p99)
	return c
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
