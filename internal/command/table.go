package command

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/internal/bytesize"
)

// writeStatus writes the table of stat. With an earlier status, from elapsed ago, hits and bytes are rates
// of that time, else totals since the service started.
func writeStatus(w io.Writer, now api.Status, before *api.Status, elapsed time.Duration) {
	state := "ready"
	switch {
	case now.Draining:
		state = "draining"
	case !now.Ready:
		state = "not ready"
	}
	uptime := time.Duration(now.UptimeSeconds * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(w, "keepsight %s, up %s, %s\n", now.Version, uptime, state)
	for _, what := range now.Degraded {
		fmt.Fprintf(w, "degraded: %s\n", what)
	}
	fmt.Fprintln(w)

	per := ""
	if before != nil {
		per = "/s"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "tier\thealth\tused\tof\t \tentries\thits%s\tmisses%s\tread%s\tput%s\tevicted\tcorrupt\t\n", per, per, per, per)
	for _, tier := range now.Tiers {
		rate := rates{elapsed: elapsed}
		if before != nil {
			i := slices.IndexFunc(before.Tiers, func(t api.TierStatus) bool { return t.Name == tier.Name })
			if i >= 0 {
				rate.before = &before.Tiers[i]
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t\n", tier.Name, tier.Health,
			bytesize.Format(tier.UsedBytes), bytesize.Format(tier.CapacityBytes), bar(tier.UsedBytes, tier.CapacityBytes), tier.Entries,
			rate.count(tier, func(t api.TierStatus) uint64 { return t.Hits }),
			rate.count(tier, func(t api.TierStatus) uint64 { return t.Misses }),
			rate.bytes(tier, func(t api.TierStatus) uint64 { return t.ReadBytes }),
			rate.bytes(tier, func(t api.TierStatus) uint64 { return t.PutBytes }),
			total(tier.Evictions), tier.Corruptions)
	}
	table.Flush()

	m := now.Memory
	fmt.Fprintf(w, "\nmemory %s resident of %s, %s in flight, %s pinned\n",
		bytesize.Format(m.ResidentBytes), bytesize.Format(m.BudgetBytes), bytesize.Format(m.InflightBytes), bytesize.Format(m.PinnedBytes))
	fmt.Fprintf(w, "%d claims, %d pins, largest object %s, %.1f s of encoding saved\n",
		now.Claims, now.Pins, bytesize.Format(now.Limits.MaxObjectBytes), now.EncodeSecondsSaved)
	for _, tier := range now.Tiers {
		for _, note := range tier.Notes {
			fmt.Fprintf(w, "%s: %s\n", tier.Name, note)
		}
	}
}

// rates turns a growing counter into text: per second since before, or as it is.
type rates struct {
	before  *api.TierStatus
	elapsed time.Duration
}

func (r rates) value(now api.TierStatus, of func(api.TierStatus) uint64) uint64 {
	if r.before == nil || of(*r.before) > of(now) { // the service restarted in between
		return of(now)
	}
	return uint64(float64(of(now)-of(*r.before)) / r.elapsed.Seconds())
}

func (r rates) count(now api.TierStatus, of func(api.TierStatus) uint64) string {
	return fmt.Sprint(r.value(now, of))
}

func (r rates) bytes(now api.TierStatus, of func(api.TierStatus) uint64) string {
	return bytesize.Format(int64(r.value(now, of)))
}

func total(byReason map[string]uint64) uint64 {
	var sum uint64
	for _, n := range byReason {
		sum += n
	}
	return sum
}

// bar draws how full a tier is: ten cells and the percentage.
func bar(used, capacity int64) string {
	if capacity <= 0 {
		return ""
	}
	share := min(1, max(0, float64(used)/float64(capacity)))
	full := int(share*10 + 0.5)
	return fmt.Sprintf("%s%s %3.0f%%", strings.Repeat("█", full), strings.Repeat("░", 10-full), 100*share)
}
