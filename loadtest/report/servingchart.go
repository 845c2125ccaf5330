package report

import (
	"fmt"
	"strings"

	"github.com/keepsight/keepsight/loadtest/chart"
	"github.com/keepsight/keepsight/loadtest/serving"
)

// readmeWidth is what ServingChart is drawn for, in pixels: on a page of 800 its text of 12 is still 10.
const readmeWidth = 960

// ServingChart returns the picture of a serving result as an SVG that stands alone: bytes on GPUs over time, and
// beside it encoder runs and the time to first token, for every policy.
func ServingChart(s *serving.Result) []byte {
	return chart.SVG(servingSheet(s), readmeWidth)
}

func servingSheet(s *serving.Result) chart.Sheet {
	return chart.Sheet{
		Title:    servingTitle(s),
		Subtitle: servingSubtitle(s),
		Columns: []chart.Column{
			{Share: 1.5, Charts: []chart.Chart{residencyChart(s)}},
			{Share: 1, Charts: []chart.Chart{encodeChart(s), firstTokenChart(s)}},
		},
	}
}

// policyHue gives a policy its hue.
func policyHue(policy serving.Policy) int {
	switch policy {
	case serving.KeepOnGPU:
		return chart.Vermilion
	case serving.MoveToHost:
		return chart.Orange
	}
	return chart.Blue
}

// almostNothing is the share of the peak of KeepOnGPU below which the title says so.
const almostNothing = 0.1

// servingTitle says what is to be seen at a glance, as far as the numbers bear it out.
func servingTitle(s *serving.Result) string {
	ours, kept := s.Run(serving.Keepsight), s.Run(serving.KeepOnGPU)
	var claims []string
	if ours != nil && kept != nil && float64(ours.PeakGPUBytes) < almostNothing*float64(kept.PeakGPUBytes) {
		claims = append(claims, "holds almost nothing on the GPU through decode")
	}
	if ours != nil && ours.Encodes == s.Distinct {
		claims = append(claims, "encodes each image once")
	}
	if len(claims) == 0 {
		return "Embeddings on the GPU, encoder runs and time to first token"
	}
	return "keepsight " + strings.Join(claims, " and ")
}

func servingSubtitle(s *serving.Result) string {
	var peaks []string
	for _, r := range s.Policies {
		peaks = append(peaks, chart.Bytes.Format(float64(r.PeakGPUBytes))+" "+string(r.Policy))
	}
	return fmt.Sprintf("Embeddings on GPUs at peak: %s. %s.", strings.Join(peaks, ", "), workload(s))
}

func residencyChart(s *serving.Result) chart.Lines {
	lines := chart.Lines{
		Title: "Embeddings on GPUs", Height: 330, Filled: true,
		X: chart.Axis{Unit: chart.Seconds, Name: "time since the first request"},
		Y: chart.Axis{Unit: chart.Bytes},
	}
	for _, r := range s.Policies {
		series := chart.Series{Name: string(r.Policy), Hue: policyHue(r.Policy), Step: true}
		for _, at := range r.Residency {
			series.Points = append(series.Points, chart.Point{X: at.Seconds, Y: float64(at.Bytes)})
		}
		lines.Series = append(lines.Series, series)
	}
	return lines
}

func encodeChart(s *serving.Result) chart.Bars {
	bars := chart.Bars{Title: "Encoder runs and their GPU time", Unit: chart.Count, Groups: []chart.Group{{}}}
	for _, r := range s.Policies {
		bars.Groups[0].Bars = append(bars.Groups[0].Bars, chart.Bar{
			Name: string(r.Policy), Hue: policyHue(r.Policy), Values: []float64{float64(r.Encodes)},
			Label: chart.Count.Format(float64(r.Encodes)) + " · " + chart.Seconds.Format(r.EncoderSeconds),
		})
	}
	return bars
}

// visible is the share of the longest bar below which a part cannot be seen, and is left to the table.
const visible = 0.004

func firstTokenChart(s *serving.Result) chart.Bars {
	bars := chart.Bars{Title: "Mean time to first token", Unit: chart.Seconds, Groups: []chart.Group{{}}}
	parts := visibleParts(s)
	for _, part := range parts {
		bars.Parts = append(bars.Parts, chart.Part{Name: part.name, Hue: part.hue})
	}
	for _, r := range s.Policies {
		bar := chart.Bar{Name: string(r.Policy), Label: chart.Seconds.Format(r.FirstToken.Total())}
		for _, part := range parts {
			bar.Values = append(bar.Values, part.of(r.FirstToken))
		}
		bars.Groups[0].Bars = append(bars.Groups[0].Bars, bar)
	}
	return bars
}

func visibleParts(s *serving.Result) (parts []part) {
	var longest float64
	for _, r := range s.Policies {
		longest = max(longest, r.FirstToken.Total())
	}
	for _, part := range firstTokenParts() {
		var most float64
		for _, r := range s.Policies {
			most = max(most, part.of(r.FirstToken))
		}
		if most > visible*longest {
			parts = append(parts, part)
		}
	}
	return parts
}
