package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/keepsight/keepsight/loadtest/chart"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// A view is what the page shows.
type view struct {
	Report
	Style    template.CSS
	Where    string // the facts in brief
	Facts    []fact
	Tiles    []tile
	Sections []section
}

// A section is one part of the load test: pictures, and under them the exact numbers.
type section struct {
	Title   string
	Lead    string
	Figures []figure
	Tables  []table
}

// A figure is one chart, drawn for several widths of screen; the page shows one of its drawings.
type figure struct {
	Full     bool // as wide as the page
	Drawings []template.HTML
}

// The widths that charts are drawn for, in pixels: of the page's content at its widest, of half of it, and of a
// telephone.
const (
	wide   = 1110
	medium = 530
	narrow = 332
)

// WriteHTML writes a report as one page that needs nothing else.
func WriteHTML(w io.Writer, r Report) error {
	v := view{
		Report: r, Style: template.CSS(chart.Style()), Where: r.where(), Facts: r.facts(),
		Tiles: r.tiles(), Sections: r.sections(),
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write report as HTML: %w", err)
	}
	return nil
}

// sections leave out what was not run.
func (r Report) sections() (sections []section) {
	hues := r.hues()
	if tables := servingTables(r.Serving); len(tables) > 0 {
		sections = append(sections, section{
			Title:   "Serving",
			Lead:    "The same requests under three policies of where an embedding is kept. Engines are simulated, the service is real.",
			Figures: []figure{newFigure(servingSheet(r.Serving), true)},
			Tables:  tables,
		})
	}
	if tables := compareTables(r.Compare); len(tables) > 0 {
		sections = append(sections, section{
			Title:   "Compared",
			Lead:    "The same traffic to every server, in turn.",
			Figures: figures(compareCharts(r.Compare, hues)),
			Tables:  tables,
		})
	}
	for _, round := range rounds(r.Results) {
		sections = append(sections, section{Title: round.title, Figures: figures(round.charts(hues)), Tables: []table{round.table()}})
	}
	return sections
}

func figures(charts []chart.Chart) (all []figure) {
	for _, c := range charts {
		all = append(all, newFigure(c, false))
	}
	return all
}

func newFigure(c chart.Chart, full bool) figure {
	drawn := func(width float64, class string) template.HTML {
		return template.HTML(chart.Inline(c, width, class)) // which has escaped all text
	}
	f := figure{Full: full, Drawings: []template.HTML{drawn(medium, "medium"), drawn(narrow, "narrow")}}
	if full {
		f.Drawings = append(f.Drawings, drawn(wide, "wide"))
	}
	return f
}
