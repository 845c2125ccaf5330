package serving

import "container/list"

// moveToHost is engines that move outputs to host memory of their own once no prefill is going to read them,
// and copy them back for a request that asks again. Its books are those of keepOnGPU, with one difference: a
// request lets go of an output when its prefill ends.
type moveToHost struct {
	*keepOnGPU
	hosts map[*engine]*hostCache
}

func newMoveToHost(s *simulation) *moveToHost {
	m := &moveToHost{newKeepOnGPU(s), make(map[*engine]*hostCache)}
	for _, e := range s.engines {
		m.hosts[e] = &hostCache{s.config.HostCacheBytes, list.New(), make(map[int]*list.Element)}
	}
	return m
}

// load copies back what is in host memory only.
func (m *moveToHost) load(r *request) {
	copies := 0
	for _, medium := range r.media {
		if o := m.held[r.engine][medium]; !o.onGPU {
			o.onGPU = true
			copies++
		}
	}
	if copies == 0 {
		m.sim.prefill(r)
		return
	}
	m.sim.place(copies)
	m.sim.clock.after(m.sim.config.copyTime(copies), func() { m.sim.prefill(r) })
}

func (m *moveToHost) prefilled(r *request) {
	for _, medium := range r.media {
		o := m.held[r.engine][medium]
		o.refs--
		if o.onHost {
			m.hosts[r.engine].use(medium)
		}
		if o.refs == 0 {
			m.leave(r.engine, medium, o)
		}
	}
}

func (m *moveToHost) finish(*request) {}

// leave takes an output off the GPU, at once if host memory has it already, else when it was copied there.
func (m *moveToHost) leave(e *engine, medium int, o *output) {
	switch {
	case o.onHost:
		m.takeOff(o)
	case !o.moving:
		o.moving = true
		m.sim.clock.after(m.sim.config.copyTime(1), func() { m.moved(e, medium, o) })
	}
}

// moved ends a move. If a request came for the output meanwhile, it stays on the GPU for that one.
func (m *moveToHost) moved(e *engine, medium int, o *output) {
	o.moving = false
	o.onHost = m.hosts[e].keep(medium, m.sim.config.Media.Size(), m.held[e])
	if o.refs > 0 {
		return
	}
	m.takeOff(o)
	if !o.onHost {
		delete(m.held[e], medium)
	}
}

// A hostCache is an engine's own host memory, which holds what was used last.
type hostCache struct {
	free  int64      // bytes
	order *list.List // of media, last used first
	at    map[int]*list.Element
}

func (h *hostCache) use(medium int) { h.order.MoveToFront(h.at[medium]) }

// keep finds size bytes for a medium. What no request needs goes from held for it, least recently used first.
// It reports whether that made room.
func (h *hostCache) keep(medium int, size int64, held outputs) bool {
	for at := h.order.Back(); at != nil && h.free < size; {
		newer := at.Prev()
		if old := at.Value.(int); held[old].refs == 0 {
			h.order.Remove(at)
			delete(h.at, old)
			delete(held, old)
			h.free += size
		}
		at = newer
	}
	if h.free < size {
		return false
	}
	h.free -= size
	h.at[medium] = h.order.PushFront(medium)
	return true
}
