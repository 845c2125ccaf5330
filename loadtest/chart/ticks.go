package chart

import "math"

// smallest is the narrowest range that an axis tells from none: a picosecond is below every clock.
const smallest = 1e-12

// linearTicks returns ascending multiples of 1, 2 or 5 times a power of ten: the fewest that cover lo to hi in
// steps of at least a part of the range. hi must be above lo by smallest or more.
func linearTicks(lo, hi float64, parts int) []float64 {
	mantissa, exponent := roundStep((hi - lo) / float64(parts))
	step := float64(mantissa) * math.Pow10(exponent)
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	ticks := make([]float64, 0, parts+2)
	for i := first; i <= last; i++ {
		ticks = append(ticks, decimal(i*float64(mantissa), exponent))
	}
	return ticks
}

// roundStep returns the smallest step of 1, 2 or 5 times a power of ten that is at least raw.
func roundStep(raw float64) (mantissa, exponent int) {
	exponent = int(math.Floor(math.Log10(raw)))
	for _, mantissa := range []int{1, 2, 5} {
		if float64(mantissa)*math.Pow10(exponent) >= raw*(1-1e-9) {
			return mantissa, exponent
		}
	}
	return 1, exponent + 1
}

// decimal returns m·10^exponent as the number nearest to its decimal form: dividing by a power of ten is exact
// where multiplying by its inverse is not.
func decimal(m float64, exponent int) float64 {
	if exponent < 0 {
		return m / math.Pow10(-exponent)
	}
	return m * math.Pow10(exponent)
}

// logTicks returns ascending powers of ten that cover lo to hi, with their 2- and 5-fold between them while that
// makes no more than most. lo must be positive and at most hi.
func logTicks(lo, hi float64, most int) []float64 {
	if fine := logSteps(lo, hi, []float64{1, 2, 5}); len(fine) <= most {
		return fine
	}
	ticks := logSteps(lo, hi, []float64{1})
	if every := (len(ticks) + most - 1) / most; every > 1 {
		return thin(ticks, every)
	}
	return ticks
}

// thin keeps every so-manyth power of ten, counted from the first, and one past the last where that falls short.
func thin(ticks []float64, every int) []float64 {
	var kept []float64
	for i := 0; i < len(ticks)+every-1; i += every {
		kept = append(kept, decimal(1, exponentOf(ticks[0])+i))
	}
	return kept
}

func exponentOf(power float64) int { return int(math.Round(math.Log10(power))) }

// logSteps returns the multiples of powers of ten from the last that is at most lo to the first that is at least hi.
func logSteps(lo, hi float64, multiples []float64) []float64 {
	var ticks []float64
	for exponent := int(math.Floor(math.Log10(lo))) - 1; ; exponent++ {
		for _, m := range multiples {
			t := decimal(m, exponent)
			if t <= lo*(1+1e-9) {
				ticks = ticks[:0]
			}
			ticks = append(ticks, t)
			if t >= hi*(1-1e-9) && len(ticks) > 1 {
				return ticks
			}
		}
	}
}

// ninesTicks returns the percentiles that people name, up to the first that is at least hi.
func ninesTicks(hi float64) []float64 {
	var ticks []float64
	for _, t := range []float64{50, 90, 99, 99.9, 99.99, 99.999} {
		ticks = append(ticks, t)
		if t >= hi {
			break
		}
	}
	return ticks
}
