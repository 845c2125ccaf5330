package chart

import (
	"fmt"
	"strings"
)

// A hue is one colour of the palette.
type hue struct {
	light, dark string
	dash        string // of a line
}

// palette is that of Okabe and Ito ("Color Universal Design", 2008), with grey for its black and yellow, which
// would vanish on one of the backgrounds. The dark column is lifted to a contrast of at least 4.5 on #0d1117.
var palette = [...]hue{
	Blue:      {light: "#0072b2", dark: "#4fa3e0"},
	Sky:       {light: "#56b4e9", dark: "#a5dcff", dash: "7 3"},
	Vermilion: {light: "#d55e00", dark: "#ff8547", dash: "2 3"},
	Orange:    {light: "#e69f00", dark: "#f7bf4d", dash: "9 3 2 3"},
	Green:     {light: "#009e73", dark: "#35c79b", dash: "13 4"},
	Purple:    {light: "#cc79a7", dark: "#e6a3c8", dash: "4 2"},
	Grey:      {light: "#8c959f", dark: "#8b949e", dash: "1 2"},
}

// The hues. Others wrap around, so that any number of series gets one each.
const (
	Blue = iota
	Sky
	Vermilion
	Orange
	Green
	Purple
	Grey
)

// Hues is how many there are.
const Hues = len(palette)

func hueClass(n int) string { return fmt.Sprintf("h%d", wrapHue(n)) }

func wrapHue(n int) int { return (n%Hues + Hues) % Hues }

const baseStyle = `
.chart text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--chart-ink); font-variant-numeric: tabular-nums; }
.chart .subtitle, .chart .tick { fill: var(--chart-dim); }
.chart .plot { fill: none; }
.chart .grid { stroke: var(--chart-grid); stroke-width: 1; }
.chart .base { stroke: var(--chart-axis); stroke-width: 1; }
.chart .limit { stroke: var(--chart-ink); stroke-width: 1.2; stroke-dasharray: 5 4; }
.chart .bar { fill: var(--hue); }
.chart .area { fill: var(--hue); opacity: .1; }
.chart .line { fill: none; stroke: var(--hue); stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: butt; }
.chart .leader { fill: none; stroke: var(--hue); stroke-width: 1.2; }
.chart .dot { fill: var(--hue); }
.chart .slot { fill: var(--chart-ink); fill-opacity: 0; }
.chart .slot:hover { fill-opacity: .07; }
`

// Style returns the stylesheet of every picture. All its selectors begin with the class chart.
func Style() string {
	var s strings.Builder
	s.WriteString("\n.chart { --chart-ink: #1f2328; --chart-dim: #59636e; --chart-grid: #e3e7eb; --chart-axis: #8c959f; }")
	s.WriteString(strings.TrimSuffix(baseStyle, "\n"))
	for _, f := range []font{sheetFont, titleFont, subtitleFont, groupFont, nameFont, tickFont} {
		weight := 400
		if f.bold {
			weight = 600
		}
		fmt.Fprintf(&s, "\n.chart .%s { font-size: %spx; font-weight: %d; }", f.class, number(f.size), weight)
	}
	for n, h := range palette {
		fmt.Fprintf(&s, "\n.chart .h%d { --hue: %s; }", n, h.light)
		if h.dash != "" {
			fmt.Fprintf(&s, " .chart .line.h%d:not(.solid) { stroke-dasharray: %s; }", n, h.dash)
		}
	}
	s.WriteString("\n@media (prefers-color-scheme: dark) {")
	s.WriteString("\n.chart { --chart-ink: #e6edf3; --chart-dim: #9198a1; --chart-grid: #2a313a; --chart-axis: #6e7681; }")
	for n, h := range palette {
		fmt.Fprintf(&s, "\n.chart .h%d { --hue: %s; }", n, h.dark)
	}
	s.WriteString("\n}\n")
	return s.String()
}
