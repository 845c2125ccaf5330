package chart

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// However odd the series, their names and the width, a plot is tidy and shows every series that has a value.
func TestLinesAreTidy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		d := wantTidy(t, SVG(lines, rapid.SampledFrom([]float64{300, 360, 560, 900}).Draw(t, "width")))
		if len(d.plots) != 1 {
			t.Fatalf("%d plots", len(d.plots))
		}
		longer := 0
		for _, s := range lines.Series {
			if distinct := distinctPoints(s, lines.X.Scale, lines.Y.Scale); distinct > 1 {
				longer++
			}
		}
		if len(d.lines) != longer {
			t.Fatalf("%d lines for %d series with more than one point", len(d.lines), longer)
		}
	})
}

func drawLines(t *rapid.T) Lines {
	values := rapid.OneOf(rapid.Float64Range(-10, 1000), rapid.Float64Range(0, 1e-4), rapid.Float64(),
		rapid.SampledFrom([]float64{0, 1, 99, 99.99, math.NaN(), math.Inf(1)}))
	point := rapid.Custom(func(t *rapid.T) Point { return Point{values.Draw(t, "x"), values.Draw(t, "y")} })
	series := rapid.Custom(func(t *rapid.T) Series {
		return Series{
			Name: drawName(t), Hue: rapid.IntRange(-1, 12).Draw(t, "hue"), Step: rapid.Bool().Draw(t, "step"),
			Points: rapid.SliceOfN(point, 0, 30).Draw(t, "points"),
		}
	})
	lines := Lines{
		Title: drawName(t), Subtitle: drawName(t), Height: rapid.SampledFrom([]float64{0, 120, 300}).Draw(t, "height"),
		X:      Axis{Name: drawName(t), Unit: drawUnit(t), Scale: rapid.SampledFrom([]Scale{Linear, Log, Nines}).Draw(t, "x scale")},
		Y:      Axis{Name: drawName(t), Unit: drawUnit(t), Scale: rapid.SampledFrom([]Scale{Linear, Log}).Draw(t, "y scale")},
		Series: rapid.SliceOfN(series, 0, 7).Draw(t, "series"), Filled: rapid.Bool().Draw(t, "filled"),
	}
	if rapid.Bool().Draw(t, "limited") {
		lines.Limit = Limit{Name: drawName(t), Value: rapid.Float64Range(0, 2000).Draw(t, "limit")}
	}
	return lines
}

func drawName(t *rapid.T) string {
	return rapid.OneOf(rapid.Just(""), rapid.Just("keepsight unix"), rapid.Just("<script>alert('&')</script>"),
		rapid.Just(strings.Repeat("WWWW ", 30)), rapid.Just(strings.Repeat("m", 80)), rapid.String()).Draw(t, "name")
}

func drawUnit(t *rapid.T) Unit { return Unit(rapid.IntRange(0, int(BinaryBytes)).Draw(t, "unit")) }

func distinctPoints(s Series, x, y Scale) int {
	n := 0
	for _, at := range s.Points {
		if x.places(at.X) && y.places(at.Y) {
			n++
		}
	}
	return n
}

func TestLinesOfFewValues(t *testing.T) {
	for name, test := range map[string]struct {
		points []Point
		want   string
	}{
		"none":         {nil, "no values"},
		"not a number": {[]Point{{math.NaN(), 1}, {1, math.Inf(-1)}}, "no values"},
		"one":          {[]Point{{3, 4}}, "<circle"},
		"constant":     {[]Point{{0, 5}, {1, 5}, {2, 5}}, `class="line h0"`},
		"all zero":     {[]Point{{0, 0}, {1, 0}}, `class="line h0"`},
	} {
		t.Run(name, func(t *testing.T) {
			svg := SVG(Lines{Title: "few", Series: []Series{{Name: "a", Points: test.points}}}, 500)
			wantTidy(t, svg)
			if !bytes.Contains(svg, []byte(test.want)) {
				t.Errorf("no %q in\n%s", test.want, svg)
			}
		})
	}
}

