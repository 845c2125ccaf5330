package report

import (
	"slices"
	"strings"

	"github.com/keepsight/keepsight/loadtest/chart"
	"github.com/keepsight/keepsight/loadtest/load"
)

// charts are what one kind of traffic did to all targets; those without data are left out.
func (r round) charts(hues hueOf) []chart.Chart {
	all := []chart.Lines{r.throughput(hues), r.memory(hues)}
	for _, op := range operations() {
		all = append(all, r.latencies(op, hues))
	}
	var charts []chart.Chart
	for _, lines := range all {
		if len(lines.Series) > 0 {
			charts = append(charts, lines)
		}
	}
	if tiers := r.tiers(); len(tiers.Groups) > 0 {
		charts = append(charts, tiers)
	}
	return charts
}

// throughput is of bytes, or of requests where nothing moved.
func (r round) throughput(hues hueOf) chart.Lines {
	lines := chart.Lines{Title: "Throughput over time", X: chart.Axis{Unit: chart.Seconds}, Y: chart.Axis{Unit: chart.PerSecond}}
	amount := func(m load.Moment) int64 { return m.Requests }
	if slices.ContainsFunc(r.results, func(result *load.Result) bool { return result.Bytes() > 0 }) {
		lines.Y.Unit = chart.BytesPerSecond
		amount = func(m load.Moment) int64 { return m.Bytes }
	}
	var means spread
	for _, result := range r.results {
		series := chart.Series{Name: result.Target, Hue: hues[result.Target]}
		var before, total float64
		for _, m := range result.Timeline {
			if took := m.Seconds - before; took > 0 {
				series.Points = append(series.Points, chart.Point{X: m.Seconds, Y: float64(amount(m)) / took})
				total += float64(amount(m))
				before = m.Seconds
			}
		}
		if len(series.Points) > 0 {
			lines.Series = append(lines.Series, series)
			means.add(result.Target, total/before)
		}
	}
	lines.Subtitle = means.sentence("On average", lines.Y.Unit)
	return lines
}

func (r round) memory(hues hueOf) chart.Lines {
	lines := chart.Lines{Title: "Resident memory of the server", X: chart.Axis{Unit: chart.Seconds}, Y: chart.Axis{Unit: chart.Bytes}}
	var peaks spread
	for _, result := range r.results {
		series := chart.Series{Name: result.Target, Hue: hues[result.Target]}
		var peak int64
		for _, m := range result.Timeline {
			if m.ResidentBytes > 0 {
				series.Points = append(series.Points, chart.Point{X: m.Seconds, Y: float64(m.ResidentBytes)})
				peak = max(peak, m.ResidentBytes)
			}
		}
		if len(series.Points) > 0 {
			lines.Series = append(lines.Series, series)
			peaks.add(result.Target, float64(peak))
		}
	}
	lines.Subtitle = peaks.sentence("At peak", lines.Y.Unit)
	return lines
}

// latencies are the percentile curves of one operation.
func (r round) latencies(op load.Op, hues hueOf) chart.Lines {
	lines := chart.Lines{
		Title: "Latency of " + strings.ToUpper(string(op)),
		X:     chart.Axis{Scale: chart.Nines, Name: "percentile of the operations"},
		Y:     chart.Axis{Scale: chart.Log, Unit: chart.Seconds},
	}
	var p99 spread
	for _, result := range r.results {
		summary := result.Ops[op]
		if summary == nil || len(summary.Latency) == 0 {
			continue
		}
		series := chart.Series{Name: result.Target, Hue: hues[result.Target]}
		for _, p := range summary.Latency {
			series.Points = append(series.Points, chart.Point{X: p.Percent, Y: p.Seconds})
		}
		lines.Series = append(lines.Series, series)
		p99.add(result.Target, summary.Percentile(99).Seconds())
	}
	lines.Subtitle = p99.sentence("99 of 100 take at most", chart.Seconds)
	return lines
}
