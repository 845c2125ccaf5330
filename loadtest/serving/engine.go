package serving

import "strconv"

// An engine encodes, prefills and decodes on a GPU of its own.
type engine struct {
	name    string
	encoder lane
	prefill lane
	reading *request // has the prefill lane
}

func newEngines(n int) []*engine {
	engines := make([]*engine, n)
	for i := range engines {
		engines[i] = &engine{name: "engine-" + strconv.Itoa(i)}
	}
	return engines
}

// A lane takes one job at a time, in their order.
type lane struct {
	busy  bool
	queue []func()
}

// enter starts the job once the lane is free, perhaps now. It has the lane until somebody calls leave.
func (l *lane) enter(start func()) {
	if l.busy {
		l.queue = append(l.queue, start)
		return
	}
	l.busy = true
	start()
}

// leave gives the lane to the next job.
func (l *lane) leave() {
	if len(l.queue) == 0 {
		l.busy = false
		return
	}
	next := l.queue[0]
	l.queue = l.queue[1:]
	next()
}
