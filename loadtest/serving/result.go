package serving

import (
	"slices"
	"time"
)

// A Policy says where an embedding is kept on its way through an engine.
type Policy string

// The policies that are compared.
const (
	// KeepOnGPU leaves what the encoder made on the GPU until the requests that use it end, as engines do by default.
	KeepOnGPU Policy = "kept through decode"
	// MoveToHost moves it to the engine's own host memory after prefill.
	MoveToHost Policy = "moved to host after prefill"
	// Keepsight stores it in the service at once, and has it on the GPU only while a prefill reads it.
	Keepsight Policy = "keepsight"
)

// A Result is one workload under every policy.
type Result struct {
	Config   Config `json:"config"` // with the defaults that it left out
	Requests int    `json:"requests"`
	Media    int    `json:"media"`    // in all requests, repeats included
	Distinct int    `json:"distinct"` // media that no request before had carried
	// Seconds is the simulated time from the first arrival to the last finish, of the policy that took longest.
	Seconds  float64     `json:"seconds"`
	Policies []PolicyRun `json:"policies"` // in the order KeepOnGPU, MoveToHost, Keepsight
	Service  ServiceUse  `json:"service"`
}

// A PolicyRun is what one policy made of the workload.
type PolicyRun struct {
	Policy         Policy  `json:"policy"`
	Seconds        float64 `json:"seconds"` // of simulated time
	Encodes        int     `json:"encodes"` // how often an encoder had to run
	EncoderSeconds float64 `json:"encoder_seconds"`
	// PeakGPUBytes is the most bytes of embeddings that were on all GPUs together, MeanGPUBytes the mean over
	// Seconds.
	PeakGPUBytes int64        `json:"peak_gpu_bytes"`
	MeanGPUBytes float64      `json:"mean_gpu_bytes"`
	Residency    []Resident   `json:"residency"` // at most 600 points; the peak is among them
	FirstToken   TimeToFirst  `json:"first_token"`
	Latency      []Percentile `json:"latency"` // of the time to first token: 50, 90, 99
}

// Resident is how many bytes of embeddings were on GPUs from one moment until the next entry's.
type Resident struct {
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"`
}

// TimeToFirst is the mean time to first token in its parts, in seconds.
type TimeToFirst struct {
	Queue   float64 `json:"queue"`   // waiting for the encoder or the prefill lane of the engine
	Lookup  float64 `json:"lookup"`  // asking the service
	Encode  float64 `json:"encode"`  // running the encoder, or waiting for what another request has begun
	Store   float64 `json:"store"`   // handing the output to the service
	Load    float64 `json:"load"`    // bringing embeddings to the GPU
	Prefill float64 `json:"prefill"` // up to the first token
}

// Total returns the mean time to first token in seconds.
func (t TimeToFirst) Total() float64 {
	return t.Queue + t.Lookup + t.Encode + t.Store + t.Load + t.Prefill
}

// A Percentile is one point of a latency curve: so many percent of the requests took at most so long.
type Percentile struct {
	Percent float64 `json:"percent"`
	Seconds float64 `json:"seconds"`
}

// ServiceUse is what the real service took for its part, as measured, and where it left the engines alone.
type ServiceUse struct {
	Lookup Measured `json:"lookup"`
	Put    Measured `json:"put"`
	Get    Measured `json:"get"`

	Evicted int `json:"evicted"` // embeddings that were stored and not there any more when somebody asked
	Doubled int `json:"doubled"` // encodes that a claim should have spared
	Refused int `json:"refused"` // calls that were answered 429 or 503
}

// Measured is one kind of call to the service.
type Measured struct {
	Calls   int           `json:"calls"`
	Bytes   int64         `json:"bytes"`
	Median  time.Duration `json:"median_ns"`
	Longest time.Duration `json:"longest_ns"`
}

// Run returns what the policy made of the workload, nil if it did not run.
func (r *Result) Run(p Policy) *PolicyRun {
	if i := slices.IndexFunc(r.Policies, func(run PolicyRun) bool { return run.Policy == p }); i >= 0 {
		return &r.Policies[i]
	}
	return nil
}

// Saved returns the encodes and encoder seconds that better did without and base did not. Both ran.
func (r *Result) Saved(better, base Policy) (encodes int, encoderSeconds float64) {
	b, o := r.Run(better), r.Run(base)
	return o.Encodes - b.Encodes, o.EncoderSeconds - b.EncoderSeconds
}

// PeakRatio returns how many times the peak of GPU bytes under base is that under better, 0 if better never
// had any. Both ran.
func (r *Result) PeakRatio(better, base Policy) float64 {
	return ratio(float64(r.Run(base).PeakGPUBytes), float64(r.Run(better).PeakGPUBytes))
}

// MeanRatio is PeakRatio for the mean of GPU bytes over time.
func (r *Result) MeanRatio(better, base Policy) float64 {
	return ratio(r.Run(base).MeanGPUBytes, r.Run(better).MeanGPUBytes)
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// SeenBefore returns the share of the media asked for that a request before had carried, from 0 to 1: what
// no policy can do better than.
func (r *Result) SeenBefore() float64 {
	return ratio(float64(r.Media-r.Distinct), float64(r.Media))
}

// Percentile returns the time to first token that so many percent of the requests did not exceed, for the
// percents of Latency; 0 for others.
func (p *PolicyRun) Percentile(percent float64) time.Duration {
	for _, point := range p.Latency {
		if point.Percent == percent {
			return seconds(point.Seconds)
		}
	}
	return 0
}
