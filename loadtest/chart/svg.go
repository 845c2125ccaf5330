package chart

import "bytes"

// A Chart is one of Lines, Bars and Sheet.
type Chart interface {
	// about returns what a reader who cannot see the picture is told.
	about() (title, description string)
	// draw draws below (0, 0), no wider than width, and returns the height it took.
	draw(c *canvas, width float64) float64
}

// SVG returns a chart as a file of its own, drawn for width pixels.
func SVG(chart Chart, width float64) []byte {
	return picture(chart, width, "chart", true)
}

// Inline returns a chart as an element of an HTML page that contains Style and gives the element a CSS class.
func Inline(chart Chart, width float64, class string) []byte {
	return picture(chart, width, "chart "+class, false)
}

func picture(chart Chart, width float64, class string, alone bool) []byte {
	var body canvas
	height := chart.draw(&body, width)
	var c canvas
	attrs := []any{"class", class, "viewBox", "0 0 " + number(width) + " " + number(height), "role", "img"}
	if alone {
		attrs = append([]any{"xmlns", "http://www.w3.org/2000/svg", "width", width, "height", height}, attrs...)
	}
	c.open("svg", attrs...)
	title, description := chart.about()
	c.leaf("title", title)
	c.leaf("desc", description)
	if alone {
		c.WriteString("<style>" + Style() + "</style>\n") // no letter of which needs escaping
	}
	c.Write(body.Bytes())
	c.close("svg")
	return bytes.Clone(c.Bytes())
}
