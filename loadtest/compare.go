package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/loadtest/compare"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/peer"
)

// compare holds keepsight against what is installed.
func (t *test) compare(ctx context.Context) error {
	raw, err := peer.Raw(ctx, func(port int) []string { return []string{"--serve-raw", strconv.Itoa(port)} }, t.peerOptions())
	if err != nil {
		return err
	}
	t.keep(raw)
	rows := t.rows()
	var parts []*compare.Result
	for _, size := range sizes(rows) {
		ofSize := slices.DeleteFunc(slices.Clone(rows), func(row compare.Row) bool { return row.Size != size })
		part, err := t.compareRows(ctx, raw.Address, ofSize)
		if err != nil {
			return err
		}
		parts = append(parts, part)
	}
	t.report.Compare = compare.Join(rows, parts)
	return nil
}

// compareRows starts the servers, compares them and ends them. Values of each size get servers of their own: memory
// that is cut up for small values is of little use for large ones, to memcached of none.
func (t *test) compareRows(ctx context.Context, raw string, rows []compare.Row) (result *compare.Result, err error) {
	before := len(t.peers)
	defer func() { err = errors.Join(err, t.closePeers(before)) }()
	c, err := t.contenders(ctx)
	if err != nil {
		return nil, err
	}
	result, err = compare.Run(ctx, compare.Options{
		Targets: c.targets, PutOnly: c.putOnly,
		Raw: raw, Congestion: t.Congestion,
		Rows: rows, Rounds: t.Rounds, Duration: t.duration(time.Second),
		MemoryBytes: t.Memory.Of(0), Verify: t.verify(load.VerifySample), Seed: t.Seed,
		Progress: func(done, all int, row compare.Row, target string) {
			t.line.show("%d of %d  %s of %s, %d clients: %s", done, all, row.Op, bytesize.Format(row.Size), row.Clients, target)
		},
	})
	if err != nil {
		return nil, err
	}
	result.Missing = c.missing
	return result, nil
}

// sizes returns the sizes of rows, each once.
func sizes(rows []compare.Row) (sizes []int64) {
	for _, row := range rows {
		if !slices.Contains(sizes, row.Size) {
			sizes = append(sizes, row.Size)
		}
	}
	return sizes
}

// contenders are who is compared.
type contenders struct {
	targets []load.Target
	putOnly map[string]bool // by the names of targets
	missing []string        // names of peers
}

// contenders starts keepsight without a disk tier, and the peers that are installed. Where values are stored, a
// keepsight with a disk tier takes part, too: what is read comes from memory with either.
func (t *test) contenders(ctx context.Context) (contenders, error) {
	c := contenders{putOnly: make(map[string]bool)}
	p, err := t.startKeepsight(ctx, "keepsight", 0)
	if err != nil {
		return c, err
	}
	c.targets = p.Targets
	if size := t.DiskSize.Of(0); size > 0 && slices.Contains(t.Ops, string(load.Put)) {
		if p, err = t.startKeepsight(ctx, "+disk", size); err != nil {
			return c, err
		}
		tcp := p.Targets[0]
		c.targets = append(c.targets, tcp)
		c.putOnly[tcp.Name] = true
	}
	for _, other := range []struct {
		name  string
		start func(context.Context, peer.Options) (*peer.Peer, error)
	}{
		{"redis", peer.Redis}, {"memcached", peer.Memcached}, {"nginx", peer.Nginx},
	} {
		if !slices.Contains(t.Peers, other.name) {
			continue
		}
		p, err := other.start(ctx, t.peerOptions())
		if errors.Is(err, peer.ErrMissing) {
			c.missing = append(c.missing, other.name)
			continue
		}
		if err != nil {
			return c, err
		}
		t.keep(p)
		c.targets = append(c.targets, p.Targets...)
	}
	return c, nil
}

// lookupSize is what is stored for lookups. The size of what they ask about does not matter, as long as a server that
// is full of what has been read a thousand times lets it in.
const lookupSize = 4 << 10

// rows are what --compare does: every operation with every size, number of connections and number of entries.
func (t *test) rows() (rows []compare.Row) {
	entries := t.Entries
	if len(entries) == 0 {
		entries = []int64{0}
	}
	for _, op := range t.Ops {
		sizes := t.Sizes
		if load.Op(op) == load.Lookup {
			sizes = []bytesize.Size{bytesize.Bytes(lookupSize)}
		}
		for _, size := range sizes {
			for _, n := range entries {
				for _, clients := range t.Connections {
					rows = append(rows, compare.Row{Op: load.Op(op), Size: size.Of(0), Clients: clients, Entries: n})
				}
			}
		}
	}
	return rows
}
