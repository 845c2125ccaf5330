// Package report turns what the load test found out into what people look at: a table for the terminal, JSON for
// programs, one HTML page, and the picture of the README.
//
// A [Report] belongs to who made it and is only read. Everything is computed from it when it is written.
//
// # Invariants
//
//   - The terminal and the page show the same tables: each is built once, and written twice.
//   - Every number in words, in a tile or under a title, is computed from the report.
//   - What was not run leaves no trace: no empty table, no empty chart.
//   - The page is one file that loads and runs nothing, which its Content-Security-Policy also forbids.
//   - A target has one hue on the whole page.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/serving"
)

// A Report is everything that one run of the load test found out. A part that was not run is empty.
type Report struct {
	Title   string          `json:"title"`
	Command string          `json:"command"` // that makes it again
	Made    time.Time       `json:"made"`    // zero: not said
	Machine Machine         `json:"machine"`
	Results []*load.Result  `json:"results,omitempty"` // one for each target and kind of traffic
	Compare *compare.Result `json:"compare,omitempty"`
	Serving *serving.Result `json:"serving,omitempty"`
}

// A Machine says where the report was made. Empty fields are not known, and not shown.
type Machine struct {
	CPU         string            `json:"cpu"`
	Cores       int               `json:"cores"`
	MemoryBytes int64             `json:"memory_bytes"`
	Kernel      string            `json:"kernel"`
	Congestion  string            `json:"congestion"` // congestion control of the TCP connections
	Versions    map[string]string `json:"versions"`   // of keepsight, Go and the peers
}

// WriteJSON writes a report for programs.
func WriteJSON(w io.Writer, r Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write report as JSON: %w", err)
	}
	return nil
}
