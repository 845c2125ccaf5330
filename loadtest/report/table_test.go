package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
)

func terminal(t *testing.T, r Report) string {
	t.Helper()
	var text bytes.Buffer
	if err := WriteTable(&text, r); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// The table of a whole report fits a terminal and says everything that the report has.
func TestTable(t *testing.T) {
	text := terminal(t, sample())
	t.Log("\n" + text)
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(line) - 1; n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("spaces at the end of %q", line)
		}
	}
	for _, want := range []string{
		"Not installed, so not compared: garnet.", "Medians of 5 rounds", "8.31 GB/s", "moved to host after prefill",
		"zipf of qwen2.5-vl-image, 16 clients", "keys/s", "64 KiB", "1 MiB", "8 MiB", "encoder runs",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// What was not run is not there.
func TestTableOfNothing(t *testing.T) {
	if text := terminal(t, Report{Title: "nothing"}); text != "" {
		t.Errorf("the table of an empty report is %q", text)
	}
	only := Report{Results: sample().Results}
	if text := terminal(t, only); strings.Contains(text, "encoder runs") || strings.Contains(text, "raw loopback") {
		t.Errorf("parts that were not run are in\n%s", text)
	}
}

func TestTableOfOneTarget(t *testing.T) {
	r := Report{Results: []*load.Result{{
		Target: "keepsight tcp", Traffic: "8 MiB get", Clients: 1, Seconds: 2,
		Ops:   map[load.Op]*load.Summary{load.Get: {Count: 1000, Bytes: 8e9, Max: 0.25, Latency: []load.Point{{Percent: 50, Seconds: 0.002}}}},
		Wrong: 1, Unexcused: 2, Errors: 3, FirstError: "connection reset",
	}}}
	want := `8 MiB get, 1 client
  target         op   count      speed      p50     max  hits  refused  errors
  keepsight tcp  get  1,000  4.00 GB/s  2.00 ms  250 ms  100%        0       3
  keepsight tcp: WRONG BYTES in 1 value.
  keepsight tcp: 2 refusals without Retry-After.
  keepsight tcp: connection reset
`
	if diff := cmp.Diff(want, terminal(t, r)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// A cell that was not measured is a dash, and ratios hold the first target against each other one.
func TestTableOfComparison(t *testing.T) {
	r := Report{Compare: &compare.Result{Targets: []string{"keepsight tcp", "redis", "nginx"}, Rows: []compare.Row{{
		Op: load.Get, Size: 1 << 20, Clients: 2, Cells: map[string]compare.Cell{
			"keepsight tcp": {BytesPerSecond: 3e9, Rounds: []float64{3e9}}, "redis": {BytesPerSecond: 2e9, Rounds: []float64{2e9}},
		},
	}, {
		Op: load.Put, Size: 1 << 20, Clients: 2, Cells: map[string]compare.Cell{"nginx": {BytesPerSecond: 1e9, Rounds: []float64{1e9}}},
	}}}}
	text := terminal(t, r)
	for _, want := range []string{"3.00 GB/s", "2.00 GB/s", none, "1.50×", "1 MiB"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestJSON(t *testing.T) {
	var text bytes.Buffer
	if err := WriteJSON(&text, sample()); err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(text.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample().Compare, read.Compare); diff != "" {
		t.Errorf("comparison (-written +read):\n%s", diff)
	}
	if read.Serving.Policies[0].PeakGPUBytes == 0 || len(read.Results) != len(sample().Results) {
		t.Error("the report does not survive being written")
	}
}
