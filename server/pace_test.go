package server

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestMeter walks a body's deadline along.
func TestMeter(t *testing.T) {
	p := pace{grace: 5 * time.Second, rate: 64 << 10, stall: 10 * time.Second}
	synctest.Test(t, func(t *testing.T) {
		m := meter{pace: p}
		begin := time.Now()
		if deadline, fresh := m.next(0); !fresh || deadline.Sub(begin) != 5*time.Second {
			t.Errorf("first deadline after %s", deadline.Sub(begin))
		}
		if _, fresh := m.next(0); fresh {
			t.Error("a deadline is set again at once")
		}
		time.Sleep(time.Second)
		m.bytes = 64 << 10
		if deadline, _ := m.next(0); deadline.Sub(begin) != 6*time.Second {
			t.Errorf("after 64 KiB: %s", deadline.Sub(begin))
		}
		time.Sleep(time.Second)
		m.bytes = 1 << 30 // far ahead of the minimum: a stall is cut all the same
		if deadline, _ := m.next(0); deadline.Sub(begin) != 12*time.Second {
			t.Errorf("after a fast start: %s", deadline.Sub(begin))
		}
		time.Sleep(time.Second)
		if deadline, _ := m.next(64 << 10); deadline.Sub(begin) != 14*time.Second {
			t.Errorf("for a write of 64 KiB: %s", deadline.Sub(begin))
		}
	})
}
