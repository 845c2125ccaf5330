package serving

import (
	"container/heap"
	"time"
)

// A clock is virtual time, which passes from one event to the next. Events of the same moment happen in the
// order in which they were planned.
type clock struct {
	now     time.Duration // since the first arrival
	events  events
	planned int
}

type event struct {
	at     time.Duration
	number int
	happen func()
}

// after plans something to happen d from now.
func (c *clock) after(d time.Duration, happen func()) {
	heap.Push(&c.events, event{c.now + d, c.planned, happen})
	c.planned++
}

// step lets the next event happen, and reports whether there was one.
func (c *clock) step() bool {
	if len(c.events) == 0 {
		return false
	}
	next := heap.Pop(&c.events).(event)
	c.now = next.at
	next.happen()
	return true
}

// events are a heap with the next event on top.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	return e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	popped := (*e)[last]
	(*e)[last] = event{} // its closure is garbage from here on
	*e = (*e)[:last]
	return popped
}
