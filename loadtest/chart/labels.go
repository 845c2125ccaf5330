package chart

import (
	"cmp"
	"slices"
)

// An entry is the name of a series or part with its hue.
type entry struct {
	name string
	hue  int
	line bool // drawn as a line with its dashes, else as a box
}

func (l Lines) entries() (entries []entry) {
	for _, s := range l.Series {
		entries = append(entries, entry{s.Name, s.Hue, !l.Filled})
	}
	return entries
}

// The distances of a legend, in pixels.
const (
	sampleWidth = 22
	sampleGap   = 7
	legendGap   = 14
	leader      = 16 // from the end of a line to its name
)

// legend writes entries in rows below y, and returns the bottom of the last.
func legend(c *canvas, entries []entry, y, width float64) float64 {
	x := 0.0
	for i, e := range entries {
		sample := 11.0
		if e.line {
			sample = sampleWidth
		}
		name := min(nameFont.width(e.name), width-sample-sampleGap)
		if i == 0 || x+sample+sampleGap+name > width {
			x, y = 0, y+nameFont.line+1
		}
		if e.line {
			c.empty("path", "class", "sample line "+hueClass(e.hue), "d", trace([]xy{{x, y - 4}, {x + sample, y - 4}}))
		} else {
			c.empty("rect", "class", "bar "+hueClass(e.hue), "x", x, "y", y-10, "width", sample, "height", sample, "rx", 2.0)
		}
		c.tip(nameFont, x+sample+sampleGap, y, start, e.name, name+0.01)
		x += sample + sampleGap + name + legendGap
	}
	return y + 4
}

// endWidth returns the room that names need where the lines end, or 0 when they belong in a legend: names are
// long, lines are too many for the height, or one ends well before the right edge.
func (p *plot) endWidth(width, height float64) float64 {
	var widest, last float64
	for _, s := range p.series {
		if len(s.Points) == 0 {
			return 0
		}
		widest = max(widest, nameFont.width(s.Name))
		last = max(last, s.Points[len(s.Points)-1].X)
	}
	short := slices.ContainsFunc(p.series, func(s Series) bool { return s.Points[len(s.Points)-1].X < 0.95*last })
	room := widest + leader + 4
	if len(p.series) < 2 || short || room > 0.3*width || float64(len(p.series))*nameFont.line > height {
		return 0
	}
	return room
}

// endLabels writes the name of each series where it ends, moved apart where lines end together.
func endLabels(c *canvas, p *plot) {
	type ending struct {
		Series
		from xy
		y    float64
	}
	var endings []ending
	for _, s := range p.series {
		last := s.Points[len(s.Points)-1]
		from := xy{p.px(last.X), p.py(last.Y)}
		endings = append(endings, ending{s, from, from.y})
	}
	slices.SortStableFunc(endings, func(a, b ending) int { return cmp.Compare(a.y, b.y) })
	half := nameFont.line / 2
	floor := p.top + half
	for i := range endings {
		endings[i].y = max(endings[i].y, floor)
		floor = endings[i].y + nameFont.line
	}
	ceiling := p.bottom - half
	for i := len(endings) - 1; i >= 0; i-- {
		endings[i].y = min(endings[i].y, ceiling)
		ceiling = endings[i].y - nameFont.line
	}
	for _, e := range endings {
		c.empty("path", "class", "leader "+hueClass(e.Hue), "d",
			trace([]xy{e.from, {p.right + 3, e.from.y}, {p.right + leader - 5, e.y}, {p.right + leader - 3, e.y}}))
		c.text(nameFont, p.right+leader, e.y+nameFont.size*0.35, start, e.Name)
	}
}
