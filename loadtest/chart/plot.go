package chart

import (
	"cmp"
	"slices"
)

// grid draws the background of a plot: its area, one line for each tick of Y, and the ticks of both sides.
func (p *plot) grid(c *canvas) {
	c.empty("rect", "class", "plot", "x", p.left, "y", p.top, "width", p.right-p.left, "height", p.bottom-p.top)
	for i, t := range p.y.ticks {
		class, y := "grid", p.up(t.at)
		if i == 0 {
			class = "base"
		}
		c.empty("line", "class", class, "x1", p.left, "x2", p.right, "y1", y, "y2", y)
		c.tip(tickFont, p.left-tickGap, y+tickFont.size*0.35, end, t.label, p.left-tickGap)
	}
	for _, t := range p.spaced() {
		x := p.across(t.at)
		c.empty("line", "class", "base", "x1", x, "x2", x, "y1", p.bottom, "y2", p.bottom+4)
		c.text(tickFont, x, p.bottom+20, middle, t.label)
	}
}

// limit draws a line across the plot with its name on top, where there is room above, else below.
func (p *plot) limit(c *canvas, l Limit) {
	if l.Value == 0 || !p.y.Scale.places(l.Value) {
		return
	}
	y := p.py(l.Value)
	c.empty("line", "class", "limit", "x1", p.left, "x2", p.right, "y1", y, "y2", y)
	baseline := y - 5
	if y-tickFont.line < p.top {
		baseline = y + tickFont.size + 3
	}
	c.tip(tickFont, p.left+6, baseline, start, l.Name, p.right-p.left-6)
}

// maxSlots bounds how many strips of a plot have a tooltip: at 40, a strip of a usual plot is as wide as a finger.
const maxSlots = 40

// slots lays transparent strips over the plot, whose tooltips give the values of all series there.
func (p *plot) slots(c *canvas) {
	xs := p.slotValues()
	for i, x := range xs {
		left, right := p.left, p.right
		if i > 0 {
			left = (p.px(xs[i-1]) + p.px(x)) / 2
		}
		if i+1 < len(xs) {
			right = (p.px(x) + p.px(xs[i+1])) / 2
		}
		c.open("rect", "class", "slot", "x", left, "y", p.top, "width", right-left, "height", p.bottom-p.top)
		c.leaf("title", p.describe(x))
		c.close("rect")
	}
}

// slotValues returns the values of X that have a tooltip: all of them, or as many evenly spread as there may be.
func (p *plot) slotValues() []float64 {
	var xs []float64
	for _, s := range p.series {
		for _, at := range s.Points {
			xs = append(xs, at.X)
		}
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)
	if len(xs) <= maxSlots {
		return xs
	}
	spread := make([]float64, 0, maxSlots)
	for i := range maxSlots {
		spread = append(spread, xs[i*(len(xs)-1)/(maxSlots-1)])
	}
	return spread
}

// describe tells what each series is at x: what it was last, or for lines without steps, the nearest point.
func (p *plot) describe(x float64) string {
	text := p.x.format(x)
	for _, s := range p.series {
		if at, ok := s.near(x); ok {
			text += "\n" + s.Name + ": " + p.y.Unit.Format(at.Y)
		}
	}
	return text
}

func (s Series) near(x float64) (Point, bool) {
	i, exact := slices.BinarySearchFunc(s.Points, x, func(at Point, x float64) int { return cmp.Compare(at.X, x) })
	switch {
	case len(s.Points) == 0 || i == 0 && s.Step && !exact:
		return Point{}, false
	case i == len(s.Points), !exact && i > 0 && (s.Step || x-s.Points[i-1].X < s.Points[i].X-x):
		i--
	}
	return s.Points[i], true
}
