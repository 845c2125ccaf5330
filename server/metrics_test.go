package server

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/keepsight/keepsight/api"
)

// TestMetrics drives the service through what it counts, and holds the result against promlint, against the
// names that dashboards use, and against leaks of keys.
func TestMetrics(t *testing.T) {
	v := start(t)
	c := v.client()
	const key = "s3cret-key"
	v.put(t, c, key, 64, api.HeaderEncodeCost, "1.5")
	shot{method: "GET", path: embeddingPath(key)}.do(t, c, v, 200)
	shot{method: "GET", path: embeddingPath(key), header: with("Range", "bytes=0-3")}.do(t, c, v, 206)
	shot{method: "HEAD", path: embeddingPath(key)}.do(t, c, v, 200)
	shot{method: "GET", path: embeddingPath(key), header: with(api.HeaderExpectSize, "1")}.do(t, c, v, 404)
	shot{method: "GET", path: embeddingPath("none")}.do(t, c, v, 404)
	shot{method: "PUT", path: embeddingPath(key), header: with("Expect", "100-continue"), body: []byte("x")}.do(t, c, v, 409)
	shot{method: "PUT", path: embeddingPath(key), header: with(api.HeaderDType, "BF16", api.HeaderShape, "32"), body: make([]byte, 64)}.do(t, c, v, 409)
	shot{method: "PUT", path: embeddingPath("huge"), header: with(api.HeaderDType, "U8", api.HeaderShape, "2"), body: []byte("x")}.do(t, c, v, 422)
	v.ask(t, c, `{"keys":["`+key+`","none"],"claim":{"owner":"o"},"pin_ms":60000}`)
	eventually(t, "the copy on disk", func() bool { return v.store.Stats().Demotions == 1 })

	got := string(shot{method: "GET", path: "/metrics"}.do(t, c, v, 200).got)
	for _, line := range []string{
		`keepsight_requests_total{code="201",op="put",tier=""} 1`,
		`keepsight_requests_total{code="200",op="get",tier="host"} 1`,
		`keepsight_requests_total{code="409",op="put",tier=""} 2`,
		`keepsight_request_duration_seconds_count{op="lookup"} 1`,
		`keepsight_received_bytes_total 128`,
		`keepsight_sent_bytes_total{tier="host"} 68`,
		`keepsight_hits_total{tier="host"} 2`,
		`keepsight_misses_total{reason="contract"} 1`,
		`keepsight_misses_total{reason="absent"} 1`,
		`keepsight_conflicts_total{kind="different"} 1`,
		`keepsight_conflicts_total{kind="incompatible"} 1`,
		`keepsight_rejected_total{reason="invalid_tensor"} 1`,
		`keepsight_demotions_total{tier="disk"} 1`,
		`keepsight_inflight_bytes 0`,
		`keepsight_leases{kind="claim"} 1`,
		`keepsight_leases{kind="pin"} 1`,
		`keepsight_tier_entries{tier="disk"} 1`,
		`keepsight_corruptions_total{tier="disk"} 0`,
		`keepsight_encode_seconds_saved_total 1.5`,
		`keepsight_config_reload_success 1`,
		`keepsight_build_info{version="test"} 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			name, _, _ := strings.Cut(line, " ")
			t.Errorf("want %s, got %s", line, regexp.MustCompile(regexp.QuoteMeta(name)+".*").FindString(got))
		}
	}
	if strings.Contains(got, key) || strings.Contains(v.log.String(), key) {
		t.Error("a key is in the metrics or in the log")
	}
	problems, err := promlint.New(strings.NewReader(got)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestStatus(t *testing.T) {
	v := start(t)
	c := v.client()
	v.put(t, c, "k", 1<<20, api.HeaderEncodeCost, "2")
	shot{method: "GET", path: embeddingPath("k")}.do(t, c, v, 200)
	got := shot{method: "GET", path: "/v1/status"}.do(t, c, v, 200)
	var s api.Status
	if err := json.Unmarshal(got.got, &s); err != nil {
		t.Fatal(err)
	}
	if !s.Ready || s.Draining || s.Version != "test" || len(s.Degraded) != 0 || s.EncodeSecondsSaved != 2 ||
		s.Memory.BudgetBytes != v.config.MemoryBytes || s.Memory.ResidentBytes < 1<<20 || s.Limits.MaxObjectBytes != v.MaxObjectBytes() {
		t.Errorf("status %+v", s)
	}
	if len(s.Tiers) != 2 || s.Tiers[0].Name != "host" || s.Tiers[0].Entries != 1 || s.Tiers[0].Hits == 0 || s.Tiers[1].Name != "disk" {
		t.Errorf("tiers %+v", s.Tiers)
	}
}

// TestPage wants a page that asks nobody else for anything, and that a browser without a token gets too.
func TestPage(t *testing.T) {
	v := start(t, noDisk, withTokens(tokens(t, entry("a", "t", "*", "read"))))
	c := v.client()
	open := shot{method: "GET", path: "/", header: bearer("a")}.do(t, c, v, 200)
	asks := shot{method: "GET", path: "/", header: with("Accept", "text/html,*/*")}.do(t, c, v, 401)
	if string(open.got) != string(asks.got) || open.resp.Header.Get("Content-Type") != asks.resp.Header.Get("Content-Type") {
		t.Error("a browser without a token gets another page")
	}
	if asks.code() != api.Unauthenticated || asks.resp.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("code %q", asks.code())
	}
	if foreign := regexp.MustCompile(`(?:src|href|url\()\W*(?:https?:)?//`).FindString(string(open.got)); foreign != "" {
		t.Errorf("the page loads %s", foreign)
	}
	if problem := (shot{method: "GET", path: "/v1/status", header: with("Accept", "text/html")}).do(t, c, v, 401); strings.Contains(string(problem.got), "<html") {
		t.Error("another path got the page")
	}
}

func TestOpenAPI(t *testing.T) {
	v := start(t, noDisk)
	got := shot{method: "GET", path: "/openapi.yaml"}.do(t, v.client(), v, 200)
	if string(got.got) != string(api.OpenAPI) {
		t.Error("the contract that is served is another one")
	}
}

// TestLog looks for one line about what went wrong or took long, and for none about the rest.
func TestLog(t *testing.T) {
	v := start(t, noDisk, func(c *Config) { c.pace.slow = 30 * time.Millisecond })
	c := v.client()
	shot{method: "GET", path: embeddingPath("none"), header: with(api.HeaderRequestID, "a-miss")}.do(t, c, v, 404)
	shot{method: "PUT", path: embeddingPath("k"), header: with(api.HeaderRequestID, "a-fault", "Content-Type", "image/png"), body: []byte("x")}.do(t, c, v, 415)
	shot{method: "GET", path: embeddingPath("k") + "?wait_ms=50", header: with(api.HeaderRequestID, "a-wait")}.do(t, c, v, 404)
	for id, level := range map[string]string{"a-miss": "DEBUG", "a-fault": "INFO", "a-wait": "INFO"} {
		line := regexp.MustCompile(`.*"request_id":"` + id + `".*`).FindString(v.log.String())
		if !strings.Contains(line, `"level":"`+level+`"`) {
			t.Errorf("the line of %s is %s", id, line)
		}
	}
}
