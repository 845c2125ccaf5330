package serving

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBytesOnGPUs(t *testing.T) {
	clock := new(clock)
	g := &gpu{clock: clock}
	for _, change := range []struct {
		at    time.Duration
		bytes int64
	}{{ms(100), 3}, {ms(100), -1}, {ms(200), 4}, {ms(200), -4}, {ms(300), 1}, {ms(400), -3}} {
		clock.after(change.at, func() { g.add(change.bytes) })
	}
	for clock.step() {
	}
	// What comes and goes within one moment was never there.
	want := []Resident{{0, 0}, {0.1, 2}, {0.3, 3}, {0.4, 0}}
	if diff := cmp.Diff(want, g.residency()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if g.peak() != 3 {
		t.Errorf("peak %d, want 3", g.peak())
	}
	if mean := g.mean(ms(500)); math.Abs(mean-1.4) > 1e-9 { // 0.2 s of 2, 0.1 s of 3
		t.Errorf("mean %v, want 1.4", mean)
	}
}

func TestThinnedResidencyKeepsItsPeak(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := new(clock)
		g := &gpu{clock: clock}
		draw := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		gaps := rapid.SampledFrom([]int64{2, 1000, 1e9}).Draw(t, "gaps")
		var now time.Duration
		for range rapid.IntRange(1, 3000).Draw(t, "changes") {
			now += time.Duration(draw.Int64N(gaps))
			change := draw.Int64N(1000) - 400
			clock.after(now, func() { g.add(change) })
		}
		for clock.step() {
		}
		curve := g.residency()
		if len(curve) > maxResidency {
			t.Fatalf("%d points", len(curve))
		}
		var peak int64
		for i, r := range curve {
			peak = max(peak, r.Bytes)
			if i > 0 && r.Seconds <= curve[i-1].Seconds {
				t.Fatalf("point %d is not after the one before", i)
			}
		}
		if peak != g.peak() || curve[len(curve)-1].Bytes != g.bytes {
			t.Fatalf("peak %d, end %d; want %d, %d", peak, curve[len(curve)-1].Bytes, g.peak(), g.bytes)
		}
	})
}
