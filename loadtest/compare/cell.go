package compare

import (
	"fmt"
	"slices"

	"github.com/keepsight/keepsight/loadtest/load"
)

// A round is one target once under one kind of traffic, or why it could not be.
type round struct {
	result *load.Result
	raw    float64 // of the raw stream just before, in bytes a second
	err    error
}

// cell takes the medians of a target's rounds. An operation that never went well has no latency.
func cell(row Row, rounds []round) Cell {
	var c Cell
	var bytes, ops, keys, share, server, client, p50, p99 []float64
	for _, r := range rounds {
		if r.err != nil {
			c.Errors++
			c.blame(r.err.Error())
			r.result = new(load.Result)
		}
		result := r.result
		c.add(result)
		if r.err == nil && result.Operations()+result.Refused+result.Errors == 0 {
			c.Errors++
			c.blame("no request was answered")
		}
		bytes = append(bytes, result.BytesPerSecond())
		keys = append(keys, result.KeysPerSecond())
		if r.raw > 0 {
			share = append(share, result.BytesPerSecond()/r.raw)
		}
		ops = append(ops, result.PerSecond(row.Op))
		if s := result.Ops[row.Op]; s != nil {
			p50 = append(p50, s.Percentile(50).Seconds())
			p99 = append(p99, s.Percentile(99).Seconds())
			server = append(server, result.ServerCPUPerGB())
			client = append(client, result.ClientCPUPerGB())
		}
	}
	c.Rounds = bytes
	if row.Op == load.Lookup {
		c.Rounds = keys
	}
	c.BytesPerSecond, c.ShareOfRaw = median(bytes), median(share)
	c.OpsPerSecond, c.KeysPerSecond = median(ops), median(keys)
	c.ServerCPUPerGB, c.ClientCPUPerGB = median(server), median(client)
	c.P50, c.P99 = median(p50), median(p99)
	if c.Missed > 0 {
		c.blame(fmt.Sprintf("%d reads found nothing under a key that was stored", c.Missed))
	}
	if c.Refused > 0 {
		c.blame(fmt.Sprintf("%d requests were refused", c.Refused))
	}
	return c
}

// add joins what must not happen in a round.
func (c *Cell) add(r *load.Result) {
	c.PeakBytes = max(c.PeakBytes, r.ServerPeakBytes)
	c.Refused += r.Refused
	c.Errors += r.Errors
	c.Wrong += r.Wrong
	if s := r.Ops[load.Miss]; s != nil {
		c.Missed += s.Count
	}
	if r.FirstError != "" {
		c.blame(r.FirstError)
	}
}

// blame remembers the first thing that went wrong.
func (c *Cell) blame(what string) {
	if c.FirstError == "" {
		c.FirstError = what
	}
}

// Ratio returns how much faster one target is than another: the median of the ratios within each round, or 0 if
// one of them did not take part.
func (r *Row) Ratio(one, other string) float64 {
	a, b := r.Cells[one].Rounds, r.Cells[other].Rounds
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if a[i] > 0 && b[i] > 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	return median(ratios)
}

// median returns the value in the middle, of an even number the mean of the two there, of none 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}
