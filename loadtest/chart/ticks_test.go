package chart

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLinearTicks(t *testing.T) {
	for _, test := range []struct {
		lo, hi float64
		parts  int
		want   []float64
	}{
		{0, 10, 5, []float64{0, 2, 4, 6, 8, 10}},
		{0, 1, 5, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{0, 0.3, 3, []float64{0, 0.1, 0.2, 0.3}},
		{-3, 7, 5, []float64{-4, -2, 0, 2, 4, 6, 8}},
		{0, 1.9e9, 4, []float64{0, 5e8, 1e9, 1.5e9, 2e9}},
	} {
		if diff := cmp.Diff(test.want, linearTicks(test.lo, test.hi, test.parts)); diff != "" {
			t.Errorf("%v to %v in %d (-want +got):\n%s", test.lo, test.hi, test.parts, diff)
		}
	}
}

func TestLogTicks(t *testing.T) {
	for _, test := range []struct {
		lo, hi float64
		most   int
		want   []float64
	}{
		{1, 1, 6, []float64{1, 2}},
		{0.3, 7, 6, []float64{0.2, 0.5, 1, 2, 5, 10}},
		{1e-4, 0.5, 6, []float64{1e-4, 1e-3, 1e-2, 0.1, 1}},
		{1e-6, 1e6, 4, []float64{1e-6, 1e-2, 1e2, 1e6}},
		{1e-6, 1e5, 4, []float64{1e-6, 1e-3, 1, 1e3, 1e6}},
	} {
		if diff := cmp.Diff(test.want, logTicks(test.lo, test.hi, test.most)); diff != "" {
			t.Errorf("%v to %v in %d (-want +got):\n%s", test.lo, test.hi, test.most, diff)
		}
	}
}

// Ticks are round, ascend, cover the values and are few.
func TestTicksAreRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		magnitude := math.Pow10(rapid.IntRange(-11, 17).Draw(t, "magnitude"))
		values := rapid.SliceOfN(rapid.Float64Range(-1, 1), 0, 5).Draw(t, "values")
		for i := range values {
			values[i] *= magnitude
		}
		axis := Axis{Scale: rapid.SampledFrom([]Scale{Linear, Log}).Draw(t, "scale")}
		parts := rapid.IntRange(2, 10).Draw(t, "parts")
		ruler := axis.ruler(values, parts, true)
		if n := len(ruler.ticks); n < 2 || n > parts*3/2+3 {
			t.Fatalf("%d ticks for %d parts", n, parts)
		}
		for i, tick := range ruler.ticks {
			if i > 0 && tick.value <= ruler.ticks[i-1].value {
				t.Fatalf("ticks do not ascend: %v", ruler.ticks)
			}
		}
		wantRound(t, axis.Scale, ruler.ticks)
		first, last := ruler.ticks[0].value, ruler.ticks[len(ruler.ticks)-1].value
		slack := 0.0
		if axis.Scale == Linear {
			slack = 1e-6 * (last - first)
		}
		for _, v := range values {
			if axis.Scale.places(v) && math.Abs(v) > smallest && (v < first-math.Abs(first)*1e-6-slack || v > last+slack) {
				t.Fatalf("%v is not between the ticks %v", v, ruler.ticks)
			}
		}
	})
}

// wantRound checks that ticks are 1, 2 or 5 times a power of ten, of linear axes in multiples of their distance.
func wantRound(t *rapid.T, scale Scale, ticks []tick) {
	step := ticks[1].value - ticks[0].value
	for _, tick := range ticks {
		unit := step
		if scale == Log {
			unit = tick.value
		}
		mantissa := unit / math.Pow10(int(math.Floor(math.Log10(unit)+1e-6)))
		multiple := tick.value / unit
		round := near(mantissa, 1) || near(mantissa, 2) || near(mantissa, 5)
		if !round || !near(multiple, math.Round(multiple)) {
			t.Fatalf("%v is not round among %v", tick.value, ticks)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

func TestNines(t *testing.T) {
	ruler := Axis{Scale: Nines}.ruler([]float64{10, 50, 99.9}, 5, false)
	var labels []string
	for _, tick := range ruler.ticks {
		labels = append(labels, tick.label)
	}
	if diff := cmp.Diff([]string{"50%", "90%", "99%", "99.9%"}, labels); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
	ninety, _ := ruler.at(90)
	more, _ := ruler.at(99)
	if !near(more, 2*ninety) {
		t.Errorf("90 is at %v and 99 at %v, want each nine as far as the one before", ninety, more)
	}
	if _, ok := ruler.at(100); ok {
		t.Error("there is a place for 100%, which is infinitely far")
	}
}
