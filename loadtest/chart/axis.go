package chart

import (
	"math"
	"slices"
	"strconv"
)

// A Scale says how an axis spreads its values.
type Scale int

// The scales.
const (
	Linear Scale = iota // contains zero
	Log                 // of positive values
	Nines               // of percentiles from 0 to below 100: each nine more is as far as the one before
)

// An Axis is one direction of a plot.
type Axis struct {
	Name  string // in words; empty where the title and the units say it
	Unit  Unit
	Scale Scale
}

// A ruler is an axis that knows its values: it places each between 0 and 1.
type ruler struct {
	Axis
	lo, hi float64 // transformed
	ticks  []tick
}

type tick struct {
	value float64
	label string
	at    float64 // between 0 and 1
}

// ruler fits the axis to values. Covering, it reaches from tick to tick; else it ends where the values do, and
// its ticks lie between.
func (a Axis) ruler(values []float64, parts int, cover bool) ruler {
	values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !a.Scale.places(v) })
	lo, hi := a.Scale.bounds(values)
	var ticks []float64
	switch a.Scale {
	case Linear:
		ticks = linearTicks(lo, hi, parts)
	case Log:
		ticks = logTicks(lo, hi, parts*3/2+1) // 2 and 5 leave room between powers of ten
	case Nines:
		ticks = ninesTicks(hi)
	}
	if cover {
		lo, hi = min(lo, ticks[0]), max(hi, ticks[len(ticks)-1])
	} else {
		ticks = slices.DeleteFunc(ticks, func(t float64) bool { return t < lo || t > hi })
	}
	r := ruler{Axis: a, lo: a.Scale.transform(lo), hi: a.Scale.transform(hi)}
	labels := a.labels(ticks)
	for i, v := range ticks {
		r.ticks = append(r.ticks, tick{v, labels[i], r.part(v)})
	}
	return r
}

func (a Axis) labels(ticks []float64) []string {
	if a.Scale == Linear {
		return a.Unit.labels(ticks)
	}
	labels := make([]string, len(ticks))
	for i, v := range ticks {
		labels[i] = a.Unit.short(v)
		if a.Scale == Nines {
			labels[i] = percentile(v)
		}
	}
	return labels
}

// percentile writes all nines of a percentile.
func percentile(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + "%" }

// at returns where a value lies between 0 and 1, and whether the axis has a place for it.
func (r ruler) at(v float64) (float64, bool) {
	if !r.Scale.places(v) {
		return 0, false
	}
	return r.part(v), true
}

func (r ruler) part(v float64) float64 {
	return min(max((r.Scale.transform(v)-r.lo)/(r.hi-r.lo), 0), 1)
}

// format writes a value of the axis.
func (r ruler) format(v float64) string {
	if r.Scale == Nines {
		return percentile(v)
	}
	return r.Unit.Format(v)
}

// places reports whether a scale has a place for a value. Past 10^18 the arithmetic of ticks loses digits.
func (s Scale) places(v float64) bool {
	switch {
	case math.IsNaN(v) || math.Abs(v) > 1e18:
		return false
	case s == Log:
		return v >= smallest
	case s == Nines:
		return v >= 0 && v < 100
	}
	return true
}

func (s Scale) transform(v float64) float64 {
	switch s {
	case Log:
		return math.Log10(v)
	case Nines:
		return -math.Log10(1 - v/100)
	}
	return v
}

// bounds returns the range of values, widened to one that can be divided into ticks.
func (s Scale) bounds(values []float64) (lo, hi float64) {
	switch {
	case s == Log && len(values) == 0:
		return 1, 10
	case s == Log:
		lo, hi = slices.Min(values), slices.Max(values)
		if hi < 2*lo {
			return lo / 2, hi * 2
		}
		return lo, hi
	case s == Nines && len(values) == 0:
		return 0, 99
	}
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	switch {
	case s == Nines:
		return 0, max(hi, 50)
	case hi-lo < smallest:
		return 0, 1
	}
	return lo, hi
}
