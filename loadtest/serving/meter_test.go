package serving

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	for _, test := range []struct {
		sorted  []time.Duration
		percent int
		want    time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{4}, 0, 4},
		{[]time.Duration{4}, 99, 4},
		{[]time.Duration{1, 2, 3, 4}, 50, 2},
		{[]time.Duration{1, 2, 3, 4}, 51, 3},
		{[]time.Duration{1, 2, 3, 4, 5}, 50, 3},
		{[]time.Duration{1, 2, 3, 4, 5}, 100, 5},
	} {
		if got := percentile(test.sorted, test.percent); got != test.want {
			t.Errorf("%d%% of %v: %d, want %d", test.percent, test.sorted, got, test.want)
		}
	}
}
