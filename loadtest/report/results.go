package report

import (
	"fmt"

	"github.com/keepsight/keepsight/loadtest/chart"
	"github.com/keepsight/keepsight/loadtest/load"
)

// A round is the results of all targets under one kind of traffic.
type round struct {
	title   string
	results []*load.Result
}

// rounds groups results by their traffic, in the order in which they ran.
func rounds(results []*load.Result) (all []round) {
	places := make(map[string]int)
	for _, r := range results {
		title := trafficTitle(r)
		place, known := places[title]
		if !known {
			place = len(all)
			places[title] = place
			all = append(all, round{title: title})
		}
		all[place].results = append(all[place].results, r)
	}
	return all
}

func trafficTitle(r *load.Result) string {
	title := r.Traffic
	if r.Clients > 0 {
		title += ", " + plural(r.Clients, "client")
	}
	if r.Rate > 0 {
		title += ", " + chart.Count.Format(r.Rate) + " requests a second"
	}
	return title
}

// operations are in the order of the tables.
func operations() []load.Op { return []load.Op{load.Get, load.Miss, load.Put, load.Lookup} }

func resultTables(results []*load.Result) (tables []table) {
	for _, round := range rounds(results) {
		tables = append(tables, round.table())
	}
	return tables
}

// maxName bounds the column of targets, so that tables keep to a terminal.
const maxName = 18

func (r round) table() table {
	t := table{
		Title: r.title, Names: 2,
		Head: []string{"target", "op", "count", "speed", "p50", "p90", "p99", "max", "hits", "refused", "errors", "CPU/GB", "peak"},
	}
	for _, result := range r.results {
		name, rest, answered := short(result.Target, maxName), ofTarget(result), false
		for _, op := range operations() {
			summary := result.Ops[op]
			if summary == nil || summary.Count == 0 {
				continue
			}
			t.Rows = append(t.Rows, append(append([]string{name, string(op)}, ofOperation(result, op, summary)...), rest...))
			rest = make([]string, len(rest)) // once for each target
			answered = true
		}
		if !answered {
			t.Rows = append(t.Rows, append([]string{name, none, "0", none, none, none, none, none}, rest...))
		}
		t.Notes = append(t.Notes, complaints(result)...)
	}
	return t.withoutEmpty()
}

func ofOperation(r *load.Result, op load.Op, s *load.Summary) []string {
	cells := []string{chart.Count.Format(float64(s.Count)), speed(r, op, s)}
	for _, percent := range []float64{50, 90, 99} {
		cells = append(cells, latency(s.Percentile(percent).Seconds()))
	}
	return append(cells, latency(s.Max))
}

// speed is bytes a second, or of operations that move none, how many of them or of their keys a second.
func speed(r *load.Result, op load.Op, s *load.Summary) string {
	switch {
	case r.Seconds <= 0:
		return none
	case op == load.Lookup && r.Keys > 0:
		return keysPerSecond(float64(r.Keys) / r.Seconds)
	case s.Bytes == 0:
		return chart.PerSecond.Format(float64(s.Count) / r.Seconds)
	}
	return chart.BytesPerSecond.Format(float64(s.Bytes) / r.Seconds)
}

func keysPerSecond(v float64) string { return chart.Count.Format(v) + " keys/s" }

func latency(seconds float64) string {
	if seconds <= 0 {
		return none
	}
	return chart.Seconds.Format(seconds)
}

func ofTarget(r *load.Result) []string {
	hits, cpu, peak := none, none, none
	if got, reads := r.Hits(); reads > 0 {
		hits = chart.Percent.Format(100 * float64(got) / float64(reads))
	}
	if r.ServerCPUSeconds > 0 && r.Bytes() > 0 {
		cpu = fmt.Sprintf("%.2f s", r.ServerCPUPerGB())
	}
	if r.ServerPeakBytes > 0 {
		peak = chart.BinaryBytes.Format(float64(r.ServerPeakBytes))
	}
	return []string{hits, chart.Count.Format(float64(r.Refused)), chart.Count.Format(float64(r.Errors)), cpu, peak}
}

// complaints say what must not happen to a target and did.
func complaints(r *load.Result) (notes []string) {
	if r.Wrong > 0 {
		notes = append(notes, fmt.Sprintf("%s: WRONG BYTES in %s.", r.Target, plural(int(r.Wrong), "value")))
	}
	if r.Unexcused > 0 {
		notes = append(notes, fmt.Sprintf("%s: %s without Retry-After.", r.Target, plural(int(r.Unexcused), "refusal")))
	}
	if r.Unanswered > 0 {
		notes = append(notes, fmt.Sprintf("%s: %s unanswered when time was up.", r.Target, plural(int(r.Unanswered), "request")))
	}
	if r.FirstError != "" {
		notes = append(notes, short(r.Target+": "+r.FirstError, 110))
	}
	return notes
}
