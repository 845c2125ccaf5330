package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
)

// A canvas collects the elements of a picture. It alone writes markup, and escapes every text and attribute.
type canvas struct{ bytes.Buffer }

// open begins an element; attributes are pairs of a name and a string or float64.
func (c *canvas) open(name string, attrs ...any) {
	c.begin(name, attrs)
	c.WriteString(">")
}

func (c *canvas) close(name string) { c.WriteString("</" + name + ">\n") }

// empty writes an element without content.
func (c *canvas) empty(name string, attrs ...any) {
	c.begin(name, attrs)
	c.WriteString("/>\n")
}

// leaf writes an element that holds only text.
func (c *canvas) leaf(name, content string, attrs ...any) {
	c.open(name, attrs...)
	c.escape(content)
	c.close(name)
}

// text writes one line of text whose baseline starts, ends or is centred at (x, y), as anchor says.
func (c *canvas) text(f font, x, y float64, anchor, content string) {
	attrs := []any{"class", f.class, "x", x, "y", y}
	if anchor != start {
		attrs = append(attrs, "text-anchor", anchor)
	}
	c.leaf("text", content, attrs...)
}

// tip writes a text that was cut to fit, with its full form as a tooltip.
func (c *canvas) tip(f font, x, y float64, anchor, full string, room float64) {
	cut := f.cut(full, room)
	if cut == full {
		c.text(f, x, y, anchor, full)
		return
	}
	c.open("g")
	c.leaf("title", full)
	c.text(f, x, y, anchor, cut)
	c.close("g")
}

// The anchors of a text.
const (
	start  = "start"
	middle = "middle"
	end    = "end"
)

func (c *canvas) begin(name string, attrs []any) {
	c.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		c.WriteString(" " + attrs[i].(string) + `="`)
		switch value := attrs[i+1].(type) {
		case float64:
			c.WriteString(number(value))
		default:
			c.escape(fmt.Sprint(value))
		}
		c.WriteString(`"`)
	}
}

func (c *canvas) escape(s string) {
	_ = xml.EscapeText(c, []byte(s)) // a Buffer takes everything
}

// number writes a coordinate: a tenth of a pixel is finer than screens are.
func number(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	if n := len(s) - 2; s[n:] == ".0" {
		s = s[:n]
	}
	if s == "-0" {
		return "0"
	}
	return s
}
