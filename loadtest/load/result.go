package load

import "time"

// An Op is one kind of operation of a client.
type Op string

// The operations.
const (
	Get    Op = "get"    // read one embedding that is there
	Miss   Op = "miss"   // ask for one that is not
	Put    Op = "put"    // store one
	Lookup Op = "lookup" // ask which of many are there
)

// A Result is what one run of traffic saw.
type Result struct {
	Target  string  `json:"target"`
	Traffic string  `json:"traffic"` // what ran: "8 MiB get", "zipf of qwen2.5-vl-image"
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate,omitempty"` // requests a second that were asked for; 0: as fast as answers come
	Seconds float64 `json:"seconds"`

	Ops     map[Op]*Summary  `json:"ops"`
	Tiers   map[string]int64 `json:"tiers,omitempty"` // hits by the tier they were found in
	Encodes int64            `json:"encodes,omitempty"`
	Keys    int64            `json:"keys,omitempty"` // asked about by lookups

	Refused   int64 `json:"refused"`   // each is a Refusal
	Unexcused int64 `json:"unexcused"` // refusals without Retry-After
	Errors    int64 `json:"errors"`
	Wrong     int64 `json:"wrong"` // values whose bytes were not those that were stored
	// Unanswered are the requests that were sent or due and had no answer when the run ended. They are in no
	// latency: with a rate, a server that hangs at the end shows here.
	Unanswered int64  `json:"unanswered"`
	FirstError string `json:"first_error,omitempty"`

	ServerCPUSeconds float64  `json:"server_cpu_seconds,omitempty"`
	ClientCPUSeconds float64  `json:"client_cpu_seconds"`
	ServerPeakBytes  int64    `json:"server_peak_bytes,omitempty"` // resident memory
	Timeline         []Moment `json:"timeline,omitempty"`
}

// A Summary is one kind of operation in one run.
type Summary struct {
	Count   int64   `json:"count"`
	Bytes   int64   `json:"bytes"`
	Mean    float64 `json:"mean_seconds"`
	Max     float64 `json:"max_seconds"`
	Latency []Point `json:"latency"` // percentiles in ascending order
}

// A Point is one percentile of a latency: so many percent took at most so many seconds.
type Point struct {
	Percent float64 `json:"percent"`
	Seconds float64 `json:"seconds"`
}

// Percents are the percentiles of every Summary, and the points of its curve.
func Percents() []float64 { return []float64{10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99} }

// Percentile returns the latency at one of Percents, or 0 when there is none.
func (s *Summary) Percentile(percent float64) time.Duration {
	for _, p := range s.Latency {
		if p.Percent == percent {
			return time.Duration(p.Seconds * float64(time.Second))
		}
	}
	return 0
}

// A Moment is a slice of a run: what went on since the moment before.
type Moment struct {
	Seconds       float64 `json:"seconds"` // since the run began, at the slice's end
	Requests      int64   `json:"requests"`
	Bytes         int64   `json:"bytes"`
	Refused       int64   `json:"refused"`
	ResidentBytes int64   `json:"resident_bytes,omitempty"` // of the server
}

// Bytes returns what all operations moved.
func (r *Result) Bytes() (n int64) {
	for _, s := range r.Ops {
		n += s.Bytes
	}
	return n
}

// BytesPerSecond returns the throughput of all operations together.
func (r *Result) BytesPerSecond() float64 { return perSecond(r.Bytes(), r.Seconds) }

// PerSecond returns how many operations of one kind the server did in a second.
func (r *Result) PerSecond(op Op) float64 { return perSecond(r.count(op), r.Seconds) }

// KeysPerSecond returns how many keys lookups asked about in a second.
func (r *Result) KeysPerSecond() float64 { return perSecond(r.Keys, r.Seconds) }

// Hits returns the reads that found their embedding, of all reads.
func (r *Result) Hits() (hits, reads int64) {
	hits = r.count(Get)
	return hits, hits + r.count(Miss)
}

// HitRatio returns the share of reads that found their embedding, 0 if there were none.
func (r *Result) HitRatio() float64 {
	hits, reads := r.Hits()
	if reads == 0 {
		return 0
	}
	return float64(hits) / float64(reads)
}

// ServerCPUPerGB returns the processor seconds that the server spent for each 10^9 bytes.
func (r *Result) ServerCPUPerGB() float64 { return perGB(r.ServerCPUSeconds, r.Bytes()) }

// ClientCPUPerGB returns the same of the load test itself.
func (r *Result) ClientCPUPerGB() float64 { return perGB(r.ClientCPUSeconds, r.Bytes()) }

func perGB(seconds float64, bytes int64) float64 {
	if bytes == 0 {
		return 0
	}
	return seconds / float64(bytes) * 1e9
}

// Operations returns how many operations the server did: a miss is one, a refusal or an error is none.
func (r *Result) Operations() (n int64) {
	for _, s := range r.Ops {
		n += s.Count
	}
	return n
}

func (r *Result) count(op Op) int64 {
	if s := r.Ops[op]; s != nil {
		return s.Count
	}
	return 0
}

func perSecond(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}
