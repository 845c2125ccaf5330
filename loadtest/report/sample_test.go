package report

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/serving"
)

// sample is a report of everything, with numbers as they might be: the same ones every time.
func sample() Report {
	draw := rand.New(rand.NewPCG(1, 2))
	return Report{
		Title:   "keepsight under load",
		Command: "go run ./loadtest --compare --serving --duration 30s",
		Made:    time.Date(2026, 3, 14, 15, 9, 0, 0, time.UTC),
		Machine: Machine{
			CPU: "AMD EPYC 9354 32-Core Processor", Cores: 16, MemoryBytes: 128 << 30, Kernel: "Linux 6.8.0-45-generic",
			Congestion: "cubic",
			Versions: map[string]string{
				"keepsight": "v0.3.1-0.20260314150900-385fd240a1b2", "go": "go1.26.8", "redis": "7.0.15", "memcached": "1.6.18",
				"nginx": "1.22.1",
			},
		},
		Results: append(sampleRound(draw, "zipf of qwen2.5-vl-image", 16, false), sampleRound(draw, "lookup of 64 keys", 4, true)...),
		Compare: sampleComparison(draw),
		Serving: sampleServing(draw),
	}
}

// sampleSpeed is how fast each target is, against the first.
func sampleSpeed() []struct {
	target string
	factor float64
} {
	return []struct {
		target string
		factor float64
	}{{"keepsight tcp", 1}, {"keepsight unix", 1.31}, {"redis", 0.47}, {"memcached", 0.62}, {"nginx", 1.08}}
}

func sampleRound(draw *rand.Rand, traffic string, clients int, lookups bool) (results []*load.Result) {
	for i, s := range sampleSpeed() {
		ours := i < 2
		if lookups && !ours {
			continue
		}
		r := &load.Result{
			Target: s.target, Traffic: traffic, Clients: clients, Seconds: 30, ClientCPUSeconds: 40,
			ServerCPUSeconds: 38 / s.factor, ServerPeakBytes: int64(2.1e9 + 1e8*s.factor),
		}
		bytes := int64(30 * 4.1e9 * s.factor)
		const size = 8.57e6
		reads := int64(float64(bytes) / size)
		if lookups {
			bytes, reads = 0, 0
			r.Keys = int64(30 * 2.1e6 * s.factor)
			r.Ops = map[load.Op]*load.Summary{load.Lookup: sampleLatency(r.Keys/64, 0, 110e-6/s.factor)}
		} else {
			r.Ops = map[load.Op]*load.Summary{
				load.Get:  sampleLatency(reads, bytes, 2.2e-3/s.factor),
				load.Miss: sampleLatency(reads/40, 0, 150e-6/s.factor),
				load.Put:  sampleLatency(reads/40, bytes/40, 6e-3/s.factor),
			}
		}
		if ours && !lookups {
			r.Tiers = map[string]int64{"host": reads * 9 / 10, "disk": reads / 10}
			r.Refused = 3
		}
		for t := 0.5; t <= 30; t += 0.5 {
			r.Timeline = append(r.Timeline, load.Moment{
				Seconds: t, Requests: int64(240 * s.factor), Bytes: int64(float64(bytes) / 60 * (0.92 + 0.16*draw.Float64())),
				ResidentBytes: int64(2.1e9 * s.factor * (1 - math.Exp(-t/4))),
			})
		}
		results = append(results, r)
	}
	return results
}

// sampleLatency has a tail as queues make it.
func sampleLatency(count, bytes int64, median float64) *load.Summary {
	s := &load.Summary{Count: count, Bytes: bytes, Mean: median * 1.1}
	for _, percent := range load.Percents() {
		s.Latency = append(s.Latency, load.Point{Percent: percent, Seconds: median * (0.6 + 0.4*math.Pow(-math.Log2(1-percent/100), 1.15))})
	}
	s.Max = 2 * s.Latency[len(s.Latency)-1].Seconds
	return s
}

func sampleComparison(draw *rand.Rand) *compare.Result {
	c := &compare.Result{RawBytesPerSecond: 8.31e9, Rounds: 5, Missing: []string{"garnet"}}
	for _, s := range sampleSpeed() {
		c.Targets = append(c.Targets, s.target)
	}
	for _, op := range []load.Op{load.Get, load.Put, load.Lookup} {
		for _, size := range []int64{64 << 10, 1 << 20, 8 << 20} {
			for _, clients := range []int{1, 8} {
				if op == load.Lookup && size != 64<<10 {
					continue
				}
				c.Rows = append(c.Rows, sampleRow(draw, c, compare.Row{Op: op, Size: size, Clients: clients}))
			}
		}
	}
	return c
}

