package overload

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/load/faulty"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const size = 4 << 10

func options(server *faulty.Server, ops ...load.Op) Options {
	return Options{
		Target: load.Target{Name: "server", URL: server.Target()}, Item: load.Item{Size: size},
		Payloads: load.NewPayloads(1, size), Duration: 100 * time.Millisecond, Verify: load.VerifyAll, Ops: ops,
	}
}

func TestTenTimesTheBestIsAsked(t *testing.T) {
	// A server that has room for a few at a time, and says so.
	var inside atomic.Int64
	server := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, r *http.Request) bool {
		defer inside.Add(-1)
		if inside.Add(1) <= 2*peakClients {
			<-time.After(time.Millisecond)
			return false
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "full", http.StatusServiceUnavailable)
		return true
	}})
	o := options(server, load.Get, load.Put)
	var told []string
	o.Progress = func(what string, _ load.Moment) {
		if len(told) == 0 || told[len(told)-1] != what {
			told = append(told, what)
		}
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Peak.Clients != peakClients || r.Peak.Rate != 0 || r.Peak.Refused != 0 {
		t.Errorf("the best: %d clients, rate %g, %d refused", r.Peak.Clients, r.Peak.Rate, r.Peak.Refused)
	}
	best := float64(r.Peak.Operations()) / r.Peak.Seconds
	if r.Over.Clients != mostClients || r.Over.Rate < 9.99*best || r.Over.Rate > 10.01*best {
		t.Errorf("over: %d clients, rate %g after a best of %g", r.Over.Clients, r.Over.Rate, best)
	}
	if r.Over.Refused == 0 || r.Over.Unexcused != 0 || r.Over.Wrong != 0 || r.Over.HitRatio() != 1 {
		t.Errorf("over: %d refused, %d without Retry-After, %d wrong, hit ratio %g", r.Over.Refused, r.Over.Unexcused, r.Over.Wrong, r.Over.HitRatio())
	}
	if r.Goodput() <= 0 || r.Over.Ops[load.Get] == nil || r.Over.Ops[load.Put] == nil {
		t.Errorf("goodput %g of %v", r.Goodput(), r.Over.Ops)
	}
	if got := strings.Join(told, ", "); got != "prepare, best, 10 times that" {
		t.Errorf("told was %s", got)
	}
}

// What one run has stored would be there already for the next one, whose PUTs would cost the server nothing.
func TestEveryRunStoresUnderKeysOfItsOwn(t *testing.T) {
	server := faulty.Start(t, faulty.Faults{})
	var puts int64
	for range 2 {
		o := options(server, load.Put)
		o.Duration = 20 * time.Millisecond
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, result := range []*load.Result{r.Peak, r.Over} {
			puts += result.Ops[load.Put].Count
		}
	}
	if got := int64(server.Keys("overload-")); got < puts+2*hot {
		t.Errorf("%d keys after %d PUTs and %d values for reads", got, puts, 2*hot)
	}
}

func TestAServerThatDoesNothingHasNoBest(t *testing.T) {
	refusing := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			return false
		}
		http.Error(w, "no", http.StatusServiceUnavailable)
		return true
	}})
	full := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "full", http.StatusServiceUnavailable)
		return true
	}})
	for want, server := range map[string]*faulty.Server{"no request to server succeeded": refusing, "0 of 16 values": full} {
		if r, err := Run(t.Context(), options(server, load.Get)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v; expected is %q", r, err, want)
		}
	}
}

func TestAnOverloadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(faulty.Start(t, faulty.Faults{}), load.Get)
	o.Duration = time.Hour
	o.Progress = func(what string, _ load.Moment) {
		if what == "best" {
			cancel()
		}
	}
	if r, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", r, err)
	}
}

// 256 clients that read videos of 130 MB would need 33 GB.
func TestFewerClientsReadLargeValues(t *testing.T) {
	for size, clients := range map[int64]int{4096: 256, 8_572_928: 256, 130_744_320: 32, load.MaxBuffers: 1} {
		o := overload{Options: Options{Item: load.Item{Size: size}}}
		if got := o.clients(); got != clients {
			t.Errorf("%d bytes: %d clients, expected are %d", size, got, clients)
		}
	}
}
