package serving

// An output is what an engine's encoder makes of one medium, from the moment it is asked for until the
// engine forgets it.
type output struct {
	refs    int // requests that are not done with it; while there are none it may go
	onGPU   bool
	onHost  bool       // in the engine's own host memory
	moving  bool       // on its way there
	waiters []*request // that came while it was being made
}

// made reports whether the encoder is done with it.
func (o *output) made() bool { return o.onGPU || o.onHost }

// outputs are what one engine has, by medium.
type outputs map[int]*output

// keepOnGPU is engines with an encoder cache on their GPU: an output stays while any request that uses it has
// not finished, and goes with the last of them.
type keepOnGPU struct {
	sim  *simulation
	held map[*engine]outputs
}

func newKeepOnGPU(s *simulation) *keepOnGPU {
	k := &keepOnGPU{s, make(map[*engine]outputs)}
	for _, e := range s.engines {
		k.held[e] = make(outputs)
	}
	return k
}

func (k *keepOnGPU) arrive(r *request) {
	held := k.held[r.engine]
	for _, m := range r.media {
		o, known := held[m]
		if !known {
			o = new(output)
			held[m] = o
		}
		o.refs++
		switch {
		case !known:
			k.sim.encode(r, func() { k.made(r, o) })
		case o.made():
			k.sim.obtained(r)
		default:
			r.begin(inEncode)
			o.waiters = append(o.waiters, r)
		}
	}
}

// made goes on with everybody who waited for the output.
func (k *keepOnGPU) made(r *request, o *output) {
	o.onGPU = true
	k.sim.obtained(r)
	for _, w := range o.waiters {
		w.end(inEncode)
		k.sim.obtained(w)
	}
	o.waiters = nil
}

func (k *keepOnGPU) load(r *request) { k.sim.prefill(r) }

func (k *keepOnGPU) prefilled(*request) {}

func (k *keepOnGPU) finish(r *request) {
	for _, m := range r.media {
		o := k.held[r.engine][m]
		o.refs--
		if o.refs == 0 {
			k.takeOff(o)
			delete(k.held[r.engine], m)
		}
	}
}

// takeOff takes an output off the GPU.
func (k *keepOnGPU) takeOff(o *output) {
	o.onGPU = false
	k.sim.place(-1)
}

func (k *keepOnGPU) resident() (n int) {
	for _, held := range k.held {
		for _, o := range held {
			if o.onGPU {
				n++
			}
		}
	}
	return n
}
