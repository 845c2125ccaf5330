package compare

import (
	"errors"
	"fmt"
	"slices"

	"github.com/keepsight/keepsight/loadtest/load"
)

// A Result holds targets against each other.
type Result struct {
	RawBytesPerSecond float64  `json:"raw_bytes_per_second"` // one raw loopback TCP stream, median of the rounds
	Rounds            int      `json:"rounds"`
	Targets           []string `json:"targets"`           // as the columns stand; keepsight over TCP first
	Missing           []string `json:"missing,omitempty"` // peers that are not installed
	Rows              []Row    `json:"rows"`
}

// A Row is one kind of traffic.
type Row struct {
	Op      load.Op         `json:"op"`
	Size    int64           `json:"size_bytes"` // of a value
	Clients int             `json:"clients"`
	Entries int64           `json:"entries"`         // values that are stored before reads; 0: 256 MiB of them
	Cells   map[string]Cell `json:"cells,omitempty"` // by target
}

// A Cell is one target under one kind of traffic: medians over the rounds.
type Cell struct {
	BytesPerSecond float64 `json:"bytes_per_second"`
	OpsPerSecond   float64 `json:"ops_per_second"`
	KeysPerSecond  float64 `json:"keys_per_second,omitempty"` // asked about by lookups
	ShareOfRaw     float64 `json:"share_of_raw"`              // of the raw stream in the same round
	ServerCPUPerGB float64 `json:"server_cpu_per_gb"`         // processor seconds
	ClientCPUPerGB float64 `json:"client_cpu_per_gb"`
	P50            float64 `json:"p50_seconds"`
	P99            float64 `json:"p99_seconds"`
	PeakBytes      int64   `json:"peak_bytes,omitempty"` // the most resident memory of the server in any round
	Refused        int64   `json:"refused,omitempty"`    // in all rounds; so are the next ones
	Missed         int64   `json:"missed,omitempty"`     // reads of what had been stored
	Errors         int64   `json:"errors,omitempty"`
	Wrong          int64   `json:"wrong,omitempty"` // values whose bytes were not those that were stored
	// Rounds are the speeds as they were measured, in bytes, of lookups in keys, per second.
	// 0 stands for a round that could not be.
	Rounds []float64 `json:"rounds"`
	// FirstError says what is wrong with the numbers, if something is.
	FirstError string `json:"first_error,omitempty"`
}

// Join makes one result of parts that were measured with servers of their own, the rows in an order of choice.
func Join(order []Row, parts []*Result) *Result {
	whole := *parts[0]
	whole.Rows = nil
	var raws []float64
	for _, part := range parts {
		raws = append(raws, part.RawBytesPerSecond)
		whole.Rows = append(whole.Rows, part.Rows...)
		for _, target := range part.Targets {
			if !slices.Contains(whole.Targets, target) {
				whole.Targets = append(whole.Targets, target)
			}
		}
	}
	whole.RawBytesPerSecond = median(raws)
	place := func(row Row) int {
		return slices.IndexFunc(order, func(o Row) bool {
			return o.Op == row.Op && o.Size == row.Size && o.Clients == row.Clients && o.Entries == row.Entries
		})
	}
	slices.SortStableFunc(whole.Rows, func(a, b Row) int { return place(a) - place(b) })
	return &whole
}

// Check returns an error if the numbers of a cell are not those of servers that did what they were asked. A refusal
// is an answer that a server may give.
func (r *Result) Check() error {
	var errs []error
	for _, row := range r.Rows {
		for _, target := range r.Targets {
			if c := row.Cells[target]; c.Errors+c.Wrong+c.Missed > 0 {
				errs = append(errs, fmt.Errorf("%s, %s of %d bytes, %d clients: %d errors, %d wrong values, %d misses: %s",
					target, row.Op, row.Size, row.Clients, c.Errors, c.Wrong, c.Missed, c.FirstError))
			}
		}
	}
	return errors.Join(errs...)
}
