package compare

import (
	"errors"
	"math"
	"testing"

	"github.com/keepsight/keepsight/loadtest/load"
)

func TestMedian(t *testing.T) {
	for _, row := range []struct {
		of   []float64
		want float64
	}{
		{nil, 0}, {[]float64{7}, 7}, {[]float64{1, 3}, 2}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{0, 0, 8}, 0},
	} {
		before := append([]float64(nil), row.of...)
		if got := median(row.of); got != row.want {
			t.Errorf("%v: %g, expected is %g", row.of, got, row.want)
		}
		for i := range before {
			if before[i] != row.of[i] {
				t.Errorf("%v became %v", before, row.of)
			}
		}
	}
}

// ran is a round of gets of one second at so many MB, with latencies in ms.
func ran(megabytes, raw, p50, p99 float64) round {
	return round{raw: raw * 1e6, result: &load.Result{
		Seconds: 1, ServerCPUSeconds: megabytes / 1e3, ClientCPUSeconds: megabytes / 2e3, ServerPeakBytes: int64(megabytes),
		Ops: map[load.Op]*load.Summary{load.Get: {
			Count: int64(megabytes), Bytes: int64(megabytes * 1e6),
			Latency: []load.Point{{Percent: 50, Seconds: p50 / 1e3}, {Percent: 99, Seconds: p99 / 1e3}},
		}},
	}}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }

func TestACellIsTheMediansOfItsRounds(t *testing.T) {
	// The machine was slow in the second round: shares are made within a round.
	c := cell(Row{Op: load.Get}, []round{ran(400, 800, 1, 9), ran(100, 200, 4, 30), ran(600, 1000, 2, 8)})
	for name, pair := range map[string][2]float64{
		"bytes":  {c.BytesPerSecond, 400e6},
		"ops":    {c.OpsPerSecond, 400},
		"share":  {c.ShareOfRaw, 0.5},
		"p50":    {c.P50, 0.002},
		"p99":    {c.P99, 0.009},
		"server": {c.ServerCPUPerGB, 1},
		"client": {c.ClientCPUPerGB, 0.5},
		"peak":   {float64(c.PeakBytes), 600},
		"rounds": {c.Rounds[1], 100e6},
	} {
		if !near(pair[0], pair[1]) {
			t.Errorf("%s: %g, expected is %g", name, pair[0], pair[1])
		}
	}
	if c.FirstError != "" || c.Errors+c.Wrong+c.Missed+c.Refused != 0 || c.KeysPerSecond != 0 {
		t.Errorf("%+v", c)
	}
}

func TestRoundsOfLookupsAreInKeys(t *testing.T) {
	lookups := round{raw: 1e9, result: &load.Result{
		Seconds: 2, Keys: 1280, Ops: map[load.Op]*load.Summary{load.Lookup: {Count: 20}},
	}}
	c := cell(Row{Op: load.Lookup}, []round{lookups})
	if c.KeysPerSecond != 640 || c.OpsPerSecond != 10 || c.Rounds[0] != 640 || c.BytesPerSecond != 0 || c.ShareOfRaw != 0 {
		t.Errorf("%+v", c)
	}
}

func TestACellSaysWhatIsWrongWithIt(t *testing.T) {
	good := ran(100, 1000, 1, 1)
	with := func(change func(*load.Result)) round {
		r := ran(100, 1000, 1, 1)
		change(r.result)
		return r
	}
	for _, row := range []struct {
		name  string
		round round
		fails bool
	}{
		{"nothing", good, false},
		{"it could not be reached", round{err: errors.New("connection refused")}, true},
		{"errors", with(func(r *load.Result) { r.Errors, r.FirstError = 1, "EOF" }), true},
		{"wrong bytes", with(func(r *load.Result) { r.Wrong, r.FirstError = 1, "byte 7" }), true},
		{"misses", with(func(r *load.Result) { r.Ops[load.Miss] = &load.Summary{Count: 3} }), true},
		{"silence", with(func(r *load.Result) { r.Ops = nil }), true},
		{"refusals", with(func(r *load.Result) { r.Refused = 2 }), false}, // an answer that a server may give
	} {
		cells := map[string]Cell{"redis": cell(Row{Op: load.Get}, []round{good, row.round})}
		if said := cells["redis"].FirstError != ""; said != (row.name != "nothing") {
			t.Errorf("%s: %q is said", row.name, cells["redis"].FirstError)
		}
		result := Result{Targets: []string{"redis", "nginx"}, Rows: []Row{{Op: load.Get, Cells: cells}}}
		if err := result.Check(); (err != nil) != row.fails {
			t.Errorf("%s: the comparison fails with %v", row.name, err)
		}
	}
}

func TestRatiosAreMadeWithinARound(t *testing.T) {
	row := Row{Cells: map[string]Cell{
		"keepsight": {Rounds: []float64{100, 10, 300, 0}},
		"redis":     {Rounds: []float64{50, 5, 100, 8}},
		"broken":    {Rounds: []float64{0, 0, 0, 0}},
	}}
	for _, pair := range []struct {
		one, other string
		want       float64
	}{
		{"keepsight", "redis", 2}, {"redis", "keepsight", 0.5}, {"keepsight", "broken", 0}, {"keepsight", "absent", 0},
	} {
		if got := row.Ratio(pair.one, pair.other); !near(got, pair.want) && got != pair.want {
			t.Errorf("%s is %g times as fast as %s, expected is %g", pair.one, got, pair.other, pair.want)
		}
	}
}
