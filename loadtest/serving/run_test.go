package serving

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/encoder"
	"github.com/keepsight/keepsight/loadtest/pattern"
)

// small are embeddings of 1,000 bytes, so that a run is quick.
func small() encoder.Output {
	return encoder.Output{Name: "small", Namespace: "small", DType: "BF16", Shape: []int64{50, 10}}
}

func encoded(t *testing.T, r *Result) string {
	t.Helper()
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSeedDeterminesTheResult(t *testing.T) {
	run := func(seed uint64, puts time.Duration) *Result {
		f := newFake()
		f.puts = puts
		r, err := compare(t.Context(), f, f.now, resolve(t, Config{Seed: seed, Requests: 100, Media: small()}))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := run(1, ms(4))
	if diff := cmp.Diff(encoded(t, first), encoded(t, run(1, ms(4)))); diff != "" {
		t.Errorf("the same seed twice:\n%s", diff)
	}
	if encoded(t, first) == encoded(t, run(2, ms(4))) {
		t.Error("another seed and the same result")
	}
	slower := run(1, ms(40))
	if diff := cmp.Diff(first.Policies[:2], slower.Policies[:2]); diff != "" {
		t.Errorf("what the service takes changes policies that do not use it:\n%s", diff)
	}
	if first.Run(Keepsight).FirstToken.Store >= slower.Run(Keepsight).FirstToken.Store {
		t.Error("what the service takes does not change the policy that uses it")
	}
}

func TestProgressAndCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake()
	var last, all int
	c := Config{Requests: 20, Media: small(), Progress: func(done, of int) {
		if done != last+1 {
			t.Errorf("%d done after %d", done, last)
		}
		if last, all = done, of; done == 50 {
			cancel()
		}
	}}
	if _, err := compare(ctx, f, f.now, resolve(t, c)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if last != 50 || all != 60 {
		t.Errorf("%d of %d requests were heard of, want 50 of 60", last, all)
	}
	if len(f.values) == 0 {
		t.Error("a run whose time has ended deleted embeddings")
	}
}

// A policy that does not let go, or says what is not so, is found out.
func TestInvariantsCatch(t *testing.T) {
	for name, broken := range map[string]func(*keepOnGPU) policy{
		"leak":               func(k *keepOnGPU) policy { return leaking{k} },
		"wrong books":        func(k *keepOnGPU) policy { return miscounting{k} },
		"lost requests":      func(k *keepOnGPU) policy { return forgetful{k} },
		"slow for no reason": func(k *keepOnGPU) policy { return idle{k} },
	} {
		s := newSimulation(tiny(t, 1), []arrival{of(0, ms(1), 7)})
		s.policy = broken(newKeepOnGPU(s))
		if err := s.run(t.Context()); !errors.Is(err, errInvariant) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := newKeepsight(&simulation{encodes: 2}, new(calls))
	if err := k.checkEncodes(1); !errors.Is(err, errInvariant) {
		t.Errorf("two encodes of one medium: %v", err)
	}
}

type (
	leaking     struct{ *keepOnGPU }
	miscounting struct{ *keepOnGPU }
	forgetful   struct{ *keepOnGPU }
	idle        struct{ *keepOnGPU }
)

func (leaking) finish(*request)   {}
func (miscounting) resident() int { return 0 }
func (forgetful) arrive(*request) {}
func (i idle) arrive(r *request)  { i.sim.clock.after(1, func() { i.keepOnGPU.arrive(r) }) }

func TestAnyWorkload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFake()
		f.lookups = ms(rapid.IntRange(0, 20).Draw(t, "lookup ms"))
		f.puts = ms(rapid.IntRange(0, 100).Draw(t, "put ms"))
		f.gets = ms(rapid.IntRange(0, 100).Draw(t, "get ms"))
		evicts := rapid.SampledFrom([]float64{0, 0, 0.1, 1}).Draw(t, "evicts")
		refuses := rapid.SampledFrom([]float64{0, 0, 0.1, 1}).Draw(t, "refuses")
		seed := rapid.Uint64().Draw(t, "seed")
		chance := rand.New(rand.NewPCG(seed, 1))
		f.before = func(call, key string) error {
			if chance.Float64() < evicts {
				delete(f.values, key)
			}
			if call != "delete" && chance.Float64() < refuses {
				return errRefused
			}
			return nil
		}
		media := pattern.SlidingWindow(rapid.IntRange(1, 4).Draw(t, "users"), 3, rapid.IntRange(1, 4).Draw(t, "window"))
		if rapid.Bool().Draw(t, "uniform") {
			media = pattern.UniformPool(seed, rapid.IntRange(1, 6).Draw(t, "pool"), 3)
		}
		r, err := compare(t.Context(), f, f.now, resolve(t, Config{
			Seed:           seed,
			Engines:        rapid.IntRange(1, 4).Draw(t, "engines"),
			Requests:       rapid.IntRange(1, 40).Draw(t, "requests"),
			Rate:           rapid.Float64Range(1, 100).Draw(t, "rate"),
			Media:          small(),
			Pattern:        media,
			OutputTokens:   rapid.IntRange(1, 100).Draw(t, "output tokens"),
			HostCacheBytes: rapid.Int64Range(1, 6000).Draw(t, "host cache"),
		}))
		if err != nil {
			t.Fatal(err)
		}
		checkResult(t, r, evicts == 0 && refuses == 0)
	})
}

// checkResult checks what the simulation does not check itself.
func checkResult(t *rapid.T, r *Result, faithful bool) {
	for i, p := range []Policy{KeepOnGPU, MoveToHost, Keepsight} {
		run := r.Policies[i]
		if run.Policy != p {
			t.Fatalf("policy %d is %s", i, run.Policy)
		}
		if run.Encodes < r.Distinct {
			t.Fatalf("%s: %d encodes of %d media", p, run.Encodes, r.Distinct)
		}
		if p != Keepsight && run.Encodes > r.Media {
			t.Fatalf("%s: %d encodes for %d media asked for", p, run.Encodes, r.Media)
		}
		if last := run.Residency[len(run.Residency)-1]; last.Bytes != 0 {
			t.Fatalf("%s: %d bytes are left", p, last.Bytes)
		}
		if run.Percentile(50) > run.Percentile(90) || run.Percentile(90) > run.Percentile(99) {
			t.Fatalf("%s: percentiles %v", p, run.Latency)
		}
	}
	if faithful && (r.Run(Keepsight).Encodes != r.Distinct || r.Service.Evicted+r.Service.Doubled+r.Service.Refused > 0) {
		t.Fatalf("%d encodes of %d media, and %+v", r.Run(Keepsight).Encodes, r.Distinct, r.Service)
	}
}

func TestConfigIsRefused(t *testing.T) {
	c, err := client.New(client.Options{BaseURL: "http://service.invalid"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	crowd := func(int) []int {
		media := make([]int, 257)
		for i := range media {
			media[i] = i
		}
		return media
	}
	for name, config := range map[string]Config{
		"engines":         {Engines: -1},
		"requests":        {Requests: -1},
		"rate":            {Rate: math.NaN()},
		"time":            {TimePerToken: -1},
		"bandwidth":       {PCIeBytesPerSecond: -1},
		"shape":           {Media: encoder.Output{Namespace: "a", Shape: []int64{1}}},
		"namespace":       {Media: encoder.Output{Namespace: "A", Shape: []int64{1, 1}}},
		"media a request": {Media: small(), Pattern: pattern.Pattern{Media: crowd}},
	} {
		if _, err := Run(t.Context(), c, config); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
