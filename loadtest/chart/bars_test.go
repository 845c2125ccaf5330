package chart

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// However odd the values, their names and the width, bars are tidy and there is one for each value.
func TestBarsAreTidy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bars, values := drawBars(t)
		d := wantTidy(t, SVG(bars, rapid.SampledFrom([]float64{300, 360, 560, 900}).Draw(t, "width")))
		if got := len(d.bars) - len(bars.Parts); got != values {
			t.Fatalf("%d bars for %d values", got, values)
		}
	})
}

func drawBars(t *rapid.T) (bars Bars, values int) {
	value := rapid.OneOf(rapid.Float64Range(0, 100), rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1)}))
	bars = Bars{Title: drawName(t), Subtitle: drawName(t), Unit: drawUnit(t)}
	parts := rapid.IntRange(0, 6).Draw(t, "parts")
	for n := range parts {
		bars.Parts = append(bars.Parts, Part{drawName(t), n})
	}
	for range rapid.IntRange(0, 4).Draw(t, "groups") {
		group := Group{Name: drawName(t)}
		for range rapid.IntRange(0, 5).Draw(t, "bars") {
			bar := Bar{Name: drawName(t), Hue: 1, Label: drawName(t)}
			if rapid.Bool().Draw(t, "measured") {
				bar.Values = rapid.SliceOfN(value, max(1, parts), max(1, parts)).Draw(t, "values")
			}
			values += len(bar.Values)
			group.Bars = append(group.Bars, bar)
		}
		bars.Groups = append(bars.Groups, group)
	}
	if rapid.Bool().Draw(t, "limited") {
		bars.Limit = Limit{drawName(t), value.Draw(t, "limit")}
	}
	return bars, values
}

// The length of a bar is its value: twice as much is twice as long.
func TestLengths(t *testing.T) {
	bars := Bars{Title: "lengths", Groups: []Group{{Bars: []Bar{
		{Name: "one", Values: []float64{1}}, {Name: "two", Values: []float64{2}}, {Name: "none"},
	}}}}
	svg := SVG(bars, 500)
	d := wantTidy(t, svg)
	one, two := d.bars[0], d.bars[1]
	if math.Abs(2*(one.right-one.left)-(two.right-two.left)) > 0.3 {
		t.Errorf("bars of 1 and 2 are %v and %v long", one.right-one.left, two.right-two.left)
	}
	if !bytes.Contains(svg, []byte("not measured")) {
		t.Error("a bar without values is not said to be not measured")
	}
}

// The parts of a stacked bar follow each other and end where their sum does.
func TestStack(t *testing.T) {
	bars := Bars{Title: "stack", Parts: []Part{{"a", 0}, {"b", 1}}, Groups: []Group{{Bars: []Bar{
		{Name: "parts", Values: []float64{1, 3}}, {Name: "sum", Values: []float64{4, 0}},
	}}}}
	d := wantTidy(t, SVG(bars, 500))
	drawn := d.bars[2:] // behind the legend
	if drawn[0].right != drawn[1].left || math.Abs(drawn[1].right-drawn[2].right) > 0.1 {
		t.Errorf("parts lie at %+v", drawn)
	}
}

// A limit widens the chart, so that it is seen how far bars are from it.
func TestLimitOfBars(t *testing.T) {
	bars := Bars{Title: "limit", Limit: Limit{"raw", 10}, Groups: []Group{{Bars: []Bar{{Name: "half", Values: []float64{5}}}}}}
	svg := SVG(bars, 500)
	wantTidy(t, svg)
	if !strings.Contains(string(svg), `class="limit"`) || !strings.Contains(string(svg), ">raw<") {
		t.Errorf("no limit in\n%s", svg)
	}
}

func TestSheetIsTidy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bars, _ := drawBars(t)
		sheet := Sheet{Title: drawName(t), Subtitle: drawName(t), Columns: []Column{
			{Share: 2, Charts: []Chart{drawLines(t)}}, {Share: 1, Charts: []Chart{bars, drawLines(t)}},
		}}
		wantTidy(t, SVG(sheet, rapid.SampledFrom([]float64{300, 360, 800, 1200}).Draw(t, "width")))
	})
}
