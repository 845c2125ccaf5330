package load

import (
	"errors"
	"strings"
	"testing"
)

// measured is a result of which every measure has a value.
func measured() *Result {
	return &Result{
		Target: "keepsight tcp", Traffic: "pool-80", Seconds: 2,
		Ops: map[Op]*Summary{
			Get:  {Count: 80, Bytes: 4e9, Mean: 0.010, Max: 0.090, Latency: []Point{{50, 0.008}, {99, 0.040}, {99.9, 0.080}}},
			Miss: {Count: 20, Mean: 0.001, Max: 0.002, Latency: []Point{{50, 0.001}}},
		},
		Encodes: 20, Refused: 3, Unexcused: 2, Errors: 1, Unanswered: 4, ServerPeakBytes: 1 << 30, ServerCPUSeconds: 2,
	}
}

func TestConditionsOfAResult(t *testing.T) {
	for _, row := range []struct {
		text string
		met  bool
	}{
		{"get.p50<10ms", true}, {"get.p50 < 8ms", false}, {"get.p50<=8ms", true}, {"get.p50>7999us", true},
		{"get.p99<0.05s", true}, {"get.p99.9<50ms", false}, {"get.mean=10ms", true}, {"get.max<0.1s", true},
		{"get.count=80", true}, {"get.rate>=2e9", true}, {"get.rate>2e9", false},
		{"miss.p50<=1000µs", true}, {"put.count=0", true}, {"put.rate=0", true},
		{"put.p99<1s", false}, {"lookup.max>0", false}, // there was none
		{"errors=0", false}, {"errors<=1", true}, {"wrong=0", true}, {"refused=3", true}, {"unexcused<2", false},
		{"unanswered<5", true}, {"encodes=20", true}, {"hit_ratio>=0.8", true}, {"hit_ratio>0.8", false},
		{"server_bytes<=1073741824", true}, {"server_cpu_per_gb<=0.5", true}, {"server_cpu_per_gb<0.5", false},
	} {
		c, err := ParseCondition(row.text)
		if err != nil {
			t.Error(err)
			continue
		}
		err = c.Check(measured())
		if met := err == nil; met != row.met {
			t.Errorf("%s: met is %v, expected is %v: %v", row.text, met, row.met, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "keepsight tcp, pool-80: not "+row.text) {
			t.Errorf("%s: %q does not say what was not met", row.text, err)
		}
	}
}

func TestConditionsThatCannotBeRead(t *testing.T) {
	for _, text := range []string{
		"", "get.p99", "get.p99<", "<20ms", "get.p99<fast", "get.p99<20", "get.p99<20m", "get.p42<1s", "get.99<1s",
		"get<1s", "get.<1s", "get.p99.bytes<1s", "delete.p99<1s", "hits>0", "errors.count=0", "errors<5ms",
		"get.count<1ms", "get.p99<1e999ms", "get.p99<1-2ms", "get.p99==1ms", "get.p99<NaNms",
	} {
		_, err := ParseCondition(text)
		if !errors.Is(err, ErrCondition) {
			t.Errorf("%q: %v", text, err)
		} else if !strings.Contains(err.Error(), "get.p99") && !strings.Contains(err.Error(), Conditions) {
			t.Errorf("%q: %q does not say how to write one", text, err)
		}
	}
}

func TestEveryMeasureIsDocumented(t *testing.T) {
	for _, name := range []string{
		"errors", "wrong", "refused", "unexcused", "unanswered", "encodes", "hit_ratio", "server_bytes", "server_cpu_per_gb",
		"get", "put", "miss", "lookup", ".p50", ".p99.9", ".mean", ".max", ".count", ".rate",
	} {
		if !strings.Contains(Conditions, name) {
			t.Errorf("%q does not name %s", Conditions, name)
		}
	}
}
