package server

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/keepsight/keepsight/api"
)

// metrics are what the server itself counts. What the store and its tiers count is read from them at each
// scrape: see collector.go. No label carries a key, a namespace or a token.
type metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	rejected *prometheus.CounterVec
	received prometheus.Counter
	reloaded prometheus.Gauge
	bytesOut *prometheus.CounterVec

	mismatches   atomic.Uint64 // reads whose embedding was not the expected one
	incompatible atomic.Uint64 // PUTs refused before their body for another dtype or shape
	savedNanos   atomic.Int64
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keepsight_requests_total",
			Help: "Requests answered, by call, HTTP status and the tier that a read was answered from.",
		}, []string{"op", "code", "tier"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "keepsight_request_duration_seconds",
			Help: "Time from a request's headers to the end of its answer, bodies and waiting included.",
			// From a lookup in host memory to a video over a slow network.
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"op"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keepsight_rejected_total",
			Help: "Requests and connections refused, by reason. Misses and second PUTs of one key are not among them.",
		}, []string{"reason"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keepsight_received_bytes_total",
			Help: "Bytes of embeddings received in whole bodies.",
		}),
		bytesOut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keepsight_sent_bytes_total",
			Help: "Bytes of embeddings sent, by the tier they were found in.",
		}, []string{"tier"}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "keepsight_config_reload_success",
			Help: "Whether the tokens file and the certificate could be used when they were read last.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "keepsight_build_info",
		Help:        "1, with the version as a label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.reloaded.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.rejected, m.received, m.bytesOut, m.reloaded, build)
	return m
}

// sent counts bytes of an embedding on their way out.
func (m *metrics) sent(tier string, n int64) { m.bytesOut.WithLabelValues(tier).Add(float64(n)) }

// saved counts an embedding that was not encoded again.
func (m *metrics) saved(cost time.Duration) { m.savedNanos.Add(int64(cost)) }

func (m *metrics) secondsSaved() float64 { return time.Duration(m.savedNanos.Load()).Seconds() }

// scrape answers with every metric.
func (s *Server) scrape(c *call) error {
	promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(c.w, c.r)
	return nil
}

// clientGone stands in the metrics for a request that nobody waited for; nginx made the number known.
const clientGone = 499

// record counts a request and writes a line about it if it went wrong in a way that somebody may look for,
// or took long. A miss is neither.
func (s *Server) record(c *call, took time.Duration) {
	status := c.w.status
	if status == 0 {
		status = clientGone
	}
	m := s.metrics
	m.requests.WithLabelValues(c.op, strconv.Itoa(status), c.tier).Inc()
	m.duration.WithLabelValues(c.op).Observe(took.Seconds())
	level := slog.LevelDebug
	if code := c.w.code; code != "" {
		if outcome := code.Outcome(); outcome == api.Fail || outcome == api.Retry {
			m.rejected.WithLabelValues(string(code)).Inc()
			level = slog.LevelInfo
		}
		if code == api.ExistsIncompatible {
			level = slog.LevelWarn // two encoders share a key: somebody should look
		}
	}
	if took > s.config.pace.slow && c.op != "events" {
		level = max(level, slog.LevelInfo)
	}
	if !s.log.Enabled(context.Background(), level) {
		return
	}
	principal := ""
	if c.who != nil {
		principal = c.who.name
	}
	s.log.Log(context.Background(), level, "request",
		"request_id", c.id,
		"principal", principal,
		"op", c.op,
		"status", status,
		"code", string(c.w.code),
		"namespace", c.path.Namespace,
		"bytes", c.w.sent,
		"seconds", math.Round(took.Seconds()*1e6)/1e6)
}
