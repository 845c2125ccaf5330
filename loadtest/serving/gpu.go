package serving

import (
	"slices"
	"time"
)

// A gpu counts the bytes of embeddings on the GPUs of all engines, as a step function of time.
type gpu struct {
	clock *clock
	bytes int64
	steps []step
}

// A step says how many bytes there are from a moment on.
type step struct {
	at    time.Duration
	bytes int64
}

// add counts bytes that come, or go if there are less than none. Of what changes within one moment the
// outcome is kept.
func (g *gpu) add(bytes int64) {
	g.bytes += bytes
	if n := len(g.steps); n > 0 && g.steps[n-1].at == g.clock.now {
		g.steps = g.steps[:n-1]
	}
	var before int64
	if n := len(g.steps); n > 0 {
		before = g.steps[n-1].bytes
	}
	if g.bytes != before {
		g.steps = append(g.steps, step{g.clock.now, g.bytes})
	}
}

func (g *gpu) peak() (most int64) {
	for _, s := range g.steps {
		most = max(most, s.bytes)
	}
	return most
}

// mean returns the mean over time from 0 to end.
func (g *gpu) mean(end time.Duration) float64 {
	if end <= 0 {
		return 0
	}
	var byteSeconds float64
	for i, s := range g.steps {
		until := end
		if i+1 < len(g.steps) {
			until = g.steps[i+1].at
		}
		byteSeconds += float64(s.bytes) * (until - s.at).Seconds()
	}
	return byteSeconds / end.Seconds()
}

// maxResidency is how many points a curve has at most: more than a plot has pixels to show.
const maxResidency = 600

// residency returns the steps, thinned if there are too many: of each slice of time the highest step is left,
// which keeps the peak, and the last, from which the next slice goes on.
func (g *gpu) residency() []Resident {
	curve := []Resident{{}}
	if len(g.steps) > 0 && g.steps[0].at == 0 {
		curve = nil
	}
	for _, s := range thin(g.steps, maxResidency-1) {
		curve = append(curve, Resident{s.at.Seconds(), s.bytes})
	}
	return curve
}

func thin(steps []step, limit int) []step {
	if len(steps) <= limit {
		return steps
	}
	var thinned []step
	slice := steps[len(steps)-1].at/time.Duration(limit/2) + 1
	for len(steps) > 0 {
		n := slices.IndexFunc(steps, func(s step) bool { return s.at/slice != steps[0].at/slice })
		if n < 0 {
			n = len(steps)
		}
		highest := 0
		for i, s := range steps[:n] {
			if s.bytes > steps[highest].bytes {
				highest = i
			}
		}
		thinned = append(thinned, steps[highest])
		if highest < n-1 {
			thinned = append(thinned, steps[n-1])
		}
		steps = steps[n:]
	}
	return thinned
}
