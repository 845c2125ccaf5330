package serving

import "time"

// A part is what a request waits for before its first token. A request whose media are in several parts at
// once is counted in the first of them, in this order: what runs comes before what waits.
type part int

const (
	inPrefill part = iota
	inLoad
	inEncode // its own, or one that another request asked for
	inQueue  // for a lane of its engine
	inStore
	inLookup
	parts
)

// A request is one arrival on its way through an engine.
type request struct {
	arrival
	engine *engine
	clock  *clock

	missing int // media that are neither here nor known to be to be had

	busy  [parts]int // how often it is in each part
	since time.Duration
	took  [parts]time.Duration

	firstToken time.Duration // since its arrival
	finished   bool
}

// begin enters a part; a request may be in one several times.
func (r *request) begin(p part) {
	r.settle()
	r.busy[p]++
}

// end leaves a part.
func (r *request) end(p part) {
	r.settle()
	r.busy[p]--
}

// settle charges the time since it was last called.
func (r *request) settle() {
	passed := r.clock.now - r.since
	r.since = r.clock.now
	for p, n := range r.busy {
		if n > 0 {
			r.took[p] += passed
			return
		}
	}
}

// explained returns the time that was charged to any part.
func (r *request) explained() (sum time.Duration) {
	for _, d := range r.took {
		sum += d
	}
	return sum
}
