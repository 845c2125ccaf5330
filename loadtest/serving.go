package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/serving"
)

// serving simulates engines over a service.
func (t *test) serving(ctx context.Context) error {
	media, err := t.media()
	if err != nil {
		return err
	}
	if len(media.outputs) != 1 {
		return usagef("--scenario serving takes one --encoder")
	}
	p, err := t.pattern()
	if err != nil {
		return err
	}
	targets, err := t.targets(ctx)
	if err != nil {
		return err
	}
	service, err := client.New(client.Options{BaseURL: targets[0].URL, Token: targets[0].Token})
	if err != nil {
		return usageError{err}
	}
	defer service.Close()
	payloads := load.NewPayloads(t.Seed, media.largest)
	buf := make([]byte, 0, media.largest)
	limit := t.duration(5 * time.Minute)
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, err := serving.Run(timed, service, serving.Config{
		Seed: t.Seed, Engines: t.Clients, Requests: int(t.Requests), Rate: t.Rate, Media: media.outputs[0], Pattern: p,
		Payload: func(key string, size int64) []byte {
			value := payloads.Value(load.Item{Key: key, Size: size})
			return value.Bytes(buf[:0])
		},
		Progress: func(done, all int) { t.line.show("%d of %d requests", done, all) },
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("the simulation did not end within %s: give it fewer --requests or a longer --duration: %w", limit, err)
	}
	if err != nil {
		return err
	}
	t.report.Serving = result
	return nil
}
