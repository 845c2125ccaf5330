package main

import (
	"context"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/loadtest/load"
)

// traffic sends one pattern to every target, one after the other.
func (t *test) traffic(ctx context.Context) error {
	media, err := t.media()
	if err != nil {
		return err
	}
	if !fits(t.Clients, media.largest) {
		return usagef("%s: fewer --clients or a smaller --encoder or --size", buffersOf(t.Clients, media.largest))
	}
	p, err := t.pattern()
	if err != nil {
		return err
	}
	targets, err := t.targets(ctx)
	if err != nil {
		return err
	}
	payloads := load.NewPayloads(t.Seed, media.largest)
	for n, target := range targets {
		began := time.Now()
		result, err := load.Run(ctx, target, load.Traffic{
			Name:    fmt.Sprintf("%s of %s", p.Name, t.mediaName()),
			Clients: t.Clients, Rate: t.Rate, Duration: t.duration(30 * time.Second), Requests: t.Requests,
			Payloads: payloads, Largest: media.largest, Verify: t.verify(load.VerifyAll), Encode: t.Encode,
			Next: func(request int64) load.Request {
				var items []load.Item
				for _, medium := range p.Media(int(request)) {
					// Each target is given media of its own: two may be ways to one service.
					items = append(items, media.item(fmt.Sprintf("%s-%d-%d-%d", p.Name, began.UnixNano(), n, medium), medium))
				}
				return load.Request{Items: items}
			},
			Progress: func(m load.Moment) {
				t.line.show("%s  %4.1f s  %d of %d requests  %.2f GB", target.Name, m.Seconds, m.Requests, t.Requests, float64(m.Bytes)/1e9)
			},
		})
		if err != nil {
			return err
		}
		t.report.Results = append(t.report.Results, result)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
