package chart

import (
	"strings"
	"unicode"
)

// A font is one style of text.
type font struct {
	class string // in Style
	size  float64
	bold  bool
	line  float64 // from one baseline to the next
}

// The fonts of all pictures.
var (
	sheetFont    = font{class: "sheet", size: 20, bold: true, line: 27}
	titleFont    = font{class: "title", size: 15, bold: true, line: 20}
	subtitleFont = font{class: "subtitle", size: 13, line: 18}
	groupFont    = font{class: "group", size: 12.5, bold: true, line: 18}
	nameFont     = font{class: "name", size: 12.5, line: 18}
	tickFont     = font{class: "tick", size: 12, line: 17}
)

const ellipsis = "…"

// width returns at most how wide a line of text is.
func (f font) width(s string) float64 {
	var em float64
	for _, r := range s {
		em += advance(r)
	}
	if f.bold {
		em *= 1.13
	}
	return em * f.size
}

// advance is the width of a letter in DejaVu Sans, the widest font that readers commonly get, in parts of its
// size and rounded up to the widest letter of its kind. All of ASCII was measured in Chromium; the bold letters
// that are wider by more than width adds are rounded up further.
func advance(r rune) float64 {
	switch {
	case r < ' ' || r == unicode.ReplacementChar:
		return 1.3 // the canvas writes what XML does not take as a replacement character
	case strings.ContainsRune("ijl", r):
		return 0.31
	case strings.ContainsRune(" .,:;|'/·I", r):
		return 0.36
	case strings.ContainsRune("ftr()[]-!\"", r):
		return 0.47
	case strings.ContainsRune("acekosvxyz", r):
		return 0.62
	case strings.ContainsRune("mwMW@%…—", r):
		return 1
	case r >= 'A' && r <= 'Z', strings.ContainsRune("#&+<=>^~", r):
		return 0.84
	case r < 0x80 || unicode.IsLower(r):
		return 0.65
	case r < 0x1100:
		return 0.9
	default:
		return 1.3 // ideographs, emoji
	}
}

// cut returns s, or as much of its beginning as fits into the room, with an ellipsis.
func (f font) cut(s string, room float64) string {
	if f.width(s) <= room {
		return s
	}
	fit := ""
	for i := range s {
		if f.width(s[:i]+ellipsis) > room {
			break
		}
		fit = s[:i]
	}
	return strings.TrimRight(fit, " ,.;:") + ellipsis
}

// wrap breaks s between words into lines that fit the room; a word that does not is cut.
func (f font) wrap(s string, room float64) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && f.width(longer) > room {
			lines, longer = append(lines, line), word
		}
		line = f.cut(longer, room)
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// balance wraps s into as few lines as wrap does, but about equally long ones.
func (f font) balance(s string, room float64) []string {
	lines := f.wrap(s, room)
	for narrower := room - f.size; narrower > 0; narrower -= f.size {
		tried := f.wrap(s, narrower)
		if len(tried) != len(lines) || strings.Join(tried, " ") != strings.Join(lines, " ") {
			break
		}
		lines = tried
	}
	return lines
}

// write writes lines below y, and returns the bottom of the last.
func (f font) write(c *canvas, lines []string, y float64) float64 {
	for _, line := range lines {
		y += f.line
		c.text(f, 0, y-f.line*0.28, start, line)
	}
	return y
}

// header writes a title and what it says about the data, and returns the bottom.
func header(c *canvas, f font, title, subtitle string, width float64) float64 {
	y := f.write(c, f.balance(title, width), 0)
	if subtitle != "" {
		y = subtitleFont.write(c, subtitleFont.wrap(subtitle, width), y+2)
	}
	return y
}
