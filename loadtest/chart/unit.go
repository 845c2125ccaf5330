package chart

import (
	"math"
	"strconv"
	"strings"
)

// A Unit is what numbers count.
type Unit int

// The units.
const (
	Count          Unit = iota // 1,234
	PerSecond                  // 12.3k/s
	Percent                    // of 100
	Seconds                    // from ns
	Bytes                      // from B in powers of 1000
	BytesPerSecond             // from B/s in powers of 1000
	BinaryBytes                // from B in powers of 1024
)

// A prefix is one form of a unit.
type prefix struct {
	size float64
	name string
}

var prefixes = [...][]prefix{
	Count:          {{1, ""}, {1e6, " M"}, {1e9, " G"}},
	PerSecond:      {{1, "/s"}, {1e3, "k/s"}, {1e6, "M/s"}},
	Percent:        {{1, "%"}},
	Seconds:        {{1e-9, " ns"}, {1e-6, " µs"}, {1e-3, " ms"}, {1, " s"}},
	Bytes:          {{1, " B"}, {1e3, " kB"}, {1e6, " MB"}, {1e9, " GB"}, {1e12, " TB"}},
	BytesPerSecond: {{1, " B/s"}, {1e3, " kB/s"}, {1e6, " MB/s"}, {1e9, " GB/s"}, {1e12, " TB/s"}},
	BinaryBytes:    {{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}, {1 << 30, " GiB"}, {1 << 40, " TiB"}},
}

// Format writes a value with three significant digits and its unit; whole counts below a million are exact, and
// binary sizes that are exact lose the zeros behind their point. What is no number is a dash.
func (u Unit) Format(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	if v == 0 && u == Seconds {
		return "0 s"
	}
	if u == Count && math.Abs(v) < 1e6 && (v == math.Trunc(v) || math.Abs(v) >= 1000) {
		return thousands(v)
	}
	p := u.prefixOf(v)
	digits := significant(v / p.size)
	exact := u == BinaryBytes && v/p.size*100 == math.Trunc(v/p.size*100)
	if v == 0 || exact || p.size == 1 && u != Percent && u != Seconds {
		digits = trimZeros(digits)
	}
	return digits + p.name
}

// prefixOf returns the largest prefix that leaves at least 1 of a value once it is rounded.
func (u Unit) prefixOf(v float64) prefix {
	best := prefixes[u][0]
	for _, p := range prefixes[u] {
		if math.Abs(v) >= p.size*0.9995 {
			best = p
		}
	}
	return best
}

// labels writes the ticks of a linear axis: all in the prefix of the largest, with as many digits as they take.
func (u Unit) labels(ticks []float64) []string {
	var largest float64
	for _, t := range ticks {
		largest = max(largest, math.Abs(t))
	}
	p := u.prefixOf(largest)
	decimals := 0
	for decimals < 6 && !allExact(ticks, p.size, decimals) {
		decimals++
	}
	labels := make([]string, len(ticks))
	for i, t := range ticks {
		switch {
		case t == 0:
			labels[i] = "0"
		case u == Count && p.size == 1 && decimals == 0:
			labels[i] = thousands(t)
		default:
			labels[i] = trimZeros(strconv.FormatFloat(t/p.size, 'f', decimals, 64)) + p.name
		}
	}
	return labels
}

// short writes one tick of a logarithmic axis.
func (u Unit) short(v float64) string {
	p := u.prefixOf(v)
	return trimZeros(strconv.FormatFloat(v/p.size, 'f', 6, 64)) + p.name
}

func allExact(values []float64, size float64, decimals int) bool {
	scale := math.Pow10(decimals)
	for _, v := range values {
		shifted := v / size * scale
		if math.Abs(shifted-math.Round(shifted)) > 1e-6 {
			return false
		}
	}
	return true
}

func significant(v float64) string {
	decimals := 2
	switch magnitude := math.Abs(v); {
	case magnitude >= 99.95:
		decimals = 0
	case magnitude >= 9.995:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "−" + digits
	}
	return digits
}
