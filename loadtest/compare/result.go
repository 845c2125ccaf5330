package compare

import "github.com/keepsight/keepsight/loadtest/load"

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
	// Rounds are the speeds as they were measured, in bytes, of lookups in keys, per second.
	Rounds     []float64 `json:"rounds"`
	FirstError string    `json:"first_error,omitempty"`
}

// Ratio returns how much faster one target is than another: the median of the ratios within each round, or 0 if
// one of them did not take part.
func (r *Row) Ratio(one, other string) float64 {
	a, b := r.Cells[one].Rounds, r.Cells[other].Rounds
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	return median(ratios)
}
