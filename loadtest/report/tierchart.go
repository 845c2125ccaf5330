package report

import (
	"maps"
	"slices"

	"github.com/keepsight/keepsight/loadtest/chart"
)

// tiers is where reads found their embedding, for the targets that say; without any, the chart has no groups.
func (r round) tiers() chart.Bars {
	bars := chart.Bars{Title: "Where reads found their embedding", Unit: chart.Percent}
	names := r.tierNames()
	hues := []int{chart.Green, chart.Blue, chart.Orange, chart.Purple}
	for i, name := range names {
		bars.Parts = append(bars.Parts, chart.Part{Name: name, Hue: hues[i%len(hues)]})
	}
	bars.Parts = append(bars.Parts, chart.Part{Name: "nowhere", Hue: chart.Grey})
	var group chart.Group
	for _, result := range r.results {
		hits, reads := result.Hits()
		if len(result.Tiers) == 0 || reads == 0 {
			continue
		}
		share := func(n int64) float64 { return 100 * float64(n) / float64(reads) }
		bar := chart.Bar{Name: result.Target, Label: chart.Percent.Format(share(hits)) + " hits"}
		for _, name := range names {
			bar.Values = append(bar.Values, share(result.Tiers[name]))
		}
		bar.Values = append(bar.Values, share(reads-hits))
		group.Bars = append(group.Bars, bar)
	}
	if len(group.Bars) > 0 {
		bars.Groups = []chart.Group{group}
	}
	return bars
}

// tierNames are the tiers that any target names: host memory first, as it is asked first.
func (r round) tierNames() []string {
	names := make(map[string]bool)
	for _, result := range r.results {
		for name := range result.Tiers {
			names[name] = true
		}
	}
	const host = "host"
	order := slices.Sorted(maps.Keys(names))
	if at := slices.Index(order, host); at > 0 {
		order = slices.Insert(slices.Delete(order, at, at+1), 0, host)
	}
	return order
}
