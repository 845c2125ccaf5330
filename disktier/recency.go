package disktier

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/errors/oserror"
	"github.com/zeebo/xxh3"
)

// recencyName is the file of what the policy knew at the last clean stop: for each value its sequence and one
// byte of use count and queue, from the next to be evicted to the last, then an xxh3-64 of all that.
const recencyName = "recency"

const (
	recencyEntry = 9
	recencyMain  = 0x80 // the value is in the main queue
)

func (t *Tier) saveRecency() error {
	t.mu.Lock()
	b := make([]byte, 0, len(t.stored.nodes)*recencyEntry+8)
	for _, q := range []*queue{&t.policy.small, &t.policy.main} {
		for n := q.tail; n != nil; n = n.prev {
			state := n.uses
			if q == &t.policy.main {
				state |= recencyMain
			}
			b = append(binary.LittleEndian.AppendUint64(b, n.sequence), state)
		}
	}
	t.mu.Unlock()
	b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
	return writeFile(t.opts.FS, t.dir, recencyName, b)
}

// loadRecency fills the policy with the nodes, which come in the order they were written. What the file
// knows goes first and as it was; the rest, after a crash all, by age: the newest tenth of the bytes into the small queue.
func (t *Tier) loadRecency(nodes []*node) {
	known, err := t.readRecency()
	if err != nil {
		t.log.Warn("recency is not loaded", "error", err)
	}
	var units int64
	for _, n := range nodes {
		units += n.units()
	}
	for _, entry := range known {
		i, found := slices.BinarySearchFunc(nodes, entry.sequence, func(n *node, sequence uint64) int {
			return cmp.Compare(n.sequence, sequence)
		})
		if !found || nodes[i].queue != nil {
			continue
		}
		n := nodes[i]
		n.uses = entry.state & maxUses
		if entry.state&recencyMain != 0 {
			t.policy.main.push(n)
		} else {
			t.policy.small.push(n)
		}
	}
	var passed int64
	for _, n := range nodes {
		passed += n.units()
		switch {
		case n.queue != nil:
		case passed <= units-units/10:
			t.policy.main.push(n)
		default:
			t.policy.small.push(n)
		}
	}
}

type recencyState struct {
	sequence uint64
	state    byte
}

func (t *Tier) readRecency() ([]recencyState, error) {
	b, err := readFile(t.opts.FS, t.opts.FS.PathJoin(t.dir, recencyName))
	if oserror.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeRecency(b)
}

var errRecency = errors.New("damaged recency file")

func decodeRecency(b []byte) ([]recencyState, error) {
	if len(b)%recencyEntry != 8 {
		return nil, fmt.Errorf("%w: %d bytes", errRecency, len(b))
	}
	b, sum := b[:len(b)-8], binary.LittleEndian.Uint64(b[len(b)-8:])
	if xxh3.Hash(b) != sum {
		return nil, fmt.Errorf("%w: checksum differs", errRecency)
	}
	entries := make([]recencyState, 0, len(b)/recencyEntry)
	for ; len(b) > 0; b = b[recencyEntry:] {
		entries = append(entries, recencyState{sequence: binary.LittleEndian.Uint64(b), state: b[8]})
	}
	return entries, nil
}
