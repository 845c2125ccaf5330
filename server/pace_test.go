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
		if deadline, _ := m.next(now, step.next); deadline.Sub(now) != step.want {
			t.Errorf("%s: %s, want %s", step.name, deadline.Sub(now), step.want)
		}
	}
	in := m.deadline
	if deadline, fresh := m.next(now.Add(refresh-1), 0); fresh || deadline != in {
		t.Errorf("a deadline is set anew, %t, to be %s later", fresh, deadline.Sub(in))
	}
	if _, fresh := m.next(now.Add(refresh), 0); !fresh {
		t.Error("a deadline stays behind")
	}
}

// TestMeterOfAnswer gives each write its own time, however soon it comes after another.
func TestMeterOfAnswer(t *testing.T) {
	now := time.Now()
	m := meter{pace: pace{grace: 5 * time.Second, rate: 64 << 10, stall: 10 * time.Second}}
	for n, want := range map[int64]time.Duration{1: 5 * time.Second, 1 << 20: 21 * time.Second} {
		m.deadline = now.Add(5 * time.Second)
		if deadline, fresh := m.next(now, n); fresh != (n > 1) || (deadline.Sub(now)-want).Abs() >= refresh {
			t.Errorf("%d bytes get %s, set %t, want %s", n, deadline.Sub(now), fresh, want)
		}
	}
}
