package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/keepsight/keepsight/api"
)

// calls makes the calls of one run to the real cache, measures them, and compares what comes back with what
// was stored.
type calls struct {
	ctx     context.Context // of the run: calls are made as long as it lasts
	cache   cache
	payload func(key string, size int64) []byte
	buf     []byte // what GETs read into

	lookups, puts, gets meter
	refused             int
	stored              []int // media, in the order of their PUTs
}

func newCalls(ctx context.Context, cache cache, now func() time.Time, c Config) *calls {
	return &calls{
		ctx:     ctx,
		cache:   cache,
		payload: c.Payload,
		buf:     make([]byte, c.Media.Size()),
		lookups: meter{now: now},
		puts:    meter{now: now},
		gets:    meter{now: now},
	}
}

func key(medium int) string { return "medium-" + strconv.Itoa(medium) }

// lookup asks about media for an engine. Of a lookup that is refused, all media are missing.
func (c *calls) lookup(owner string, media []int) (states []api.State, claim string, took time.Duration, err error) {
	keys := make([]string, len(media))
	for i, m := range media {
		keys[i] = key(m)
	}
	took, err = c.lookups.time(0, func() (err error) {
		states, claim, err = c.cache.Lookup(c.ctx, owner, keys)
		return err
	})
	if errors.Is(err, errRefused) {
		c.refused++
		return slices.Repeat([]api.State{api.Missing}, len(media)), "", took, nil
	}
	return states, claim, took, err
}

// put stores what an engine made of a medium, unless the cache refuses.
func (c *calls) put(medium int, claim string) (stored bool, took time.Duration, err error) {
	body := c.payload(key(medium), int64(len(c.buf)))
	took, err = c.puts.time(int64(len(body)), func() error { return c.cache.Put(c.ctx, key(medium), body, claim) })
	switch {
	case errors.Is(err, errRefused):
		c.refused++
		return false, took, nil
	case err != nil:
		return false, took, err
	}
	if !slices.Contains(c.stored, medium) {
		c.stored = append(c.stored, medium)
	}
	return true, took, nil
}

// get reads an embedding and compares every byte. The error may be errMissing or errRefused.
func (c *calls) get(medium int) (took time.Duration, err error) {
	clear(c.buf) // what an earlier GET left must not pass for an answer
	took, err = c.gets.time(int64(len(c.buf)), func() error { return c.cache.Get(c.ctx, key(medium), c.buf) })
	if errors.Is(err, errRefused) {
		c.refused++
	}
	if err != nil {
		return took, err
	}
	want := c.payload(key(medium), int64(len(c.buf)))
	if !bytes.Equal(c.buf, want) {
		return took, fmt.Errorf("get %s: other bytes came back than were stored, from byte %d on", key(medium), firstDifference(c.buf, want))
	}
	return took, nil
}

func firstDifference(got, want []byte) int {
	shorter := min(len(got), len(want))
	for i := range shorter {
		if got[i] != want[i] {
			return i
		}
	}
	return shorter
}

// clean deletes what was stored. A failure is no loss: embeddings of a run expire.
func (c *calls) clean() {
	for _, medium := range c.stored {
		if c.cache.Delete(c.ctx, key(medium)) != nil {
			return // the others would fail as well
		}
	}
}
