package load

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// An Item is one embedding that a client asks for or stores.
type Item struct {
	Key   string
	Size  int64
	DType string // empty: bytes without a shape
	Shape []int64
	Cost  time.Duration // what encoding it takes
}

// A Request is what a client does in one go.
type Request struct {
	Op       Op     // Get, Put or Lookup; empty: read each item, and encode and store what is missing
	Items    []Item // of a Lookup: none
	Question *Question
}

// Traffic is what the clients do and for how long.
type Traffic struct {
	Name    string
	Clients int
	// Rate is how many requests become due in a second, over all clients. Zero: each client sends its next
	// request when it has the answer to the last.
	Rate float64
	// Duration and Requests bound the run, whichever ends it first; Requests may be zero, for no bound.
	Duration time.Duration
	Requests int64

	// Next returns request number n. It may be called by any client.
	Next     func(n int64) Request
	Payloads *Payloads
	Largest  int64 // bytes of the largest value
	Verify   Verify
	// Encode is how much of an encoder's cost a client waits before it stores what was missing; 0: none of it.
	Encode float64

	// Progress hears of each Moment of the run; nil: nobody does.
	Progress func(Moment)
}

// Verify says how much of what comes back is compared with what was stored.
type Verify string

// How much to compare. The length always is.
const (
	VerifyOff    Verify = "off"
	VerifySample Verify = "sample" // tag, end and one page of every value
	VerifyAll    Verify = "all"    // every byte
)

// MaxBuffers bounds the bytes of the buffers that all clients of a run read into.
const MaxBuffers = 4 << 30

// sampleEvery is how often the counters of a run are read.
const sampleEvery = 250 * time.Millisecond

func (t *Traffic) validate() error {
	var wrong []string
	for _, check := range []struct {
		bad  bool
		what string
	}{
		{t.Clients <= 0, "no clients"},
		{t.Duration <= 0, "no duration"},
		{!(t.Rate >= 0) || math.IsInf(t.Rate, 0), "a rate that is no number of requests"},
		{t.Requests < 0, "a negative number of requests"},
		{t.Largest < MinValue, fmt.Sprintf("values of less than %d bytes", MinValue)},
		{t.Clients > 0 && t.Largest > MaxBuffers/int64(t.Clients),
			fmt.Sprintf("%d clients that each read up to %d bytes, more than %d in all", t.Clients, t.Largest, int64(MaxBuffers))},
		{t.Next == nil || t.Payloads == nil, "no requests"},
		{t.Verify != VerifyOff && t.Verify != VerifySample && t.Verify != VerifyAll, "an unknown way to verify"},
	} {
		if check.bad {
			wrong = append(wrong, check.what)
		}
	}
	if wrong != nil {
		return fmt.Errorf("traffic with %s", strings.Join(wrong, ", "))
	}
	return nil
}
