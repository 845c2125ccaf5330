package report

import (
	"strings"

	"github.com/keepsight/keepsight/loadtest/chart"
	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
)

// compareCharts are bars of all targets: one chart for each operation and number of clients, with a group for
// each size.
func compareCharts(c *compare.Result, hues hueOf) (charts []chart.Chart) {
	type kind struct {
		op      load.Op
		clients int
	}
	var kinds []kind
	rows := make(map[kind][]compare.Row)
	for _, row := range c.Rows {
		k := kind{row.Op, row.Clients}
		if rows[k] == nil {
			kinds = append(kinds, k)
		}
		rows[k] = append(rows[k], row)
	}
	for _, k := range kinds {
		bars := chart.Bars{
			Title:    strings.ToUpper(string(k.op)) + ", " + plural(k.clients, "client"),
			Subtitle: ratios(c, rows[k][len(rows[k])-1]),
			Unit:     chart.BytesPerSecond,
		}
		if k.op == load.Lookup {
			bars.Unit = chart.PerSecond
		} else if c.RawBytesPerSecond > 0 {
			bars.Limit = chart.Limit{
				Name:  "one raw loopback stream, " + chart.BytesPerSecond.Format(c.RawBytesPerSecond),
				Value: c.RawBytesPerSecond,
			}
		}
		for _, row := range rows[k] {
			bars.Groups = append(bars.Groups, compareGroup(c, row, hues))
		}
		charts = append(charts, bars)
	}
	return charts
}

func compareGroup(c *compare.Result, row compare.Row, hues hueOf) chart.Group {
	var group chart.Group
	if size := rowSize(row); size != none {
		group.Name = size
	}
	for _, target := range c.Targets {
		cell, measured := row.Cells[target]
		if !measured {
			continue
		}
		bar := chart.Bar{Name: target, Hue: hues[target], Values: []float64{cell.BytesPerSecond}}
		if row.Op == load.Lookup {
			bar.Values, bar.Label = []float64{cell.KeysPerSecond}, keysPerSecond(cell.KeysPerSecond)
		}
		group.Bars = append(group.Bars, bar)
	}
	return group
}

// ratios says how the first target stands to the others in a row.
func ratios(c *compare.Result, row compare.Row) string {
	var others []string
	for _, target := range c.Targets[min(1, len(c.Targets)):] {
		if ratio := row.Ratio(c.Targets[0], target); ratio > 0 {
			others = append(others, times(ratio)+" "+target)
		}
	}
	if len(others) == 0 {
		return ""
	}
	text := c.Targets[0] + " does " + list(others)
	if size := rowSize(row); size != none {
		text = "At " + size + ", " + text
	}
	return text
}

// list joins things as a sentence does.
func list(things []string) string {
	last := len(things) - 1
	if last < 1 {
		return strings.Join(things, "")
	}
	return strings.Join(things[:last], ", ") + " and " + things[last]
}
