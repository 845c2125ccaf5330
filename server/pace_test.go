package server

import (
	"testing"
	"time"
)

// TestMeter walks a body's deadline along.
func TestMeter(t *testing.T) {
	p := pace{grace: 5 * time.Second, rate: 64 << 10, stall: 10 * time.Second}
	now := time.Now()
	m := meter{pace: p}
	pass := func(n int64, took time.Duration) {
		m.bytes += n
		m.spent += took
		now = now.Add(took)
	}
	for _, step := range []struct {
		name  string
		bytes int64         // pass in
		took  time.Duration // this time
		idle  time.Duration // then nobody waits for the peer for so long
		next  int64         // bytes to pass next
		want  time.Duration // from now
	}{
		{"at first there is the grace", 0, 0, 0, 0, 5 * time.Second},
		{"at the minimum rate it stays", 64 << 10, time.Second, 0, 0, 5 * time.Second},
		{"below it shrinks", 0, time.Second, 0, 0, 4 * time.Second},
		{"time in which the peer is not waited for does not count", 0, 0, time.Hour, 0, 4 * time.Second},
		{"a write gets its own time", 0, 0, time.Second, 128 << 10, 6 * time.Second},
		{"who was fast may stall, and no longer", 1 << 30, time.Second, 0, 0, 10 * time.Second},
	} {
		pass(step.bytes, step.took)
		now = now.Add(step.idle)
		deadline, fresh := m.next(now, step.next)
		if !fresh || deadline.Sub(now) != step.want {
			t.Errorf("%s: %s, set %t, want %s", step.name, deadline.Sub(now), fresh, step.want)
		}
	}
	if _, fresh := m.next(now.Add(refresh-1), 0); fresh {
		t.Error("a deadline is set again at once")
	}
}
