package report

import (
	"fmt"
	"time"

	"github.com/keepsight/keepsight/loadtest/chart"
	"github.com/keepsight/keepsight/loadtest/serving"
)

// servingTables hold the policies against each other, side by side, and say what the real service took.
func servingTables(s *serving.Result) []table {
	if s == nil || len(s.Policies) == 0 {
		return nil
	}
	policies := table{Title: "Where embeddings are kept: " + workload(s), Names: 1, Head: []string{""}}
	for _, run := range s.Policies {
		policies.Head = append(policies.Head, string(run.Policy))
	}
	for _, measure := range measures() {
		row := []string{measure.name}
		for _, run := range s.Policies {
			row = append(row, measure.of(run))
		}
		policies.Rows = append(policies.Rows, row)
	}
	return append([]table{policies}, serviceTables(s.Service)...)
}

// workload says what the policies were given.
func workload(s *serving.Result) string {
	return fmt.Sprintf("%s with %s, %d of them different, on %s",
		plural(s.Requests, "request"), plural(s.Media, "image"), s.Distinct, plural(s.Config.Engines, "engine"))
}

// A measure is one thing that policies are compared by.
type measure struct {
	name string
	of   func(serving.PolicyRun) string
}

func measures() []measure {
	all := []measure{
		{"encoder runs", func(r serving.PolicyRun) string { return chart.Count.Format(float64(r.Encodes)) }},
		{"encoder time", func(r serving.PolicyRun) string { return chart.Seconds.Format(r.EncoderSeconds) }},
		{"embeddings on GPUs, peak", func(r serving.PolicyRun) string { return chart.Bytes.Format(float64(r.PeakGPUBytes)) }},
		{"embeddings on GPUs, mean", func(r serving.PolicyRun) string { return chart.Bytes.Format(r.MeanGPUBytes) }},
		{"time to first token, mean", func(r serving.PolicyRun) string { return chart.Seconds.Format(r.FirstToken.Total()) }},
	}
	for _, percent := range []float64{50, 99} {
		all = append(all, measure{fmt.Sprintf("time to first token, p%v", percent), func(r serving.PolicyRun) string {
			return latency(percentile(r.Latency, percent))
		}})
	}
	for _, part := range firstTokenParts() {
		all = append(all, measure{"  of the mean: " + part.name, func(r serving.PolicyRun) string {
			return latency(part.of(r.FirstToken))
		}})
	}
	return all
}

func percentile(latency []serving.Percentile, percent float64) float64 {
	for _, p := range latency {
		if p.Percent == percent {
			return p.Seconds
		}
	}
	return 0
}

// A part is one stretch of the time to first token.
type part struct {
	name string
	hue  int
	of   func(serving.TimeToFirst) float64
}

// firstTokenParts are in the order in which a request goes through them.
func firstTokenParts() []part {
	return []part{
		{"queue", chart.Grey, func(t serving.TimeToFirst) float64 { return t.Queue }},
		{"lookup", chart.Vermilion, func(t serving.TimeToFirst) float64 { return t.Lookup }},
		{"encode", chart.Green, func(t serving.TimeToFirst) float64 { return t.Encode }},
		{"store", chart.Orange, func(t serving.TimeToFirst) float64 { return t.Store }},
		{"load", chart.Purple, func(t serving.TimeToFirst) float64 { return t.Load }},
		{"prefill", chart.Sky, func(t serving.TimeToFirst) float64 { return t.Prefill }},
	}
}

// serviceTables say what the calls took that the simulation made to the real service.
func serviceTables(s serving.ServiceUse) []table {
	t := table{Title: "What the service took for its part, as measured", Names: 1,
		Head: []string{"call", "count", "bytes", "median", "longest"}}
	for _, call := range []struct {
		name string
		serving.Measured
	}{{"lookup", s.Lookup}, {"put", s.Put}, {"get", s.Get}} {
		if call.Calls == 0 {
			continue
		}
		size := none
		if call.Bytes > 0 {
			size = chart.Bytes.Format(float64(call.Bytes))
		}
		t.Rows = append(t.Rows, []string{call.name, chart.Count.Format(float64(call.Calls)), size, took(call.Median), took(call.Longest)})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	for _, event := range []struct {
		count int
		what  string
	}{
		{s.Evicted, "embeddings were stored and gone when somebody asked"},
		{s.Doubled, "encodes were made that a claim should have spared"},
		{s.Refused, "calls were refused"},
	} {
		if event.count > 0 {
			t.Notes = append(t.Notes, fmt.Sprintf("%d %s.", event.count, event.what))
		}
	}
	return []table{t}
}

func took(d time.Duration) string { return latency(d.Seconds()) }
