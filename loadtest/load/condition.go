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
	measure string
	compare string
	bound   float64
}

// Conditions says how a Condition is written.
const Conditions = "MEASURE < <= = >= > VALUE, where MEASURE is get, put, miss or lookup with " +
	".p50 .p90 .p99 .p99.9 .mean .max (20ms), .count or .rate (bytes a second: 1.5e9), or errors, wrong, refused, " +
	"encodes, hit_ratio, server_bytes, server_cpu_per_gb"

var (
	conditionText = regexp.MustCompile(`^([a-z_.0-9]+)\s*(<=|>=|<|>|=)\s*([0-9.e+-]+)(ns|us|µs|ms|s)?$`)
	ops           = []Op{Get, Miss, Put, Lookup}
)

// ErrCondition means that a condition cannot be read.
var ErrCondition = errors.New("invalid condition")

// ParseCondition reads a condition.
func ParseCondition(text string) (Condition, error) {
	c := Condition{text: text}
	match := conditionText.FindStringSubmatch(text)
	if match == nil {
		return c, fmt.Errorf("%w %q: write %s", ErrCondition, text, Conditions)
	}
	c.measure, c.compare = match[1], match[2]
	var err error
	if c.bound, err = strconv.ParseFloat(match[3], 64); err != nil {
		return c, fmt.Errorf("%w %q: %q is no number", ErrCondition, text, match[3])
	}
	if match[4] != "" {
		unit, err := time.ParseDuration("1" + match[4])
		if err != nil {
			return c, fmt.Errorf("%w %q: %w", ErrCondition, text, err)
		}
		c.bound *= unit.Seconds()
	}
	if _, known := c.value(&Result{Ops: map[Op]*Summary{}}); !known {
		return c, fmt.Errorf("%w %q: there is no measure %q: write %s", ErrCondition, text, c.measure, Conditions)
	}
	return c, nil
}

// Check returns an error if the result does not meet the condition.
func (c Condition) Check(r *Result) error {
	value, _ := c.value(r)
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
	return fmt.Errorf("%s, %s: not %s: it is %.6g", r.Target, r.Traffic, c.text, value)
}

// value returns what the condition is about; an operation that did not happen took no time.
func (c Condition) value(r *Result) (value float64, known bool) {
	switch c.measure {
	case "errors":
		return float64(r.Errors), true
	case "wrong":
		return float64(r.Wrong), true
	case "refused":
		return float64(r.Refused), true
	case "encodes":
		return float64(r.Encodes), true
	case "hit_ratio":
		return r.HitRatio(), true
	case "server_bytes":
		return float64(r.ServerPeakBytes), true
	case "server_cpu_per_gb":
		return r.ServerCPUPerGB(), true
	}
	op, measure, _ := strings.Cut(c.measure, ".")
	if !slices.Contains(ops, Op(op)) {
		return 0, false
	}
	s := r.Ops[Op(op)]
	if s == nil {
		s = &Summary{}
	}
	switch measure {
	case "mean":
		return s.Mean, true
	case "max":
		return s.Max, true
	case "count":
		return float64(s.Count), true
	case "rate":
		return perSecond(s.Bytes, r.Seconds), true
	}
	percent, err := strconv.ParseFloat(strings.TrimPrefix(measure, "p"), 64)
	if err != nil || !strings.HasPrefix(measure, "p") || !slices.Contains(Percents(), percent) {
		return 0, false
	}
	return s.Percentile(percent).Seconds(), true
}
