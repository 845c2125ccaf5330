package pattern

import (
	"slices"
	"testing"
)

// seenBefore returns the share of the media in the first requests that a request before had carried.
func seenBefore(p Pattern, requests int) float64 {
	seen := make(map[int]bool)
	again, all := 0, 0
	for n := range requests {
		media := p.Media(n)
		for _, m := range media {
			all++
			if seen[m] {
				again++
			}
		}
		for _, m := range media {
			seen[m] = true
		}
	}
	return float64(again) / float64(all)
}

func TestReuse(t *testing.T) {
	shape := Shape{Seed: 1, Requests: 1000, Engines: 8}
	for _, row := range []struct {
		name        string
		least, most float64
	}{
		{"pool-80", 0.79, 0.82},
		{"sliding-window", 0.68, 0.72},
		{"zipf", 0.65, 0.85},
		{"sessions", 0.80, 0.88},
		{"one-hit", 0, 0},
		{"herd", 0.875, 0.875},
	} {
		p, err := ByName(row.name, shape)
		if err != nil {
			t.Fatal(err)
		}
		if got := seenBefore(p, shape.Requests); got < row.least || got > row.most {
			t.Errorf("%s: %.3f of the media were seen before, expected are %.2f to %.2f", row.name, got, row.least, row.most)
		}
	}
	if len(Names()) != 6 {
		t.Errorf("patterns %q are not all tested", Names())
	}
}

func TestSameForSameRequest(t *testing.T) {
	for _, name := range Names() {
		shape := Shape{Seed: 7, Requests: 100, Engines: 4}
		one, _ := ByName(name, shape)
		other, _ := ByName(name, shape)
		var backwards [][]int
		for n := 99; n >= 0; n-- {
			backwards = append(backwards, other.Media(n))
		}
		for n := range 100 {
			if got := one.Media(n); !slices.Equal(got, backwards[99-n]) {
				t.Fatalf("%s: request %d is %v and then %v", name, n, got, backwards[99-n])
			}
		}
	}
}

func TestSessionsGoCold(t *testing.T) {
	p := Sessions(1, 2, 3, 4) // 12 requests of each user make a session
	last := make(map[int]int)
	first := make(map[int]int)
	for n := range 480 {
		m := p.Media(n)[0]
		if _, seen := first[m]; !seen {
			first[m] = n
		}
		last[m] = n
	}
	for m, n := range last {
		if n-first[m] >= 24 {
			t.Errorf("medium %d is asked for in requests %d to %d: longer than its session", m, first[m], n)
		}
	}
}

func TestZipfIsSkewed(t *testing.T) {
	p := Zipf(1, 1000)
	counts := make(map[int]int)
	for n := range 20_000 {
		counts[p.Media(n)[0]]++
	}
	if ratio := float64(counts[0]) / float64(counts[9]); ratio < 7 || ratio > 14 {
		t.Errorf("the first medium is asked for %.1f times as often as the tenth, expected is about 10", ratio)
	}
}

func TestUnknownName(t *testing.T) {
	if _, err := ByName("pool", Shape{}); err == nil {
		t.Error("a pattern that does not exist was made")
	}
}
