package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A box is where something lies in a picture.
type box struct {
	what                     string
	left, right, top, bottom float64
}

// A drawn is what a reader of an SVG finds in it.
type drawn struct {
	size   box
	plots  []box
	texts  []box  // with the widths that the chart assumes
	bars   []box  // of class bar
	lines  [][]xy // paths of class line; those of a legend begin with another
	labels []string
	tips   []string
}

// A fataler is a testing.T or a rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// parse reads a picture back, and fails where it is not well-formed.
func parse(t fataler, svg []byte) drawn {
	t.Helper()
	var d drawn
	var shift []xy // of the open elements
	var element xml.StartElement
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	at := xy{}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return d
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			shift = append(shift, at)
			if by := attr(token, "transform"); by != "" {
				var dx, dy float64
				fmt.Sscanf(by, "translate(%g %g)", &dx, &dy)
				at = xy{at.x + dx, at.y + dy}
			}
			element = token.Copy()
			d.element(token, at)
		case xml.EndElement:
			at, shift = shift[len(shift)-1], shift[:len(shift)-1]
			element = xml.StartElement{}
		case xml.CharData:
			d.content(element, string(token), at)
		}
	}
}

func (d *drawn) element(e xml.StartElement, at xy) {
	class := attr(e, "class")
	place := func() box {
		x, y := coordinate(e, "x")+at.x, coordinate(e, "y")+at.y
		return box{class, x, x + coordinate(e, "width"), y, y + coordinate(e, "height")}
	}
	switch {
	case e.Name.Local == "svg":
		fields := strings.Fields(attr(e, "viewBox"))
		width, _ := strconv.ParseFloat(fields[2], 64)
		height, _ := strconv.ParseFloat(fields[3], 64)
		d.size = box{"svg", 0, width, 0, height}
	case class == "plot":
		d.plots = append(d.plots, place())
	case strings.HasPrefix(class, "bar "):
		d.bars = append(d.bars, place())
	case strings.HasPrefix(class, "line "):
		d.lines = append(d.lines, pathOf(attr(e, "d"), at))
	}
}

func (d *drawn) content(e xml.StartElement, text string, at xy) {
	switch e.Name.Local {
	case "title":
		d.tips = append(d.tips, text)
	case "text":
		f := fontOf(attr(e, "class"))
		x, y, wide := coordinate(e, "x")+at.x, coordinate(e, "y")+at.y, f.width(text)
		switch attr(e, "text-anchor") {
		case middle:
			x -= wide / 2
		case end:
			x -= wide
		}
		d.labels = append(d.labels, text)
		d.texts = append(d.texts, box{text, x, x + wide, y - f.size*0.93, y + f.size*0.24})
	}
}

func fontOf(class string) font {
	for _, f := range []font{sheetFont, titleFont, subtitleFont, groupFont, nameFont, tickFont} {
		if f.class == class {
			return f
		}
	}
	panic("no font " + class)
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func coordinate(e xml.StartElement, name string) float64 {
	v, err := strconv.ParseFloat(attr(e, name), 64)
	if attr(e, name) == "" {
		return 0
	}
	if err != nil {
		return math.NaN()
	}
	return v
}

var corner = regexp.MustCompile(`[ML](\S+) ([^MLZ]+)`)

func pathOf(d string, at xy) (line []xy) {
	for _, match := range corner.FindAllStringSubmatch(d, -1) {
		x, errX := strconv.ParseFloat(match[1], 64)
		y, errY := strconv.ParseFloat(match[2], 64)
		if errX != nil || errY != nil {
			x = math.NaN()
		}
		line = append(line, xy{x + at.x, y + at.y})
	}
	return line
}

// wantTidy checks what holds for every picture: texts keep apart and inside, lines and bars are inside and finite.
func wantTidy(t fataler, svg []byte) drawn {
	t.Helper()
	d := parse(t, svg)
	for i, a := range d.texts {
		if !a.within(d.size, 0.1) {
			t.Fatalf("%q leaves the picture: %+v of %+v", a.what, a, d.size)
		}
		for _, b := range d.texts[i+1:] {
			if a.right > b.left && b.right > a.left && a.bottom > b.top && b.bottom > a.top {
				t.Fatalf("%q at %+v covers %q at %+v\n%s", a.what, a, b.what, b, svg)
			}
		}
	}
	for _, line := range d.lines {
		if !inside(line, d.plots) {
			t.Fatalf("a line leaves its plot %+v: %v", d.plots, line)
		}
	}
	for _, bar := range d.bars {
		if !bar.within(d.size, 0.1) {
			t.Fatalf("a bar leaves the picture: %+v of %+v", bar, d.size)
		}
	}
	return d
}

// within is false for what is not finite.
func (b box) within(outer box, slack float64) bool {
	return b.left >= outer.left-slack && b.right <= outer.right+slack && b.top >= outer.top-slack && b.bottom <= outer.bottom+slack
}

func inside(line []xy, plots []box) bool {
	for _, plot := range plots {
		all := true
		for _, at := range line {
			all = all && (box{"", at.x, at.x, at.y, at.y}).within(plot, 0.2)
		}
		if all {
			return true
		}
	}
	return false
}
