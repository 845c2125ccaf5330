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

	refused, unexcused, errors, wrong, unanswered int64
	firstError                                    error
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

// mistake adds a value whose bytes were wrong. Nothing is more worth telling.
func (t *tally) mistake(err error) {
	if t.wrong == 0 {
		t.firstError = err
	}
	t.wrong++
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
	t.unanswered += other.unanswered
	if t.firstError == nil || t.wrong == 0 && other.wrong > 0 {
		t.firstError = other.firstError
	}
	t.wrong += other.wrong
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
	r.Refused, r.Unexcused, r.Errors, r.Wrong, r.Unanswered = t.refused, t.unexcused, t.errors, t.wrong, t.unanswered
	if t.firstError != nil {
		r.FirstError = t.firstError.Error()
	}
}
