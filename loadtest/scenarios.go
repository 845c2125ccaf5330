package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/overload"
	"github.com/keepsight/keepsight/loadtest/pattern"
	"github.com/keepsight/keepsight/loadtest/peer"
	"github.com/keepsight/keepsight/loadtest/serving"
)

// traffic sends one pattern to every target, one after the other.
func (t *test) traffic(ctx context.Context) error {
	outputs, largest, err := t.outputs()
	if err != nil {
		return err
	}
	p, err := t.pattern()
	if err != nil {
		return err
	}
	targets, err := t.targets(ctx)
	if err != nil {
		return err
	}
	payloads := load.NewPayloads(t.Seed, largest)
	for n, target := range targets {
		began := time.Now()
		result, err := load.Run(ctx, target, load.Traffic{
			Name:    fmt.Sprintf("%s of %s", p.Name, t.mediaName()),
			Clients: t.Clients, Rate: t.Rate, Duration: t.duration(30 * time.Second), Requests: t.Requests,
			Payloads: payloads, Largest: largest, Verify: load.Verify(t.Verify), Encode: t.Encode,
			Next: func(request int64) load.Request {
				var items []load.Item
				for _, medium := range p.Media(int(request)) {
					// Each target is given media of its own: two may be ways to one service.
					key := fmt.Sprintf("%s-%d-%d-%d", p.Name, began.UnixNano(), n, medium)
					item := load.Item{Key: key, Size: largest}
					if len(outputs) > 0 {
						o := outputs[medium%len(outputs)]
						item.Size, item.DType, item.Shape, item.Cost = o.Size(), o.DType, o.Shape, o.Cost()
					}
					items = append(items, item)
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
	}
	return ctx.Err()
}

func (t *test) pattern() (pattern.Pattern, error) {
	p, err := pattern.ByName(t.Pattern, pattern.Shape{Seed: t.Seed, Requests: int(t.Requests), Engines: t.Clients})
	if err != nil {
		return p, usageError{err}
	}
	return p, nil
}

func (t *test) mediaName() string {
	if t.Size != nil {
		return bytesize.Format(t.Size.Of(0))
	}
	return t.Encoder
}

// overload asks ten times what the target can do.
func (t *test) overload(ctx context.Context) error {
	outputs, largest, err := t.outputs()
	if err != nil {
		return err
	}
	targets, err := t.targets(ctx)
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
	item := load.Item{Size: largest}
	if len(outputs) > 0 {
		o := outputs[len(outputs)-1]
		item.DType, item.Shape = o.DType, o.Shape
	}
	result, err := overload.Run(ctx, overload.Options{
		Target: targets[0], Item: item, Payloads: load.NewPayloads(t.Seed, largest),
		Duration: t.duration(10 * time.Second), Verify: load.Verify(t.Verify), Ops: ops,
		Progress: func(what string, m load.Moment) {
			t.line.show("%s  %4.1f s  %d requests  %.2f GB  %d refused", what, m.Seconds, m.Requests, float64(m.Bytes)/1e9, m.Refused)
		},
	})
	if err != nil {
		return err
	}
	t.report.Results = []*load.Result{result.Peak, result.Over}
	fmt.Fprintf(t.out, "Under overload %s did %.2f of its best and refused %d requests, %d of them without saying when to come again.\n",
		targets[0].Name, result.Goodput(), result.Over.Refused, result.Over.Unexcused)
	if peak := result.Over.ServerPeakBytes; peak > 0 {
		fmt.Fprintf(t.out, "Its resident memory peaked at %s, %.2f of its %s.\n",
			bytesize.Format(peak), float64(peak)/float64(t.Memory.Of(0)), t.Memory)
	}
	return nil
}

// serving simulates engines over a service.
func (t *test) serving(ctx context.Context) error {
	outputs, _, err := t.outputs()
	if err != nil {
		return err
	}
	if len(outputs) != 1 {
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
	service, err := client.New(client.Options{BaseURL: targets[0].URL, Token: t.Token})
	if err != nil {
		return usageError{err}
	}
	defer service.Close()
	payloads := load.NewPayloads(t.Seed, outputs[0].Size())
	buf := make([]byte, 0, outputs[0].Size())
	result, err := serving.Run(ctx, service, serving.Config{
		Seed: t.Seed, Engines: t.Clients, Requests: int(t.Requests), Rate: t.Rate, Media: outputs[0], Pattern: p,
		Payload: func(key string, size int64) []byte {
			value := payloads.Value(load.Item{Key: key, Size: size})
			return value.Bytes(buf[:0])
		},
		Progress: func(done, all int) { t.line.show("%d of %d requests", done, all) },
	})
	if err != nil {
		return err
	}
	t.report.Serving = result
	return nil
}

// compare holds keepsight against what is installed.
func (t *test) compare(ctx context.Context) error {
	raw, err := peer.Raw(ctx, func(port int) []string { return []string{"--serve-raw", strconv.Itoa(port)} }, t.peerOptions())
	if err != nil {
		return err
	}
	t.keep(raw)
	targets, putOnly, missing, err := t.contenders(ctx)
	if err != nil {
		return err
	}
	t.report.Compare, err = compare.Run(ctx, compare.Options{
		Targets: targets, PutOnly: putOnly,
		Raw: strings.TrimPrefix(raw.Targets[0].URL, "raw://"), Congestion: t.Congestion,
		Rows: t.rows(), Rounds: t.Rounds, Duration: t.duration(time.Second),
		MemoryBytes: t.Memory.Of(0), Verify: load.Verify(t.Verify), Seed: t.Seed,
		Progress: func(done, all int, row compare.Row, target string) {
			t.line.show("%d of %d  %s of %s, %d clients: %s", done, all, row.Op, bytesize.Format(row.Size), row.Clients, target)
		},
	})
	if err != nil {
		return err
	}
	t.report.Compare.Missing = missing
	return nil
}

// contenders starts keepsight, without a disk tier and with one, and the peers that are installed.
func (t *test) contenders(ctx context.Context) (targets []load.Target, putOnly map[string]bool, missing []string, err error) {
	putOnly = make(map[string]bool)
	for _, disk := range []int64{0, t.DiskSize.Of(0)} {
		p, err := t.start(ctx, func(program string, o peer.Options) (*peer.Peer, error) {
			return peer.Keepsight(ctx, program, disk, o)
		})
		if err != nil {
			return nil, nil, nil, err
		}
		for _, target := range p.Targets {
			putOnly[target.Name] = disk > 0 // what is read comes from memory with a disk tier, too
		}
		targets = append(targets, p.Targets...)
		if t.DiskSize.Of(0) == 0 {
			break
		}
	}
	for _, start := range []func(context.Context, peer.Options) (*peer.Peer, error){peer.Redis, peer.Memcached, peer.Nginx} {
		p, err := start(ctx, t.peerOptions())
		if errors.Is(err, peer.ErrMissing) {
			name, _, _ := strings.Cut(err.Error(), " ")
			missing = append(missing, name)
			continue
		}
		if err != nil {
			return nil, nil, nil, err
		}
		t.keep(p)
		targets = append(targets, p.Targets...)
	}
	return targets, putOnly, missing, nil
}

// rows are what --compare does: every operation with every size, number of connections and number of entries.
func (t *test) rows() (rows []compare.Row) {
	entries := t.Entries
	if len(entries) == 0 {
		entries = []int64{0}
	}
	for _, op := range t.Ops {
		for _, size := range t.Sizes {
			for _, n := range entries {
				for _, clients := range t.Connections {
					row := compare.Row{Op: load.Op(op), Size: size.Of(0), Clients: clients, Entries: n}
					if row.Op == load.Lookup && size != t.Sizes[0] {
						continue // the size of what is asked about does not matter
					}
					rows = append(rows, row)
				}
			}
		}
	}
	return rows
}

// serveRaw is the other end of the raw loopback stream, a process like the servers that are compared with it.
func serveRaw(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return load.ServeRaw(l)
}
