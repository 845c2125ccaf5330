package compare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/loadtest/load"
)

const (
	// lookupKeys is how many keys one lookup asks about.
	lookupKeys = 64
	// readBytes is how much is stored for reads, in how many values at least and at most: several times what a
	// processor caches.
	readBytes  = 256 << 20
	leastReads = 4
	mostReads  = 4096
	// readShare is the part of a server's memory that this may take: what evicts must not evict it.
	readShare = 4
	// prepareTime bounds the storing of what is going to be read or pushed out.
	prepareTime = 5 * time.Minute
	// prepareTries lets a full server find out that what was just stored matters more than what is old: memcached and
	// keepsight take two.
	prepareTries = 3
)

// prepare stores what is going to be read and checks it, or fills the memory of a server that has to store.
func (c *comparison) prepare(ctx context.Context, row Row, t load.Target) (err error) {
	if row.Op == load.Put {
		return c.fill(ctx, row, t)
	}
	for range prepareTries {
		if err = c.store(ctx, row, t); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

// store puts the values of a row and reads each of them once.
func (c *comparison) store(ctx context.Context, row Row, t load.Target) error {
	keys := c.keys(row)
	each := func(op load.Op) (*load.Result, error) {
		return load.Run(ctx, t, load.Traffic{
			Name: "prepare", Clients: 1, Duration: prepareTime, Requests: keys,
			Payloads: c.payloads, Largest: row.Size, Verify: load.VerifyAll,
			Next: func(n int64) load.Request {
				return load.Request{Op: op, Items: []load.Item{{Key: key(row, n), Size: row.Size}}}
			},
		})
	}
	result, err := each(load.Put)
	if err != nil {
		return err
	}
	if result.Operations() < keys {
		return fmt.Errorf("%d of %d values were stored, %d refused: %s", result.Operations(), keys, result.Refused, result.FirstError)
	}
	if result, err = each(load.Get); err != nil {
		return err
	}
	if hits, _ := result.Hits(); hits < keys || result.Wrong > 0 {
		return fmt.Errorf("%d of %d values came back, %d of them wrong: %s", hits, keys, result.Wrong, result.FirstError)
	}
	return nil
}

// fill stores more than a server's memory holds, once for each server however many ways lead to it. One that
// overwrites has used its memory after the first round.
func (c *comparison) fill(ctx context.Context, row Row, t load.Target) error {
	if t.Overwrites || c.full[t.PID] || t.PID == 0 {
		return nil
	}
	c.full[t.PID] = true
	traffic := c.traffic(row, t)
	traffic.Clients, traffic.Duration = 1, prepareTime
	traffic.Requests = max(1, c.MemoryBytes/row.Size*5/4)
	result, err := load.Run(ctx, t, traffic)
	if err == nil && result.Errors > 0 {
		err = errors.New(result.FirstError)
	}
	return err
}

// keys is how many values reads of a row are spread over.
func (c *comparison) keys(row Row) int64 {
	switch {
	case row.Entries > 0:
		return row.Entries
	case row.Op == load.Lookup:
		return lookupKeys
	}
	return max(leastReads, min(min(readBytes, c.MemoryBytes/readShare)/row.Size, mostReads))
}

func key(row Row, n int64) string { return fmt.Sprintf("%s-%d-%d", row.Op, row.Size, n) }

// traffic is what a target gets in one round.
func (c *comparison) traffic(row Row, t load.Target) load.Traffic {
	traffic := load.Traffic{
		Name: string(row.Op), Clients: row.Clients, Duration: c.Duration,
		Payloads: c.payloads, Largest: row.Size, Verify: c.Verify,
	}
	keys := c.keys(row)
	switch row.Op {
	case load.Lookup:
		questions := questions(row, keys)
		traffic.Next = func(n int64) load.Request {
			return load.Request{Op: load.Lookup, Question: questions[n%int64(len(questions))]}
		}
	case load.Put:
		first := c.stored
		c.stored += 1 << 32 // no round stores as many
		traffic.Next = func(n int64) load.Request {
			if n += first; t.Overwrites {
				n %= keys
			}
			return load.Request{Op: load.Put, Items: []load.Item{{Key: key(row, n), Size: row.Size}}}
		}
	default:
		traffic.Next = func(n int64) load.Request {
			return load.Request{Op: load.Get, Items: []load.Item{{Key: key(row, n%keys), Size: row.Size}}}
		}
	}
	return traffic
}

// questions spread lookups over the keys of a row. Each is encoded once.
func questions(row Row, keys int64) []*load.Question {
	const most = 64 // different ones
	questions := make([]*load.Question, min(most, max(1, keys/lookupKeys)))
	for q := range questions {
		questions[q] = new(load.Question)
		for n := range int64(lookupKeys) {
			spread := (int64(q)*lookupKeys + n) * max(1, keys/most/lookupKeys)
			questions[q].Keys = append(questions[q].Keys, key(row, spread%keys))
		}
	}
	return questions
}