func sampleRow(draw *rand.Rand, c *compare.Result, row compare.Row) compare.Row {
	row.Cells = make(map[string]compare.Cell)
	base := 5.4e9 * float64(row.Size) / float64(row.Size+250<<10)
	if row.Op == load.Put {
		base *= 0.55
	}
	for i, s := range sampleSpeed() {
		if row.Op == load.Lookup && i > 1 {
			continue
		}
		speed := base * s.factor * (0.95 + 0.1*draw.Float64()) * math.Pow(float64(row.Clients), 0.05)
		cell := compare.Cell{
			BytesPerSecond: speed, OpsPerSecond: speed / float64(row.Size), ShareOfRaw: speed / c.RawBytesPerSecond,
			ServerCPUPerGB: 0.21 / s.factor, ClientCPUPerGB: 0.3,
			P50: float64(row.Size) / speed * float64(row.Clients), P99: 2.4 * float64(row.Size) / speed * float64(row.Clients),
		}
		if row.Op == load.Lookup {
			speed = 2.2e6 * s.factor
			cell = compare.Cell{KeysPerSecond: speed, OpsPerSecond: speed / 64, P50: 31e-6, P99: 90e-6}
		}
		for range c.Rounds {
			cell.Rounds = append(cell.Rounds, speed)
		}
		row.Cells[s.target] = cell
	}
	return row
}

func sampleServing(draw *rand.Rand) *serving.Result {
	s := &serving.Result{
		Config: serving.Config{Engines: 4}, Requests: 400, Media: 400, Distinct: 80, Seconds: 64,
		Service: serving.ServiceUse{
			Lookup: serving.Measured{Calls: 480, Median: 190 * time.Microsecond, Longest: 2 * time.Millisecond},
			Put:    serving.Measured{Calls: 80, Bytes: 80 * 8572928, Median: 3900 * time.Microsecond, Longest: 11 * time.Millisecond},
			Get:    serving.Measured{Calls: 400, Bytes: 400 * 8572928, Median: 2100 * time.Microsecond, Longest: 9 * time.Millisecond},
		},
	}
	const embedding = 8572928
	for _, p := range []struct {
		policy  serving.Policy
		held    float64 // embeddings at once, on average
		encodes int
		first   serving.TimeToFirst
	}{
		{serving.KeepOnGPU, 150, 331, serving.TimeToFirst{Queue: 0.041, Encode: 0.071, Prefill: 0.068}},
		{serving.MoveToHost, 24, 202, serving.TimeToFirst{Queue: 0.03, Encode: 0.043, Load: 0.0004, Prefill: 0.068}},
		{serving.Keepsight, 1, 80, serving.TimeToFirst{Queue: 0.019, Lookup: 0.0002, Encode: 0.018, Store: 0.0009, Load: 0.0026, Prefill: 0.068}},
	} {
		run := serving.PolicyRun{Policy: p.policy, Seconds: 64, Encodes: p.encodes, EncoderSeconds: 0.085 * float64(p.encodes), FirstToken: p.first}
		held := 0.0
		for t := 0.0; t < 64; t += 64.0 / 550 {
			busy := min(1, t/8, (64-t)/5)
			held += (p.held*busy-held)*0.06 + (draw.Float64()-0.5)*math.Sqrt(p.held)*1.6
			bytes := int64(max(0, math.Round(held))) * embedding
			run.Residency = append(run.Residency, serving.Resident{Seconds: t, Bytes: bytes})
			run.PeakGPUBytes = max(run.PeakGPUBytes, bytes)
			run.MeanGPUBytes += float64(bytes) / 550
		}
		run.Residency = append(run.Residency, serving.Resident{Seconds: 64})
		for _, percent := range []float64{50, 90, 99} {
			run.Latency = append(run.Latency, serving.Percentile{Percent: percent, Seconds: p.first.Total() * (0.4 + percent/70)})
		}
		s.Policies = append(s.Policies, run)
	}
	return s
}
