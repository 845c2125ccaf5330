package serving

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/keepsight/keepsight/loadtest/pattern"
)

func TestWorkload(t *testing.T) {
	same := pattern.Pattern{Media: func(int) []int { return []int{3, 3, 4} }}
	c := resolve(t, Config{Requests: 4000, Rate: 50, Media: small(), Pattern: same})
	workload, err := newWorkload(c)
	if err != nil {
		t.Fatal(err)
	}
	var decode time.Duration
	for _, a := range workload {
		decode += a.decode
	}
	if last := workload[len(workload)-1].at.Seconds(); workload[0].at != 0 || math.Abs(last-80) > 5 {
		t.Errorf("4000 requests at 50 a second came from %s to %.1f s", workload[0].at, last)
	}
	if mean := decode.Seconds() / 4000; math.Abs(mean-8) > 0.5 {
		t.Errorf("the mean decode takes %.2f s", mean)
	}
	a := workload[0]
	if !slices.Equal(a.media, []int{3, 4}) || a.repeats != 1 {
		t.Errorf("media %v and %d repeats", a.media, a.repeats)
	}
	if want := ms(10) + (256+3*50)*40*time.Microsecond; a.prefill != want {
		t.Errorf("the prefill takes %s, want %s", a.prefill, want)
	}
}

// With the default rate the busier lane is busy for 40% of the time.
func TestDefaultRate(t *testing.T) {
	c := resolve(t, Config{})
	if want := 0.4 * 4 / c.Media.Cost().Seconds(); math.Abs(c.Rate-want) > 1e-6 {
		t.Errorf("rate %v, want %v: an image takes longer to encode than to prefill", c.Rate, want)
	}
}
