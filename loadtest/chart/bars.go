package chart

import (
	"fmt"
	"math"
	"strings"
)

// Bars is a chart of horizontal bars in groups, each with its value behind it.
type Bars struct {
	Title    string
	Subtitle string // what the data say, in a sentence
	Unit     Unit
	Parts    []Part // of every bar, which are then stacked; empty: bars are whole
	Groups   []Group
	Limit    Limit
}

// A Part is one colour of stacked bars.
type Part struct {
	Name string
	Hue  int
}

// A Group is bars with a heading.
type Group struct {
	Name string // empty: no heading
	Bars []Bar
}

// A Bar is one row.
type Bar struct {
	Name   string
	Hue    int       // of a bar without parts
	Values []float64 // one for each part, or one; negative ones have no length; none: not measured
	Label  string    // what stands behind it; empty: the sum of the values
}

// The distances of bars, in pixels.
const (
	barPitch  = 25
	barHeight = 15
	groupRow  = 27
	groupGap  = 8
	valueGap  = 10
)

func (b Bars) about() (title, description string) {
	var text strings.Builder
	text.WriteString(sentence(b.Subtitle))
	for _, g := range b.Groups {
		for _, bar := range g.Bars {
			fmt.Fprintf(&text, " %s", strings.TrimSpace(g.Name+" "+bar.Name)+": "+b.label(bar)+";")
		}
	}
	return b.Title, strings.TrimSuffix(strings.TrimSpace(text.String()), ";")
}

func (b Bars) label(bar Bar) string {
	switch {
	case bar.Label != "":
		return bar.Label
	case len(bar.Values) == 0:
		return "not measured"
	}
	return b.Unit.Format(bar.sum())
}

func (b Bar) sum() (total float64) {
	for _, v := range b.Values {
		total += length(v)
	}
	return total
}

// length is what of a value can be drawn.
func length(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0
	}
	return v
}

// A rack is where the bars of one chart lie: names left of them or above, values in a column at the right.
type rack struct {
	left, right, width float64
	namesAbove         bool
	full               float64 // the value that reaches right
}

func (b Bars) rack(width float64) rack {
	var names, values float64
	full := length(b.Limit.Value)
	for _, g := range b.Groups {
		for _, bar := range g.Bars {
			names = max(names, nameFont.width(bar.Name))
			values = max(values, nameFont.width(b.label(bar)))
			full = max(full, bar.sum())
		}
	}
	r := rack{width: width, full: full}
	if r.namesAbove = names > 0.34*width; !r.namesAbove && names > 0 {
		r.left = names + valueGap
	}
	r.right = width - min(values, 0.4*width) - valueGap
	if full == 0 {
		r.full = 1
	}
	return r
}

func (b Bars) draw(c *canvas, width float64) float64 {
	y := header(c, titleFont, b.Title, b.Subtitle, width) + 6
	if len(b.Parts) > 0 {
		entries := make([]entry, len(b.Parts))
		for i, part := range b.Parts {
			entries[i] = entry{part.Name, part.Hue, false}
		}
		y = legend(c, entries, y+2, width) + 6
	}
	r := b.rack(width)
	y = r.limit(c, b.Limit, y)
	for i, g := range b.Groups {
		if g.Name != "" {
			if i > 0 {
				y += groupGap
			}
			y += groupRow
			c.tip(groupFont, 0, y-9, start, g.Name, width)
		}
		top := y
		for _, bar := range g.Bars {
			y = b.row(c, r, bar, y)
		}
		r.mark(c, b.Limit, top, y)
	}
	return y + 2
}

// row draws one bar below y and returns its bottom.
func (b Bars) row(c *canvas, r rack, bar Bar, y float64) float64 {
	if r.namesAbove {
		y += nameFont.line + 2
		c.tip(nameFont, 0, y-2, start, bar.Name, r.width)
	}
	baseline := y + barPitch/2 + nameFont.size*0.35
	if !r.namesAbove {
		c.tip(nameFont, r.left-valueGap, baseline, end, bar.Name, r.left)
	}
	c.tip(nameFont, r.width, baseline, end, b.label(bar), r.width-r.right-valueGap+0.01)
	x := r.left
	for i, v := range bar.Values {
		name, hue := bar.Name, bar.Hue
		if i < len(b.Parts) {
			name, hue = bar.Name+", "+b.Parts[i].Name, b.Parts[i].Hue
		}
		long := length(v) / r.full * (r.right - r.left)
		c.open("rect", "class", "bar "+hueClass(hue), "x", x, "y", y+(barPitch-barHeight)/2, "width", long, "height", float64(barHeight), "rx", min(2, long/2))
		c.leaf("title", strings.TrimPrefix(name+": ", ": ")+b.Unit.Format(v))
		c.close("rect")
		x += long
	}
	return y + barPitch
}

// limit writes the name of the limit above the bars and returns its bottom.
func (r rack) limit(c *canvas, l Limit, y float64) float64 {
	if length(l.Value) == 0 {
		return y
	}
	x := r.left + l.Value/r.full*(r.right-r.left)
	room := min(tickFont.width(l.Name), r.width) / 2
	c.tip(tickFont, min(max(x, room), r.width-room), y+tickFont.line, middle, l.Name, r.width)
	return y + tickFont.line + 4
}

// mark draws the limit through the bars of one group.
func (r rack) mark(c *canvas, l Limit, top, bottom float64) {
	if length(l.Value) == 0 {
		return
	}
	x := r.left + l.Value/r.full*(r.right-r.left)
	c.empty("line", "class", "limit", "x1", x, "x2", x, "y1", top, "y2", bottom)
}
