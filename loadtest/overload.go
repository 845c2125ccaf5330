package main

import (
	"context"
	"time"

	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/overload"
)

// overload asks ten times what the target can do.
func (t *test) overload(ctx context.Context) error {
	media, err := t.media()
	if err != nil {
		return err
	}
	var ops []load.Op
	for _, op := range t.Ops {
		if load.Op(op) != load.Lookup {
			ops = append(ops, load.Op(op))
		}
	}
	if ops == nil {
		return usagef("--scenario overload takes --ops get, put or both")
	}
	targets, err := t.targets(ctx)
	if err != nil {
		return err
	}
	target := targets[0]
	result, err := overload.Run(ctx, overload.Options{
		Target:   target,
		Item:     media.item("", len(media.outputs)-1), // the largest
		Payloads: load.NewPayloads(t.Seed, media.largest),
		Duration: t.duration(10 * time.Second),
		Verify:   t.verify(load.VerifyAll),
		Ops:      ops,
		Progress: func(what string, m load.Moment) {
			t.line.show("%s  %4.1f s  %d requests  %.2f GB  %d refused", what, m.Seconds, m.Requests, float64(m.Bytes)/1e9, m.Refused)
		},
	})
	if err != nil {
		return err
	}
	t.report.Results = []*load.Result{result.Peak, result.Over}
	t.notef("Under overload %s did %.2f of its best and refused %d requests, %d of them without saying when to come again.",
		target.Name, result.Goodput(), result.Over.Refused, result.Over.Unexcused)
	if peak := result.Over.ServerPeakBytes; peak > 0 {
		t.notef("Its resident memory peaked at %s, %.2f of its %s.",
			bytesize.Format(peak), float64(peak)/float64(t.Memory.Of(0)), bytesize.Format(t.Memory.Of(0)))
	}
	return nil
}
