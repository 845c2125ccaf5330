package serving

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/keepsight/keepsight/api"
)

// An arrival is one request of the workload, the same under every policy.
type arrival struct {
	at      time.Duration // since the first one
	media   []int         // each once
	repeats int           // media of the prompt beyond those
	prefill time.Duration
	decode  time.Duration
}

// newWorkload draws the requests.
func newWorkload(c Config) ([]arrival, error) {
	draw := rand.New(rand.NewPCG(c.Seed, 0))
	arrivals := make([]arrival, c.Requests)
	var at time.Duration
	for n := range arrivals {
		if n > 0 {
			at += seconds(draw.ExpFloat64() / c.Rate)
		}
		carried := c.Pattern.Media(n)
		media := distinct(carried)
		if len(media) > api.MaxKeys {
			return nil, fmt.Errorf("draw workload: request %d carries %d media, allowed are %d", n, len(media), api.MaxKeys)
		}
		arrivals[n] = arrival{
			at:      at,
			media:   media,
			repeats: len(carried) - len(media),
			prefill: c.prefill(len(carried)),
			decode:  time.Duration(draw.ExpFloat64()*float64(c.OutputTokens)) * c.TimePerToken,
		}
	}
	return arrivals, nil
}

// distinct returns the media in their order, each once.
func distinct(media []int) []int {
	var once []int
	for _, m := range media {
		if !slices.Contains(once, m) {
			once = append(once, m)
		}
	}
	return once
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
