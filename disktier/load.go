package disktier

import (
	"cmp"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/keepsight/keepsight/tiers"
)

// A loader reads an index and decides what of it is good.
type loader struct {
	blockBytes int64
	whole      []int64       // bytes of each block file that were there when it was opened
	clock      time.Duration // the tier's time and the wall's, when the loader was made
	wall       int64

	nodes   []*node
	claims  []claim // of nodes, by address; set by separate
	scope   *scope  // of the last record: most share theirs with the one before
	expired []tiers.ID
	damaged map[tiers.ID]string // records to drop, and what is wrong with them
	strange [][]byte            // keys that no record can have
	epochs  map[tiers.Scope]uint64
}

func newLoader(blockBytes int64, whole []int64) *loader {
	return &loader{
		blockBytes: blockBytes, whole: whole, scope: new(scope),
		damaged: map[tiers.ID]string{}, epochs: map[tiers.Scope]uint64{},
	}
}

func (t *Tier) newLoader(whole []int64) *loader {
	l := newLoader(t.blocks.blockBytes, whole)
	l.clock, l.wall = t.clock(), t.opts.Now().UnixNano()
	return l
}

// load fills the tier from its index.
func (t *Tier) load(l *loader) error {
	if dropped := len(l.damaged) + len(l.strange); dropped > 0 {
		t.log.Error("records were damaged or named lost extents, and are dropped", "records", dropped)
		t.health.note(noteRecordsLost)
		t.counters.corruptions += uint64(dropped)
	}
	t.counters.evictions[tiers.EvictedExpired] += uint64(len(l.expired))
	// A broken index is rewritten before anything is committed, and that leaves these records out.
	x := t.index.Load()
	if err := l.forget(x); x.fs.frozen() || err != nil && !x.fs.isBroken() {
		return errDisk
	}
	t.epochs = l.epochs
	slices.SortFunc(l.nodes, func(a, b *node) int { return cmp.Compare(a.sequence, b.sequence) })
	t.loadRecency(l.nodes)
	t.stored = newDirectory(len(l.nodes))
	for _, n := range l.nodes {
		t.stored.add(n)
		t.sequence = max(t.sequence, n.sequence)
	}
	for _, r := range l.gaps(t.blocks.held / unitBytes) {
		t.space.free.add(r)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trim() // the bound may be lower than it was
	return nil
}

// load reads the index. It fails only when the index cannot be read, and not for what is in it.
func (l *loader) load(x *index) error {
	err := l.scan(x, func(id tiers.ID, r record) {
		n := l.node(id, r)
		if r.expires != 0 {
			// The wall clock may have jumped: a TTL never gets longer than it was, nor negative.
			rest := min(time.Duration(r.expires-l.wall), r.meta.TTL)
			if rest <= 0 {
				l.expired = append(l.expired, id)
				return
			}
			n.expires = expiryAt(l.clock, rest)
		}
		l.nodes = append(l.nodes, n)
	})
	if err != nil {
		return err
	}
	l.separate()
	return nil
}

func (l *loader) node(id tiers.ID, r record) *node {
	if l.scope.Scope != r.name.Scope {
		l.scope = &scope{Scope: r.name.Scope}
	}
	return &node{
		id: id, scope: l.scope, runs: r.runs,
		size: r.meta.Size, sequence: r.sequence, heapIndex: -1,
	}
}

// scan calls found for each record that is whole and whose extents are there.
func (l *loader) scan(x *index, found func(tiers.ID, record)) error {
	err := x.scan(recordPrefix, func(key, value []byte) {
		var id tiers.ID
		if len(key) != 1+len(id) {
			l.strange = append(l.strange, slices.Clone(key))
			return
		}
		copy(id[:], key[1:])
		r, err := decodeRecord(id, value)
		switch {
		case err != nil:
			l.damaged[id] = err.Error()
		case !l.backed(r.runs):
			l.damaged[id] = "block file is missing or short"
		default:
			found(id, r)
		}
	})
	if err != nil {
		return err
	}
	return x.scan(epochPrefix, func(key, value []byte) {
		if s, err := decodeEpoch(key, value); err != nil {
			l.strange = append(l.strange, slices.Clone(key))
		} else {
			l.epochs[scopeOfEpoch(s)] = s.Epoch
		}
	})
}

// backed reports whether the block files have the runs.
func (l *loader) backed(runs []run) bool {
	for _, r := range runs {
		offset, end := int64(r.start)*unitBytes, int64(r.end())*unitBytes
		for offset < end {
			i := offset / l.blockBytes
			last := min(end, (i+1)*l.blockBytes)
			if i >= int64(len(l.whole)) || last-i*l.blockBytes > l.whole[i] {
				return false
			}
			offset = last
		}
	}
	return true
}

// A claim is a run and who says it is his.
type claim struct {
	run
	node *node
}

// separate drops the older of two records that claim the same extent, so that what is left is disjoint. No
// crash makes such records; a damaged disk may.
func (l *loader) separate() {
	l.claims = make([]claim, 0, len(l.nodes))
	for _, n := range l.nodes {
		for _, r := range n.runs {
			l.claims = append(l.claims, claim{run: r, node: n})
		}
	}
	slices.SortFunc(l.claims, func(a, b claim) int { return cmp.Compare(a.start, b.start) })
	lost := map[*node]bool{}
	var last claim
	for _, c := range l.claims {
		if lost[c.node] {
			continue
		}
		if last.node != nil && !lost[last.node] && c.start < last.end() {
			loser := c.node
			if c.node.sequence > last.node.sequence {
				loser = last.node
			}
			lost[loser] = true
			l.damaged[loser.id] = "extent belongs to a newer value"
			if loser == c.node {
				continue
			}
		}
		last = c
	}
	if len(lost) > 0 {
		l.nodes = slices.DeleteFunc(l.nodes, func(n *node) bool { return lost[n] })
		l.claims = slices.DeleteFunc(l.claims, func(c claim) bool { return lost[c.node] })
	}
}

// gaps returns the runs below units that nobody claims.
func (l *loader) gaps(units int64) []run {
	var free []run
	var next uint32
	for _, c := range l.claims {
		if c.start > next {
			free = append(free, run{start: next, units: c.start - next})
		}
		next = c.end()
	}
	if int64(next) < units {
		free = append(free, run{start: next, units: uint32(units) - next})
	}
	return free
}

// forget deletes the records that are not loaded, so that their extents may be used.
func (l *loader) forget(x *index) error {
	defer x.fs.freezeAfter(patience)()
	keys := l.strange
	for id := range l.damaged {
		keys = append(keys, recordKey(id))
	}
	for _, id := range l.expired {
		keys = append(keys, recordKey(id))
	}
	for chunk := range slices.Chunk(keys, 1024) {
		err := x.apply(func(b *pebble.Batch) error {
			for _, key := range chunk {
				if err := b.Delete(key, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
