package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// longest is the longest latency that a histogram tells from longer ones.
	longest = time.Hour
	// digits is the precision of latencies: 1%, for 25 KiB a histogram.
	digits = 2
)

// A tally is what one client counts, or all of them together.
type tally struct {
	ops     map[Op]*opTally
	tiers   map[string]int64
	encodes int64
	keys    int64

	refused, unexcused, errors, wrong int64
	firstError                        error
}

type opTally struct {
	bytes   int64
	latency *hdrhistogram.Histogram // in microseconds
}

func newTally() *tally { return &tally{ops: make(map[Op]*opTally), tiers: make(map[string]int64)} }

// count adds one operation.
func (t *tally) count(op Op, took time.Duration, bytes int64) {
	o := t.ops[op]
	if o == nil {
		o = &opTally{latency: hdrhistogram.New(1, longest.Microseconds(), digits)}
		t.ops[op] = o
	}
	o.bytes += bytes
	_ = o.latency.RecordValue(min(max(took, time.Microsecond), longest).Microseconds()) // it is in range
}

// fail adds an operation that came to nothing.
func (t *tally) fail(err error) {
	t.errors++
	if t.firstError == nil {
		t.firstError = err
	}
}

// add joins another client's tally.
func (t *tally) add(other *tally) {
	for op, o := range other.ops {
		if mine := t.ops[op]; mine == nil {
			t.ops[op] = o
		} else {
			mine.bytes += o.bytes
			mine.latency.Merge(o.latency)
		}
	}
	for tier, n := range other.tiers {
		t.tiers[tier] += n
	}
	t.encodes += other.encodes
	t.keys += other.keys
	t.refused += other.refused
	t.unexcused += other.unexcused
	t.errors += other.errors
	t.wrong += other.wrong
	if t.firstError == nil {
		t.firstError = other.firstError
	}
}

// result fills in what was counted.
func (t *tally) result(r *Result) {
	r.Ops = make(map[Op]*Summary)
	for op, o := range t.ops {
		s := &Summary{
			Count: o.latency.TotalCount(),
			Bytes: o.bytes,
			Mean:  o.latency.Mean() / 1e6,
			Max:   float64(o.latency.Max()) / 1e6,
		}
		for _, percent := range Percents() {
			s.Latency = append(s.Latency, Point{percent, float64(o.latency.ValueAtQuantile(percent)) / 1e6})
		}
		r.Ops[op] = s
	}
	r.Tiers, r.Encodes, r.Keys = t.tiers, t.encodes, t.keys
	r.Refused, r.Unexcused, r.Errors, r.Wrong = t.refused, t.unexcused, t.errors, t.wrong
	if t.firstError != nil {
		r.FirstError = t.firstError.Error()
	}
}