// Lines are named where they end; where that does not fit, in a legend.
func TestNamesOfLines(t *testing.T) {
	apart := func(names ...string) (series []Series) {
		for i, name := range names {
			series = append(series, Series{Name: name, Hue: i, Points: []Point{{0, 1}, {10, float64(i)}}})
		}
		return series
	}
	ends := apart("a", "b")
	ends[0].Points[1].X = 4
	for name, test := range map[string]struct {
		series []Series
		direct bool
	}{
		"fit":               {apart("redis", "nginx"), true},
		"end together":      {[]Series{{Name: "a", Points: []Point{{0, 0}, {1, 1}}}, {Name: "b", Points: []Point{{0, 1}, {1, 1}}}}, true},
		"too long":          {apart("redis", strings.Repeat("nginx", 20)), false},
		"too many":          {apart(strings.Split(strings.Repeat("x", 20), "")...), false},
		"one":               {apart("redis"), false},
		"one ends before":   {ends, false},
		"one has no points": {append(apart("a", "b"), Series{Name: "c"}), false},
	} {
		t.Run(name, func(t *testing.T) {
			svg := SVG(Lines{Title: "names", Series: test.series}, 600)
			wantTidy(t, svg)
			if direct := bytes.Contains(svg, []byte(`class="leader`)); direct != test.direct {
				t.Errorf("named at the ends: %v, want %v", direct, test.direct)
			}
		})
	}
}

// Tooltips give what every series is at that place.
func TestTooltips(t *testing.T) {
	lines := Lines{Title: "tips", X: Axis{Unit: Seconds}, Y: Axis{Unit: Bytes}, Series: []Series{
		{Name: "step", Step: true, Points: []Point{{1, 1e9}, {3, 2e9}}},
		{Name: "slope", Points: []Point{{0, 0}, {2.8, 5e6}}},
	}}
	d := parse(t, SVG(lines, 600))
	for _, want := range []string{
		"0 s\nslope: 0 B",
		"1.00 s\nstep: 1.00 GB\nslope: 0 B",
		"2.80 s\nstep: 1.00 GB\nslope: 5.00 MB",
		"3.00 s\nstep: 2.00 GB\nslope: 5.00 MB",
	} {
		if !contains(d.tips, want) {
			t.Errorf("no tooltip %q among %q", want, d.tips)
		}
	}
}

// A series of many points is reduced to what the pixels can show, and keeps its extremes.
func TestManyPoints(t *testing.T) {
	var points []Point
	for i := range 100_000 {
		points = append(points, Point{float64(i), float64(i % 7)})
	}
	points[50_123].Y = 50
	svg := SVG(Lines{Title: "many", Series: []Series{{Name: "a", Step: true, Points: points}}}, 600)
	d := wantTidy(t, svg)
	if n := len(d.lines[0]); n > 4*600 {
		t.Errorf("%d corners", n)
	}
	top := math.Inf(1)
	for _, at := range d.lines[0] {
		top = min(top, at.y)
	}
	if top > d.plots[0].top+0.5 {
		t.Errorf("the highest point is drawn at %.1f, the top of the plot is %.1f", top, d.plots[0].top)
	}
	if n := strings.Count(string(svg), `class="slot"`); n != maxSlots {
		t.Errorf("%d tooltips, want %d", n, maxSlots)
	}
}

func TestTextIsEscaped(t *testing.T) {
	const evil = "<script>alert(\"1\")</script> & \x00\xff"
	lines := Lines{Title: evil, Subtitle: evil, X: Axis{Name: evil}, Y: Axis{Name: evil}, Limit: Limit{evil, 1},
		Series: []Series{{Name: evil, Points: []Point{{1, 1}, {2, 2}}}, {Name: evil, Points: []Point{{1, 1}, {2, 2}}}}}
	bars := Bars{Title: evil, Subtitle: evil, Parts: []Part{{Name: evil}}, Limit: Limit{evil, 1},
		Groups: []Group{{Name: evil, Bars: []Bar{{Name: evil, Label: evil, Values: []float64{1}}}}}}
	sheet := Sheet{Title: evil, Subtitle: evil, Columns: []Column{{Share: 1, Charts: []Chart{lines, bars}}}}
	for _, width := range []float64{360, 900} {
		svg := SVG(sheet, width)
		wantTidy(t, svg)
		if bytes.Contains(svg, []byte("<script")) {
			t.Errorf("a name is an element:\n%s", svg)
		}
	}
}

// A picture stands alone: the only address in it is the name of its language.
func TestPicturesLoadNothing(t *testing.T) {
	svg := string(SVG(Bars{Title: "bars", Groups: []Group{{Bars: []Bar{{Name: "a", Values: []float64{1}}}}}}, 500))
	rest := strings.Replace(svg, `xmlns="http://www.w3.org/2000/svg"`, "", 1)
	for _, loading := range []string{"http", "url(", "@import", "href", "src="} {
		if strings.Contains(rest, loading) {
			t.Errorf("the picture has %q:\n%s", loading, svg)
		}
	}
	for _, want := range []string{`role="img"`, "<title>bars</title>", "<desc>a: 1</desc>", "prefers-color-scheme: dark"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture has no %s:\n%s", want, svg)
		}
	}
}

func contains(all []string, one string) bool {
	return strings.Contains(fmt.Sprintf("%q", all), fmt.Sprintf("%q", one))
}
