package client

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// idle returns n connections and a way to find out which of them are closed.
func idle(t *testing.T, n int) (conns []*conn, closed func() []int) {
	var others []net.Conn
	for range n {
		ours, other := net.Pipe()
		t.Cleanup(func() { _ = ours.Close(); _ = other.Close() })
		conns = append(conns, newConn(ours, ours))
		others = append(others, other)
	}
	return conns, func() (indexes []int) {
		for i, other := range others {
			_ = other.SetReadDeadline(time.Now().Add(time.Nanosecond))
			if _, err := other.Read(make([]byte, 1)); err.Error() == "EOF" {
				indexes = append(indexes, i)
			}
		}
		return indexes
	}
}

func TestPoolTakesTheLastUsed(t *testing.T) {
	var p pool
	conns, closed := idle(t, 2)
	p.put(conns[0])
	p.put(conns[1])
	if p.take() != conns[1] || p.take() != conns[0] || p.take() != nil {
		t.Error("another order")
	}
	p.put(conns[0])
	p.close()
	p.put(conns[1])
	if p.take() != nil || len(closed()) != 2 {
		t.Errorf("%d connections are closed", len(closed()))
	}
}

func TestPoolIsBounded(t *testing.T) {
	var p pool
	conns, closed := idle(t, idleConns+1)
	for _, c := range conns {
		p.put(c)
	}
	if got := closed(); len(got) != 1 || got[0] != idleConns {
		t.Errorf("closed: %v", got)
	}
	p.close()
	p.close()
	if got := closed(); len(got) != idleConns+1 {
		t.Errorf("closed: %v", got)
	}
}

func TestIdleConnectionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pool
		conns, closed := idle(t, 3)
		expect := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := closed(); len(got) != want {
				t.Errorf("closed: %v, want the first %d", got, want)
			}
		}
		p.put(conns[0])
		p.put(conns[1])
		expect(idleTimeout/2, 0)
		if p.take() != conns[1] {
			t.Error("another order")
		}
		p.put(conns[1])
		expect(idleTimeout/2, 1)
		p.put(conns[2])
		expect(idleTimeout/2, 2)
		expect(idleTimeout/2, 3)
		if p.take() != nil || p.expiry != nil {
			t.Error("something is left")
		}
	})
}
