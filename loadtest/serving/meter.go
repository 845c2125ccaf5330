package serving

import (
	"slices"
	"time"
)

// A meter keeps how long calls of one kind took.
type meter struct {
	now   func() time.Time
	took  []time.Duration
	bytes int64 // moved by calls that succeeded
}

// time makes a call that moves so many bytes, and returns how long it took.
func (m *meter) time(bytes int64, call func() error) (time.Duration, error) {
	start := m.now()
	err := call()
	took := m.now().Sub(start)
	m.took = append(m.took, took)
	if err == nil {
		m.bytes += bytes
	}
	return took, err
}

func (m *meter) measured() Measured {
	slices.Sort(m.took)
	return Measured{
		Calls:   len(m.took),
		Bytes:   m.bytes,
		Median:  percentile(m.took, 50),
		Longest: percentile(m.took, 100),
	}
}

// percentile returns the least of sorted that is not less than so many percent of them; 0 if there are none.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}
