package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/keepsight/keepsight/tiers"
)

// A collector reads what the store and its tiers have counted, at each scrape.
type collector struct{ s *Server }

// Describe implements prometheus.Collector. It describes nothing, because the labels depend on the tiers
// there are: the registry checks what is collected instead.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	st := c.s.store.Stats()
	m := c.s.metrics
	e := emitter{out}
	for _, t := range st.Tiers {
		e.tier(t)
	}
	for tier, n := range st.Hits {
		e.counter("keepsight_hits_total", "Embeddings found, by tier.", float64(n), "tier", tier)
	}
	for reason, n := range st.Misses {
		if reason == "contract" {
			n += m.mismatches.Load()
		}
		e.counter("keepsight_misses_total", "Reads that found nothing to answer with, by reason.", float64(n), "reason", reason)
	}
	for kind, n := range st.Conflicts {
		if kind == "incompatible" {
			n += m.incompatible.Load()
		}
		e.counter("keepsight_conflicts_total", "Second PUTs of a key that differ from the first, by kind.", float64(n), "kind", kind)
	}
	e.counter("keepsight_embeddings_created_total", "Embeddings stored under a new key.", float64(st.Puts))
	e.counter("keepsight_demotions_total", "Embeddings copied to the tier.", float64(st.Demotions), "tier", tiers.TierDisk)
	e.counter("keepsight_demoted_bytes_total", "Bytes of embeddings copied to the tier.", float64(st.DemotedBytes), "tier", tiers.TierDisk)
	e.counter("keepsight_demotions_failed_total", "Copies that the tier refused or failed.", float64(st.DemotionsFailed), "tier", tiers.TierDisk)
	e.counter("keepsight_demotions_dropped_total", "Embeddings that were gone before their copy was made.", float64(st.DemotionsDropped), "tier", tiers.TierDisk)
	e.gauge("keepsight_demotion_backlog", "Embeddings waiting for their copy to disk.", float64(st.Backlog))
	e.counter("keepsight_promotions_total", "Reads from disk into host memory.", float64(st.DiskReads))
	e.counter("keepsight_promotions_shared_total", "Gets that joined a read from disk under way.", float64(st.DiskReadsRode))
	e.gauge("keepsight_inflight_bytes", "Bytes of bodies being received, counted in full from their start.", float64(st.InFlightBytes))
	e.gauge("keepsight_inflight_limit_bytes", "Bytes of bodies that may be received at once.", float64(c.s.budget.InFlightBytes))
	e.gauge("keepsight_pinned_bytes", "Bytes of embeddings held by pins.", float64(st.PinnedBytes))
	e.gauge("keepsight_leases", "Promises to clients that have not ended, by kind.", float64(st.Pins), "kind", "pin")
	e.gauge("keepsight_leases", "Promises to clients that have not ended, by kind.", float64(st.ClaimedKeys), "kind", "claim")
	e.gauge("keepsight_waiting_keys", "Missing keys that somebody waits for.", float64(st.WaitingKeys))
	e.gauge("keepsight_connections", "Open connections.", float64(c.s.http.Connections()))
	e.gauge("keepsight_memory_budget_bytes", "Memory that the service may take.", float64(c.s.config.MemoryBytes))
	e.gauge("keepsight_memory_resident_bytes", "Memory that the process occupies.", float64(residentBytes()))
	e.counter("keepsight_encode_seconds_saved_total", "Encode time that hits saved, as stated by the writers.", m.secondsSaved())
}

// An emitter makes metrics of numbers. Labels are pairs of name and value.
type emitter struct{ out chan<- prometheus.Metric }

func (e emitter) counter(name, help string, value float64, labels ...string) {
	e.emit(prometheus.CounterValue, name, help, value, labels)
}

func (e emitter) gauge(name, help string, value float64, labels ...string) {
	e.emit(prometheus.GaugeValue, name, help, value, labels)
}

func (e emitter) emit(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	desc := prometheus.NewDesc(name, help, names, nil)
	e.out <- prometheus.MustNewConstMetric(desc, kind, value, values...)
}

// tier emits what one tier says of itself.
func (e emitter) tier(t tiers.Stats) {
	label := []string{"tier", t.Tier}
	up := 0.0
	if t.Health == tiers.HealthOK {
		up = 1
	}
	e.gauge("keepsight_tier_healthy", "Whether the tier works as configured; /v1/status says what does not.", up, label...)
	e.gauge("keepsight_tier_capacity_bytes", "Bytes that the tier may hold.", float64(t.CapacityBytes), label...)
	e.gauge("keepsight_tier_used_bytes", "Bytes that are taken, rounding included.", float64(t.UsedBytes), label...)
	e.gauge("keepsight_tier_quarantined_bytes", "Bytes set aside because of damage.", float64(t.QuarantinedBytes), label...)
	e.gauge("keepsight_tier_entries", "Embeddings in the tier.", float64(t.Entries), label...)
	e.counter("keepsight_tier_hits_total", "Gets that the tier answered.", float64(t.Hits), label...)
	e.counter("keepsight_tier_misses_total", "Gets that the tier did not answer.", float64(t.Misses), label...)
	e.counter("keepsight_tier_puts_total", "Embeddings that entered the tier.", float64(t.Puts), label...)
	e.counter("keepsight_tier_put_bytes_total", "Bytes of embeddings that entered the tier.", float64(t.PutBytes), label...)
	e.counter("keepsight_tier_read_bytes_total", "Bytes of embeddings read from the tier.", float64(t.ReadBytes), label...)
	e.counter("keepsight_corruptions_total", "Embeddings that failed their checksum or could not be decoded.", float64(t.Corruptions), label...)
	e.counter("keepsight_tier_io_errors_total", "System calls on the tier's files that failed.", float64(t.IOErrors), label...)
	for reason, n := range t.Evictions {
		e.counter("keepsight_evictions_total", "Embeddings that left a tier by its own decision.", float64(n), "tier", t.Tier, "reason", reason)
	}
	for reason, n := range t.Refusals {
		e.counter("keepsight_tier_refusals_total", "Embeddings that a tier did not take.", float64(n), "tier", t.Tier, "reason", reason)
	}
}
