package serving

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/internal/encoder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCache is a service whose calls take stated times of a clock of its own.
type fakeCache struct {
	time                time.Time
	lookups, puts, gets time.Duration

	values map[string][]byte
	owners map[string]string // of claims
	// before happens before a call takes effect, for every key it names. It may change what is there, and its
	// error is the call's.
	before func(call, key string) error
}

// newFake takes 1 ms for a lookup, 4 for a PUT, 3 for a GET.
func newFake() *fakeCache {
	return &fakeCache{
		lookups: ms(1), puts: ms(4), gets: ms(3),
		values: make(map[string][]byte),
		owners: make(map[string]string),
		before: func(string, string) error { return nil },
	}
}

func (f *fakeCache) now() time.Time { return f.time }

func (f *fakeCache) begin(ctx context.Context, took time.Duration, call string, keys ...string) error {
	f.time = f.time.Add(took)
	errs := []error{ctx.Err()}
	for _, key := range keys {
		errs = append(errs, f.before(call, key))
	}
	return errors.Join(errs...)
}

func (f *fakeCache) Lookup(ctx context.Context, owner string, keys []string) ([]api.State, string, error) {
	if err := f.begin(ctx, f.lookups, "lookup", keys...); err != nil {
		return nil, "", err
	}
	states, claim := make([]api.State, len(keys)), ""
	for i, key := range keys {
		switch holder := f.owners[key]; {
		case f.values[key] != nil:
			states[i] = api.Hit
		case holder == "" || holder == owner:
			f.owners[key], states[i], claim = owner, api.Claimed, "claim of "+owner
		default:
			states[i] = api.Pending
		}
	}
	return states, claim, nil
}

func (f *fakeCache) Put(ctx context.Context, key string, body []byte, claim string) error {
	delete(f.owners, key) // whether it succeeds or not
	if err := f.begin(ctx, f.puts, "put", key); err != nil {
		return err
	}
	if old := f.values[key]; old != nil && !bytes.Equal(old, body) {
		return errors.New("other bytes are stored")
	}
	f.values[key] = bytes.Clone(body)
	return nil
}

func (f *fakeCache) Get(ctx context.Context, key string, buf []byte) error {
	if err := f.begin(ctx, f.gets, "get", key); err != nil {
		return err
	}
	if f.values[key] == nil {
		return errMissing
	}
	copy(buf, f.values[key])
	return nil
}

func (f *fakeCache) Delete(ctx context.Context, key string) error {
	if err := f.begin(ctx, 0, "delete", key); err != nil {
		return err
	}
	delete(f.values, key)
	return nil
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

const megabyte = 1_000_000

// tiny is a configuration to calculate with: an embedding has 1 MB, is encoded in 74 ms and copied in 1 ms.
func tiny(t *testing.T, engines int) Config {
	t.Helper()
	return resolve(t, Config{
		Engines:            engines,
		Media:              encoder.Output{Name: "tiny", Namespace: "tiny", DType: "BF16", Shape: []int64{1000, 500}},
		PCIeBytesPerSecond: 1e9,
	})
}

func resolve(t fataler, c Config) Config {
	t.Helper()
	c, err := c.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// of is a request for media, with a prefill of 20 ms.
func of(at, decode time.Duration, media ...int) arrival {
	return arrival{at: at, media: media, prefill: ms(20), decode: decode}
}
