package chart

import "strings"

// A Sheet is charts under one heading, in columns where the width allows, else below each other.
type Sheet struct {
	Title    string
	Subtitle string // what the data say, in a sentence
	Columns  []Column
}

// A Column is charts below each other.
type Column struct {
	Share  float64 // of the width, against the shares of the other columns
	Charts []Chart
}

// The distances of a sheet, in pixels.
const (
	columnGap = 48
	chartGap  = 28
	twoUp     = 700 // the least width for columns
)

func (s Sheet) about() (title, description string) {
	text := []string{sentence(s.Subtitle)}
	for _, column := range s.Columns {
		for _, chart := range column.Charts {
			name, description := chart.about()
			text = append(text, sentence(name), sentence(description))
		}
	}
	return s.Title, strings.TrimSpace(strings.Join(text, " "))
}

func (s Sheet) draw(c *canvas, width float64) float64 {
	top := header(c, sheetFont, s.Title, s.Subtitle, width) + chartGap*0.8
	var shares float64
	for _, column := range s.Columns {
		shares += column.Share
	}
	across := width - columnGap*float64(len(s.Columns)-1)
	left, bottom := 0.0, top
	for i, column := range s.Columns {
		if width >= twoUp {
			room := across * column.Share / shares
			bottom = max(bottom, column.draw(c, left, top, room))
			left += room + columnGap
			continue
		}
		if i > 0 {
			bottom += chartGap
		}
		bottom = column.draw(c, 0, bottom, width)
	}
	return bottom
}

// draw draws the charts of a column and returns the bottom of the last.
func (column Column) draw(c *canvas, left, y, width float64) float64 {
	for i, chart := range column.Charts {
		if i > 0 {
			y += chartGap
		}
		c.open("g", "transform", "translate("+number(left)+" "+number(y)+")")
		y += chart.draw(c, width)
		c.close("g")
	}
	return y
}
