package load

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Condition is something that must be true of a result, such as get.p99<20ms.
type Condition struct {
	text    string
	measure measure
	compare string
	bound   float64 // of a time: seconds
}

// Conditions says how a Condition is written.
const Conditions = "MEASURE < <= = >= > VALUE, where MEASURE is get, put, miss or lookup with " +
	".p50 .p90 .p99 .p99.9 .mean .max (20ms; not met if there was none), .count or .rate (bytes a second: 1.5e9), or " +
	"errors, wrong, refused, unexcused, unanswered, encodes, hit_ratio, server_bytes, server_cpu_per_gb"

var conditionText = regexp.MustCompile(`^([a-z_]+)(?:\.([a-z0-9.]+))?\s*(<=|>=|<|>|=)\s*([0-9.e+-]+)(ns|us|µs|ms|s)?$`)

// ErrCondition means that a condition cannot be read.
var ErrCondition = errors.New("invalid condition")

// A measure reads one number of a result. It has none of an operation that did not happen.
type measure struct {
	time bool // seconds
	of   func(*Result) (value float64, ok bool)
}

// ParseCondition reads a condition.
func ParseCondition(text string) (Condition, error) {
	invalid := func(why string) (Condition, error) {
		return Condition{}, fmt.Errorf("%w %q: %s: write %s", ErrCondition, text, why, Conditions)
	}
	match := conditionText.FindStringSubmatch(text)
	if match == nil {
		return invalid("it is no comparison")
	}
	name, part, compare, bound, unit := match[1], match[2], match[3], match[4], match[5]
	c := Condition{text: text, compare: compare}
	known := false
	if part == "" {
		c.measure, known = whole(name)
	} else if slices.Contains([]Op{Get, Miss, Put, Lookup}, Op(name)) {
		c.measure, known = ofOp(Op(name), part)
	}
	if !known {
		return invalid("there is no such measure")
	}
	var err error
	if c.bound, err = strconv.ParseFloat(bound, 64); err != nil {
		return invalid("its value is no number")
	}
	switch {
	case unit != "" && !c.measure.time:
		return invalid("its measure is no time")
	case unit != "":
		one, err := time.ParseDuration("1" + unit)
		if err != nil {
			return invalid("its unit is none of time")
		}
		c.bound *= one.Seconds()
	case c.measure.time && c.bound != 0:
		return invalid("its time has no unit")
	}
	return c, nil
}

// whole are the measures of all operations together.
func whole(name string) (measure, bool) {
	of, known := map[string]func(*Result) float64{
		"errors":            func(r *Result) float64 { return float64(r.Errors) },
		"wrong":             func(r *Result) float64 { return float64(r.Wrong) },
		"refused":           func(r *Result) float64 { return float64(r.Refused) },
		"unexcused":         func(r *Result) float64 { return float64(r.Unexcused) },
		"unanswered":        func(r *Result) float64 { return float64(r.Unanswered) },
		"encodes":           func(r *Result) float64 { return float64(r.Encodes) },
		"hit_ratio":         (*Result).HitRatio,
		"server_bytes":      func(r *Result) float64 { return float64(r.ServerPeakBytes) },
		"server_cpu_per_gb": (*Result).ServerCPUPerGB,
	}[name]
	return measure{of: func(r *Result) (float64, bool) { return of(r), true }}, known
}

// ofOp are the measures of one operation.
func ofOp(op Op, part string) (measure, bool) {
	switch part {
	case "count":
		return measure{of: func(r *Result) (float64, bool) { return float64(r.count(op)), true }}, true
	case "rate":
		return measure{of: func(r *Result) (float64, bool) {
			if s := r.Ops[op]; s != nil {
				return perSecond(s.Bytes, r.Seconds), true
			}
			return 0, true
		}}, true
	}
	latency, known := latencyOf(part)
	return measure{time: true, of: func(r *Result) (float64, bool) {
		if s := r.Ops[op]; s != nil && s.Count > 0 {
			return latency(s), true
		}
		return 0, false
	}}, known
}

func latencyOf(part string) (func(*Summary) float64, bool) {
	switch part {
	case "mean":
		return func(s *Summary) float64 { return s.Mean }, true
	case "max":
		return func(s *Summary) float64 { return s.Max }, true
	}
	number, isPercentile := strings.CutPrefix(part, "p")
	percent, err := strconv.ParseFloat(number, 64)
	return func(s *Summary) float64 { return s.Percentile(percent).Seconds() },
		isPercentile && err == nil && slices.Contains(Percents(), percent)
}

// Check returns an error if the result does not meet the condition.
func (c Condition) Check(r *Result) error {
	value, ok := c.measure.of(r)
	if !ok {
		return fmt.Errorf("%s, %s: not %s: there was none", r.Target, r.Traffic, c.text)
	}
	met := false
	switch c.compare {
	case "<":
		met = value < c.bound
	case "<=":
		met = value <= c.bound
	case "=":
		met = value == c.bound
	case ">=":
		met = value >= c.bound
	case ">":
		met = value > c.bound
	}
	if met {
		return nil
	}
	unit := ""
	if c.measure.time {
		unit = " s"
	}
	return fmt.Errorf("%s, %s: not %s: it is %.6g%s", r.Target, r.Traffic, c.text, value, unit)
}
