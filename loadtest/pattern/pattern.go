// Package pattern says which media the requests of a workload carry, and so how often one is seen again.
//
// A [Pattern] is a function: it returns the same media for the same request whenever it is asked, in any order and
// from any goroutine, so that every server and every policy is given the same workload.
package pattern

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
)

// A Pattern says which media a request carries.
type Pattern struct {
	Name string `json:"name"`
	Doc  string `json:"doc"` // what it stands for, in words
	// Media returns the numbers of the media in request n, counted from 0. Its result is not changed. A medium
	// may be in a request twice.
	Media func(n int) []int `json:"-"`
}

// A Shape is what a pattern of a certain name is made for.
type Shape struct {
	Seed     uint64
	Requests int // how many there are going to be
	Engines  int // how many send them
}

// Figures of published benchmarks, so that results line up: Dynamo's 1,000 requests over 200 images, of which 80%
// were seen before, and its 30 users with 8 turns over a window of 5 images.
const (
	poolReuse    = 5 // requests for each medium of the pool
	windowUsers  = 30
	windowTurns  = 8
	windowMedia  = 5
	zipfExponent = 1.01
	zipfMedia    = 2 // requests for each medium there could be
	burstMedia   = 20
	burstUses    = 8
	burstUsers   = 4
)

// named is the table of patterns.
var named = []struct {
	name string
	make func(Shape) Pattern
}{
	{"pool-80", func(s Shape) Pattern { return UniformPool(s.Seed, s.Requests/poolReuse, 1) }},
	{"sliding-window", func(Shape) Pattern { return SlidingWindow(windowUsers, windowTurns, windowMedia) }},
	{"zipf", func(s Shape) Pattern { return Zipf(s.Seed, s.Requests/zipfMedia) }},
	{"sessions", func(s Shape) Pattern { return Sessions(s.Seed, burstUsers, burstMedia, burstUses) }},
	{"one-hit", func(Shape) Pattern { return OneHit() }},
	{"herd", func(s Shape) Pattern { return Herd(s.Engines) }},
}

// Names returns the names that ByName knows.
func Names() []string {
	names := make([]string, len(named))
	for i, row := range named {
		names[i] = row.name
	}
	return names
}

// ByName makes a pattern.
func ByName(name string, s Shape) (Pattern, error) {
	for _, row := range named {
		if row.name == name {
			p := row.make(s)
			p.Name = name
			return p, nil
		}
	}
	return Pattern{}, fmt.Errorf("no pattern is called %q; there are %s", name, strings.Join(Names(), ", "))
}

// UniformPool is a pool of media from which each request draws 1 to most different ones, all equally likely. When
// five times as many media are asked for as the pool has, 80% of those asked for were seen before.
func UniformPool(seed uint64, pool, most int) Pattern {
	pool = max(pool, 1)
	most = min(max(most, 1), pool)
	carried := "1"
	if most > 1 {
		carried = fmt.Sprintf("1 to %d", most)
	}
	return Pattern{
		Name: "pool",
		Doc:  fmt.Sprintf("%s of %d media, drawn uniformly", carried, pool),
		Media: func(n int) []int {
			draw := drawOf(seed, n)
			media := make([]int, 0, most)
			for carried := 1 + draw.IntN(most); len(media) < carried; {
				if m := draw.IntN(pool); !slices.Contains(media, m) {
					media = append(media, m)
				}
			}
			return media
		},
	}
}

// SlidingWindow is users who talk about the last images they saw: each turn shows one new image and all but the
// oldest of the turn before, so with a window of 5, 4 of 5 were seen in the turn before. After so many turns a user
// begins anew. Users take turns in a fixed order and by the clock: the next turn does not wait for the answer to
// the last.
func SlidingWindow(users, turns, window int) Pattern {
	users, turns, window = max(users, 1), max(turns, 1), max(window, 1)
	return Pattern{
		Name: "sliding-window",
		Doc:  fmt.Sprintf("%d users, %d turns, a window of %d media", users, turns, window),
		Media: func(n int) []int {
			round, turn := n/users/turns, n/users%turns
			conversation := round*users + n%users
			media := make([]int, window)
			for i := range media {
				media[i] = conversation*(turns+window-1) + turn + i
			}
			return media
		},
	}
}

// Zipf is a catalogue in which few media are asked for all the time and most hardly ever: the k-th is asked for
// 1/k^1.01 times as often as the first.
func Zipf(seed uint64, media int) Pattern {
	media = max(media, 1)
	below := make([]float64, media) // the share of requests for this medium and those before
	total := 0.0
	for k := range below {
		total += math.Pow(float64(k+1), -zipfExponent)
		below[k] = total
	}
	return Pattern{
		Name: "zipf",
		Doc:  fmt.Sprintf("1 of %d media, the k-th drawn 1/k^%.2f times as often as the first", media, zipfExponent),
		Media: func(n int) []int {
			return []int{sort.SearchFloat64s(below, total*drawOf(seed, n).Float64())}
		},
	}
}

// Sessions is users who each work on a set of media for a while, using each several times, and never come back to
// it: what was hot goes cold all at once.
func Sessions(seed uint64, users, media, uses int) Pattern {
	users, media, uses = max(users, 1), max(media, 1), max(uses, 1)
	return Pattern{
		Name: "sessions",
		Doc:  fmt.Sprintf("%d users at a time, each with %d media used %d times and then never again", users, media, uses),
		Media: func(n int) []int {
			session := n/users/(media*uses)*users + n%users
			return []int{session*media + drawOf(seed, n).IntN(media)}
		},
	}
}

// OneHit is a scan: every medium is new, and none is seen again.
func OneHit() Pattern {
	return Pattern{Name: "one-hit", Doc: "every medium once", Media: func(n int) []int { return []int{n} }}
}

// Herd is many engines that get one new image at the same time, and then the next.
func Herd(engines int) Pattern {
	engines = max(engines, 1)
	return Pattern{
		Name:  "herd",
		Doc:   fmt.Sprintf("%d engines ask for one new medium at once", engines),
		Media: func(n int) []int { return []int{n / engines} },
	}
}

// drawOf returns the random numbers of one request.
func drawOf(seed uint64, n int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(n))) }
