package chart

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Lines is a plot of series over two axes.
type Lines struct {
	Title    string
	Subtitle string  // what the data say, in a sentence
	Height   float64 // of the plot; zero: 230
	X, Y     Axis
	Series   []Series
	Limit    Limit
	Filled   bool // tints the area below each series
}

// A Series is one line. Its points may come in any order and are drawn by ascending X.
type Series struct {
	Name   string
	Hue    int
	Step   bool // a value lasts until the next point
	Points []Point
}

// A Point is one value of a series.
type Point struct{ X, Y float64 }

// A Limit is a dashed line at a value that others are held against. The zero Limit is none.
type Limit struct {
	Name  string
	Value float64
}

// The distances of a plot, in pixels.
const (
	plotHeight = 230
	plotGap    = 14 // between the header and the plot
	tickGap    = 8  // between a tick's label and the plot
	tickRow    = 26 // below the plot, for labels
	nameRow    = 19 // below the labels, for the name of the X axis
	tickPitch  = 42 // least height between grid lines
)

func (l Lines) about() (title, description string) {
	names := make([]string, len(l.Series))
	for i, s := range l.Series {
		names[i] = s.Name
	}
	return l.Title, strings.TrimSpace(fmt.Sprintf("%s Lines: %s.", sentence(l.Subtitle), strings.Join(names, ", ")))
}

func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func (l Lines) draw(c *canvas, width float64) float64 {
	top := header(c, titleFont, l.Title, l.Subtitle, width)
	p := l.plot(width)
	if !p.direct {
		top = legend(c, l.entries(), top+8, width)
	}
	if l.Y.Name != "" {
		top += tickFont.line + 4
		c.tip(tickFont, 0, top, start, l.Y.Name, width)
	}
	p.top = top + plotGap
	p.bottom = p.top + l.height()
	p.grid(c)
	for _, s := range p.series {
		s.draw(c, p)
	}
	if p.empty() {
		c.text(subtitleFont, (p.left+p.right)/2, (p.top+p.bottom)/2, middle, "no values")
	} else {
		p.limit(c, l.Limit)
	}
	if p.direct {
		endLabels(c, p)
	}
	p.slots(c)
	bottom := p.bottom + tickRow
	if l.X.Name != "" {
		c.tip(tickFont, (p.left+p.right)/2, bottom+tickFont.line-5, middle, l.X.Name, p.right-p.left)
		bottom += nameRow
	}
	return bottom
}

func (l Lines) height() float64 {
	if l.Height > 0 {
		return l.Height
	}
	return plotHeight
}

// A plot is the area that lines are drawn in, and the rulers of its sides.
type plot struct {
	left, right, top, bottom float64
	x, y                     ruler
	series                   []Series // sorted, and without points that have no place
	direct                   bool     // names stand where the lines end, and not in a legend
	filled                   bool
}

// plot fits the axes to the series; the caller sets top and bottom.
func (l Lines) plot(width float64) *plot {
	p := &plot{filled: l.Filled}
	var xs, ys []float64
	for _, s := range l.Series {
		s.Points = slices.DeleteFunc(slices.Clone(s.Points), func(at Point) bool {
			return !l.X.Scale.places(at.X) || !l.Y.Scale.places(at.Y)
		})
		slices.SortStableFunc(s.Points, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
		for _, at := range s.Points {
			xs, ys = append(xs, at.X), append(ys, at.Y)
		}
		p.series = append(p.series, s)
	}
	if l.Limit.Value != 0 {
		ys = append(ys, l.Limit.Value)
	}
	p.y = l.Y.ruler(ys, max(2, int(l.height()/tickPitch)), true)
	for _, t := range p.y.ticks {
		p.left = max(p.left, tickFont.width(t.label)+tickGap)
	}
	names := p.endWidth(width, l.height())
	p.direct = names > 0
	p.left = min(p.left, width/3)
	for parts := 8; ; parts-- {
		p.x = l.X.ruler(xs, parts, false)
		p.right = width - max(names, p.overhang(), 2)
		if parts <= 2 || p.apart() {
			return p
		}
	}
}

func (p *plot) empty() bool {
	return !slices.ContainsFunc(p.series, func(s Series) bool { return len(s.Points) > 0 })
}

// overhang is how far the label of a tick at the right edge reaches past it.
func (p *plot) overhang() float64 {
	if n := len(p.x.ticks); n > 0 {
		return tickFont.width(p.x.ticks[n-1].label) / 2
	}
	return 0
}

// apart reports whether the labels below the plot keep their distance.
func (p *plot) apart() bool { return len(p.spaced()) == len(p.x.ticks) }

// spaced returns the ticks below the plot whose labels do not touch the one before.
func (p *plot) spaced() (kept []tick) {
	free := 0.0
	for _, t := range p.x.ticks {
		half := tickFont.width(t.label) / 2
		if x := p.across(t.at); x-half >= free {
			kept, free = append(kept, t), x+half+tickGap
		}
	}
	return kept
}

func (p *plot) px(v float64) float64 {
	at, _ := p.x.at(v)
	return p.across(at)
}

func (p *plot) py(v float64) float64 {
	at, _ := p.y.at(v)
	return p.up(at)
}

// across and up place what lies between 0 and 1 on an axis.
func (p *plot) across(at float64) float64 { return p.left + at*(p.right-p.left) }
func (p *plot) up(at float64) float64     { return p.bottom - at*(p.bottom-p.top) }
