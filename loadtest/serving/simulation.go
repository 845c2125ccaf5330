package serving

import (
	"context"
	"errors"
	"fmt"
)

// A policy decides where embeddings are on their way through the engines. The simulation calls it at events,
// one at a time; what a policy does later it plans on the clock.
type policy interface {
	// arrive begins to obtain the media of a request, and tells the simulation of each that was obtained:
	// it is on the GPU, or load is expected to find it.
	arrive(r *request)
	// load brings to the GPU what is not there, then calls prefill. The request has the prefill lane.
	load(r *request)
	// prefilled hears that the request's prefill has read its media.
	prefilled(r *request)
	// finish hears that the request's last token was made.
	finish(r *request)
	// resident counts, from the policy's own books, the embeddings that must be on GPUs now.
	resident() int
}

// A simulation is one workload under one policy. What goes wrong in the middle of an event is kept in err and
// ends it after that event.
type simulation struct {
	config   Config
	clock    *clock
	gpu      *gpu
	engines  []*engine
	policy   policy
	progress func()
	err      error

	requests []*request
	finished int
	encodes  int
}

// newSimulation plans the arrivals. The caller sets the policy.
func newSimulation(c Config, workload []arrival) *simulation {
	clock := new(clock)
	s := &simulation{
		config:   c,
		clock:    clock,
		gpu:      &gpu{clock: clock},
		engines:  newEngines(c.Engines),
		progress: func() {},
	}
	for n, a := range workload {
		r := &request{arrival: a, engine: s.engines[n%len(s.engines)], clock: clock, since: a.at, missing: len(a.media)}
		s.requests = append(s.requests, r)
		clock.after(a.at, func() { s.arrive(r) })
	}
	return s
}

// run lets all events happen.
func (s *simulation) run(ctx context.Context) error {
	for s.clock.step() {
		s.check()
		if s.err == nil {
			s.err = ctx.Err()
		}
		if s.err != nil {
			return s.err
		}
	}
	if s.gpu.bytes != 0 {
		return fmt.Errorf("%w: %d bytes are left on GPUs", errInvariant, s.gpu.bytes)
	}
	if s.finished != len(s.requests) {
		return fmt.Errorf("%w: %d of %d requests finished", errInvariant, s.finished, len(s.requests))
	}
	return nil
}

var errInvariant = errors.New("the simulation broke an invariant")

// check compares the bytes that came and went with the policy's books.
func (s *simulation) check() {
	if want := int64(s.policy.resident()) * s.config.Media.Size(); s.gpu.bytes != want || s.gpu.bytes < 0 {
		s.fail(fmt.Errorf("%w: after %s %d bytes are on GPUs, and there should be %d", errInvariant, s.clock.now, s.gpu.bytes, want))
	}
}

// fail keeps the first error.
func (s *simulation) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *simulation) arrive(r *request) {
	if r.missing == 0 {
		s.enterPrefill(r)
		return
	}
	s.policy.arrive(r)
}

// encode runs the encoder for one medium of r, when its turn comes, and calls made when the output is on the GPU.
func (s *simulation) encode(r *request, made func()) {
	r.begin(inQueue)
	r.engine.encoder.enter(func() {
		r.end(inQueue)
		r.begin(inEncode)
		s.clock.after(s.config.Media.Cost(), func() {
			r.end(inEncode)
			s.encodes++
			s.place(1)
			made()
			r.engine.encoder.leave()
		})
	})
}

// place counts embeddings that come to a GPU, or leave it if there are less than none.
func (s *simulation) place(embeddings int) {
	s.gpu.add(int64(embeddings) * s.config.Media.Size())
}

// obtained hears of one medium that r waited for. With the last one r goes on to its prefill.
func (s *simulation) obtained(r *request) {
	r.missing--
	if r.missing == 0 {
		s.enterPrefill(r)
	}
}

func (s *simulation) enterPrefill(r *request) {
	r.begin(inQueue)
	r.engine.prefill.enter(func() {
		r.end(inQueue)
		r.begin(inLoad)
		r.engine.reading = r
		s.policy.load(r)
	})
}

// leavePrefill takes the lane away from a request that could not load what it needs.
func (s *simulation) leavePrefill(r *request) {
	r.end(inLoad)
	r.engine.reading = nil
	r.engine.prefill.leave()
}

// prefill runs the prefill of r, whose media are on the GPU, up to its first token.
func (s *simulation) prefill(r *request) {
	r.end(inLoad)
	r.begin(inPrefill)
	s.clock.after(r.arrival.prefill, func() {
		r.end(inPrefill)
		r.firstToken = s.clock.now - r.at
		if sum := r.explained(); sum != r.firstToken {
			s.fail(fmt.Errorf("%w: a first token after %s has parts that add up to %s", errInvariant, r.firstToken, sum))
		}
		s.policy.prefilled(r)
		r.engine.reading = nil
		r.engine.prefill.leave()
		s.clock.after(r.decode, func() { s.finish(r) })
	})
}

func (s *simulation) finish(r *request) {
	if r.finished {
		s.fail(fmt.Errorf("%w: a request finished twice", errInvariant))
	}
	r.finished = true
	s.finished++
	s.policy.finish(r)
	s.progress()
}
