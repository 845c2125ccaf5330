package load

import (
	"fmt"
	"testing"
	"time"
)

const testSize = 4 << 10

// one is traffic of one operation on few keys.
func one(op Op, keys int64) Traffic {
	return Traffic{
		Name: string(op), Clients: 1, Duration: 20 * time.Second,
		Payloads: NewPayloads(1, testSize), Largest: testSize, Verify: VerifyAll,
		Next: func(n int64) Request {
			return Request{Op: op, Items: []Item{{Key: fmt.Sprintf("key-%d", n%keys), Size: testSize}}}
		},
	}
}

func with(t Traffic, change func(*Traffic)) Traffic {
	change(&t)
	return t
}

// mustRun runs traffic that is possible.
func mustRun(t *testing.T, target string, traffic Traffic) *Result {
	t.Helper()
	result, err := Run(t.Context(), Target{Name: "server", URL: target, Namespace: "loadtest"}, traffic)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// store puts all keys of the traffic that one returns.
func store(t *testing.T, target string, keys int64) {
	t.Helper()
	result := mustRun(t, target, with(one(Put, keys), func(t *Traffic) { t.Requests = keys }))
	if got := result.Operations(); got != keys || result.FirstError != "" {
		t.Fatalf("%d of %d values were stored: %s", got, keys, result.FirstError)
	}
}

func TestTrafficThatMakesNoSense(t *testing.T) {
	for name, change := range map[string]func(*Traffic){
		"no clients":               func(t *Traffic) { t.Clients = 0 },
		"no duration":              func(t *Traffic) { t.Duration = 0 },
		"a negative rate":          func(t *Traffic) { t.Rate = -1 },
		"an endless rate":          func(t *Traffic) { t.Rate = 1 / zero },
		"a rate that is no number": func(t *Traffic) { t.Rate = zero / zero },
		"negative requests":        func(t *Traffic) { t.Requests = -1 },
		"no requests":              func(t *Traffic) { t.Next = nil },
		"no payloads":              func(t *Traffic) { t.Payloads = nil },
		"unknown verification":     func(t *Traffic) { t.Verify = "some" },
		"values without a tag":     func(t *Traffic) { t.Largest = MinValue - 1 },
		"33 GB of buffers":         func(t *Traffic) { t.Clients, t.Largest = 256, 130_744_320 },
	} {
		if result, err := Run(t.Context(), Target{URL: "http://127.0.0.1:1"}, with(one(Get, 1), change)); err == nil {
			t.Errorf("%s: %+v", name, result)
		}
	}
}

var zero = 0.0
