package report

import (
	"fmt"
	"strings"

	"github.com/keepsight/keepsight/loadtest/chart"
	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/serving"
)

// A tile is one key figure in large type.
type tile struct {
	Name  string
	Value string
	Note  string // what to hold it against
}

// tiles are the key figures, as many as the report has data for.
func (r Report) tiles() (tiles []tile) {
	if r.Serving != nil {
		tiles = append(tiles, servingTiles(r.Serving)...)
	}
	if r.Compare != nil {
		tiles = append(tiles, compareTiles(r.Compare)...)
	}
	return append(tiles, resultTiles(r.Results)...)
}

func servingTiles(s *serving.Result) []tile {
	ours, kept := s.Run(serving.Keepsight), s.Run(serving.KeepOnGPU)
	if ours == nil || kept == nil {
		return nil
	}
	against := func(name string, unit chart.Unit, ours, kept float64) tile {
		return tile{name, unit.Format(ours), fmt.Sprintf("instead of %s %s", unit.Format(kept), serving.KeepOnGPU)}
	}
	return []tile{
		against("Embeddings on GPUs, peak", chart.Bytes, float64(ours.PeakGPUBytes), float64(kept.PeakGPUBytes)),
		against("Encoder runs", chart.Count, float64(ours.Encodes), float64(kept.Encodes)),
		against("Time to first token, mean", chart.Seconds, ours.FirstToken.Total(), kept.FirstToken.Total()),
	}
}

// compareTiles are the fastest row of each direction, of the first target.
func compareTiles(c *compare.Result) (tiles []tile) {
	if len(c.Targets) == 0 {
		return nil
	}
	first := c.Targets[0]
	for _, op := range []load.Op{load.Get, load.Put} {
		var best compare.Row
		for _, row := range c.Rows {
			if row.Op == op && row.Cells[first].BytesPerSecond > best.Cells[first].BytesPerSecond {
				best = row
			}
		}
		cell := best.Cells[first]
		if cell.BytesPerSecond == 0 {
			continue
		}
		t := tile{
			Name:  fmt.Sprintf("%s of %s, %s", strings.ToUpper(string(op)), rowSize(best), plural(best.Clients, "client")),
			Value: chart.BytesPerSecond.Format(cell.BytesPerSecond),
			Note:  first,
		}
		if cell.ShareOfRaw > 0 {
			t.Note += fmt.Sprintf(", %.0f%% of a raw loopback stream", 100*cell.ShareOfRaw)
		}
		tiles = append(tiles, t)
	}
	return tiles
}

// resultTiles say whether what was read was right.
func resultTiles(results []*load.Result) []tile {
	var answers, wrong, errors, refused int64
	for _, r := range results {
		for _, s := range r.Ops {
			answers += s.Count
		}
		wrong, errors, refused = wrong+r.Wrong, errors+r.Errors, refused+r.Refused
	}
	if answers == 0 {
		return nil
	}
	count := func(n int64) string { return chart.Count.Format(float64(n)) }
	note := fmt.Sprintf("in %s answers; %s errors, %s refusals", count(answers), count(errors), count(refused))
	return []tile{{"Wrong values", count(wrong), note}}
}
