package serving

import (
	"slices"
	"time"
)

// newResult says what the workload is.
func newResult(c Config, workload []arrival) *Result {
	r := &Result{Config: c, Requests: len(workload)}
	seen := make(map[int]bool)
	for _, a := range workload {
		r.Media += len(a.media) + a.repeats
		for _, m := range a.media {
			seen[m] = true
		}
	}
	r.Distinct = len(seen)
	return r
}

// add appends what a policy made of the workload.
func (r *Result) add(p Policy, s *simulation) {
	end := s.clock.now
	r.Seconds = max(r.Seconds, end.Seconds())
	run := PolicyRun{
		Policy:         p,
		Seconds:        end.Seconds(),
		Encodes:        s.encodes,
		EncoderSeconds: (time.Duration(s.encodes) * s.config.Media.Cost()).Seconds(),
		PeakGPUBytes:   s.gpu.peak(),
		MeanGPUBytes:   s.gpu.mean(end),
		Residency:      s.gpu.residency(),
		FirstToken:     firstToken(s.requests),
	}
	latencies := make([]time.Duration, len(s.requests))
	for i, request := range s.requests {
		latencies[i] = request.firstToken
	}
	slices.Sort(latencies)
	for _, percent := range []int{50, 90, 99} {
		run.Latency = append(run.Latency, Percentile{float64(percent), percentile(latencies, percent).Seconds()})
	}
	r.Policies = append(r.Policies, run)
}

// firstToken returns the means of the parts.
func firstToken(requests []*request) TimeToFirst {
	mean := func(p part) float64 {
		var sum time.Duration
		for _, r := range requests {
			sum += r.took[p]
		}
		return sum.Seconds() / float64(len(requests))
	}
	return TimeToFirst{
		Queue:   mean(inQueue),
		Lookup:  mean(inLookup),
		Encode:  mean(inEncode),
		Store:   mean(inStore),
		Load:    mean(inLoad),
		Prefill: mean(inPrefill),
	}
}
