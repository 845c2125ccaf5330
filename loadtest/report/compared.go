package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/keepsight/keepsight/loadtest/chart"
	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
)

// compareTables are one table for each thing that targets are compared by: a row is a kind of traffic, a column
// a target.
func compareTables(c *compare.Result) []table {
	if c == nil || len(c.Rows) == 0 {
		return nil
	}
	speeds := comparedBy(c, c.Targets, func(row compare.Row, target string) string { return cellSpeed(row.Cells[target]) })
	speeds.Title = "Speed"
	if c.RawBytesPerSecond > 0 {
		speeds.Title += ", and its share of one raw loopback TCP stream, " + chart.BytesPerSecond.Format(c.RawBytesPerSecond)
	}
	speeds.Notes = compareNotes(c)
	latencies := comparedBy(c, c.Targets, func(row compare.Row, target string) string {
		cell := row.Cells[target]
		return span(latency(cell.P50), latency(cell.P99))
	})
	latencies.Title = "Latency, from p50 to p99"
	cpu := comparedBy(c, c.Targets, func(row compare.Row, target string) string {
		if seconds := row.Cells[target].ServerCPUPerGB; seconds > 0 {
			return fmt.Sprintf("%.2f s", seconds)
		}
		return none
	})
	cpu.Title = "Processor time of the server for each GB"
	memory := comparedBy(c, c.Targets, func(row compare.Row, target string) string {
		if bytes := row.Cells[target].PeakBytes; bytes > 0 {
			return chart.BinaryBytes.Format(float64(bytes))
		}
		return none
	})
	memory.Title = "Resident memory of the server, peak"
	tables := []table{speeds}
	if len(c.Targets) > 1 {
		ratios := comparedBy(c, c.Targets[1:], func(row compare.Row, target string) string {
			return times(row.Ratio(c.Targets[0], target))
		})
		ratios.Title = "How many times as fast " + c.Targets[0] + " is as"
		tables = append(tables, ratios)
	}
	return slices.DeleteFunc(append(tables, latencies, cpu, memory), func(t table) bool { return len(t.Rows) == 0 })
}

// comparedBy makes a table of one number for each row and target. Rows and targets without any are left out.
func comparedBy(c *compare.Result, targets []string, cell func(compare.Row, string) string) table {
	t := table{Names: 1, Head: []string{"op", "size", "clients", "values"}}
	for _, target := range targets {
		t.Head = append(t.Head, short(target, maxName-2))
	}
	for _, row := range c.Rows {
		names := []string{string(row.Op), rowSize(row), fmt.Sprint(row.Clients), rowEntries(row)}
		var cells []string
		for _, target := range targets {
			cells = append(cells, cell(row, target))
		}
		if slices.ContainsFunc(cells, func(cell string) bool { return cell != none }) {
			t.Rows = append(t.Rows, append(names, cells...))
		}
	}
	return t.withoutEmpty()
}

func rowSize(row compare.Row) string {
	if row.Size <= 0 || row.Op == load.Lookup {
		return none
	}
	return chart.BinaryBytes.Format(float64(row.Size))
}

// rowEntries is how many values reads were spread over, where that was asked for.
func rowEntries(row compare.Row) string {
	if row.Entries <= 0 {
		return none
	}
	return chart.Count.Format(float64(row.Entries))
}

func cellSpeed(c compare.Cell) string {
	switch {
	case c.KeysPerSecond > 0:
		return keysPerSecond(c.KeysPerSecond)
	case c.BytesPerSecond > 0 && c.ShareOfRaw > 0:
		return fmt.Sprintf("%s %3.0f%%", chart.BytesPerSecond.Format(c.BytesPerSecond), 100*c.ShareOfRaw)
	case c.BytesPerSecond > 0:
		return chart.BytesPerSecond.Format(c.BytesPerSecond)
	case c.OpsPerSecond > 0:
		return chart.PerSecond.Format(c.OpsPerSecond)
	}
	return none
}

// span writes two latencies, the unit once where it is the same, or one dash for none.
func span(low, high string) string {
	if low == none || high == none {
		return none
	}
	number, unit, _ := strings.Cut(low, " ")
	if strings.HasSuffix(high, " "+unit) {
		low = number
	}
	return low + "–" + high
}

func times(ratio float64) string {
	if ratio <= 0 {
		return none
	}
	return fmt.Sprintf("%.2f×", ratio)
}

// compareNotes say how the numbers came about and what is missing from them.
func compareNotes(c *compare.Result) (notes []string) {
	if c.Rounds > 0 {
		notes = append(notes, fmt.Sprintf("Medians of %s, in which the targets took turns.", plural(c.Rounds, "round")))
	}
	if len(c.Missing) > 0 {
		notes = append(notes, "Not installed, so not compared: "+strings.Join(c.Missing, ", ")+".")
	}
	for _, row := range c.Rows {
		for _, target := range c.Targets {
			if first := row.Cells[target].FirstError; first != "" {
				notes = append(notes, short(fmt.Sprintf("%s, %s %s: %s", target, row.Op, rowSize(row), first), 110))
			}
		}
	}
	return notes
}
