package chart

import (
	"slices"
	"strings"
)

type xy struct{ x, y float64 }

// draw draws the line of a series. A single point becomes a dot, no points nothing.
func (s Series) draw(c *canvas, p *plot) {
	line := s.pixels(p)
	if len(line) == 0 {
		return
	}
	hue := " " + hueClass(s.Hue)
	if len(line) == 1 {
		c.empty("circle", "class", "dot"+hue, "cx", line[0].x, "cy", line[0].y, "r", 3.5)
		return
	}
	path := trace(line)
	if p.filled {
		floor := p.py(0)
		around := append(slices.Clone(line), xy{line[len(line)-1].x, floor}, xy{line[0].x, floor})
		c.empty("path", "class", "area"+hue, "d", trace(around)+"Z")
	}
	class := "line"
	if p.filled {
		class = "line solid" // the areas tell the series apart, and dashes are noise on steps
	}
	c.empty("path", "class", class+hue, "d", path)
}

// pixels returns the corners of a series in the plot, no more than four in each column of pixels.
func (s Series) pixels(p *plot) []xy {
	var line []xy
	for i, at := range s.Points {
		x, y := p.px(at.X), p.py(at.Y)
		if s.Step && i > 0 {
			line = append(line, xy{x, line[len(line)-1].y})
		}
		line = append(line, xy{x, y})
	}
	return reduce(line)
}

// reduce keeps the first, lowest, highest and last corner of each column of pixels, which draws the same picture
// (M4 of Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014).
func reduce(line []xy) []xy {
	var kept []xy
	for len(line) > 0 {
		column := 1
		for column < len(line) && int(line[column].x) == int(line[0].x) {
			column++
		}
		kept = append(kept, extremes(line[:column])...)
		line = line[column:]
	}
	return kept
}

func extremes(column []xy) []xy {
	if len(column) <= 4 {
		return column
	}
	lowest, highest := 0, 0
	for i, at := range column {
		if at.y < column[lowest].y {
			lowest = i
		}
		if at.y > column[highest].y {
			highest = i
		}
	}
	picks := []int{0, lowest, highest, len(column) - 1}
	slices.Sort(picks)
	var kept []xy
	for _, i := range slices.Compact(picks) {
		kept = append(kept, column[i])
	}
	return kept
}

func trace(line []xy) string {
	var d strings.Builder
	command := "M"
	for _, at := range line {
		d.WriteString(command + number(at.x) + " " + number(at.y))
		command = "L"
	}
	return d.String()
}
