package load

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepsight/keepsight/loadtest/load/faulty"
)

// A server stalls once, for everybody. Clients that wait for an answer before they ask again see that in one request
// each; requests that come by the clock see it in each of those that became due meanwhile. With a rate the load test
// has to show the latter, whoever sends them.
func TestAStallIsChargedToEverybodyWhoHadToWait(t *testing.T) {
	const (
		requests = 400
		rate     = 1000.0
		stall    = 200 * time.Millisecond // half of the requests become due in it
		few      = stall / 4
	)
	p99 := func(rate float64) time.Duration {
		var n atomic.Int64
		var stalling sync.RWMutex
		server := faulty.Start(t, faulty.Faults{Instead: func(http.ResponseWriter, *http.Request) bool {
			if n.Add(1) == requests/4 {
				stalling.Lock()
				<-time.After(stall)
				stalling.Unlock()
			}
			stalling.RLock()
			defer stalling.RUnlock()
			return false
		}})
		result := mustRun(t, server.Target(), with(one(Put, 8), func(t *Traffic) { t.Rate, t.Clients, t.Requests = rate, 2, requests }))
		if result.Operations() != requests {
			t.Fatalf("%d of %d requests were answered: %s", result.Operations(), requests, result.FirstError)
		}
		if longest := result.Ops[Put].Max; longest < stall.Seconds() {
			t.Fatalf("the longest request took %g s, and the server stalled for %s", longest, stall)
		}
		return result.Ops[Put].Percentile(99)
	}
	if closed := p99(0); closed > few {
		t.Errorf("with clients that wait, p99 is %s; two of %d requests saw the stall", closed, requests)
	}
	if open := p99(rate); open < stall/2 {
		t.Errorf("with a rate, p99 is %s; half of the requests became due in a stall of %s", open, stall)
	}
}
