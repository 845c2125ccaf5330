package serving

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

// Run simulates one workload under every policy. What it stores in the service lies in a namespace of its own
// and is deleted at the end, unless ctx has ended by then; what is left expires within an hour.
func Run(ctx context.Context, service *client.Client, c Config) (*Result, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	// 65 random bits tell this run from all others.
	namespace := c.Media.Namespace + ".serving-" + strings.ToLower(rand.Text()[:13])
	if err := api.ValidateNamespace(namespace); err != nil {
		return nil, fmt.Errorf("configure simulation: %w", err)
	}
	return compare(ctx, &clientCache{service, namespace, c.Media}, time.Now, c)
}

// compare runs the workload under every policy. c has its defaults; now measures the calls to the cache.
func compare(ctx context.Context, cache cache, now func() time.Time, c Config) (*Result, error) {
	workload, err := newWorkload(c)
	if err != nil {
		return nil, err
	}
	result := newResult(c, workload)
	progress := c.progress(len(workload))
	for _, p := range []Policy{KeepOnGPU, MoveToHost, Keepsight} {
		s := newSimulation(c, workload)
		s.progress = progress
		switch p {
		case KeepOnGPU:
			s.policy = newKeepOnGPU(s)
			err = s.run(ctx)
		case MoveToHost:
			s.policy = newMoveToHost(s)
			err = s.run(ctx)
		case Keepsight:
			result.Service, err = runKeepsight(ctx, cache, now, s, result.Distinct)
		}
		if err != nil {
			return nil, fmt.Errorf("simulate %s: %w", p, err)
		}
		result.add(p, s)
	}
	return result, nil
}

// runKeepsight runs a simulation that calls the cache, and deletes what it stored there.
func runKeepsight(ctx context.Context, cache cache, now func() time.Time, s *simulation, distinct int) (ServiceUse, error) {
	calls := newCalls(ctx, cache, now, s.config)
	defer calls.clean()
	k := newKeepsight(s, calls)
	s.policy = k
	if err := s.run(ctx); err != nil {
		return ServiceUse{}, err
	}
	if err := k.checkEncodes(distinct); err != nil {
		return ServiceUse{}, err
	}
	return ServiceUse{
		Lookup:  calls.lookups.measured(),
		Put:     calls.puts.measured(),
		Get:     calls.gets.measured(),
		Evicted: k.evicted,
		Doubled: k.doubled,
		Refused: calls.refused,
	}, nil
}

// progress returns what to call whenever one of so many requests has finished under some policy.
func (c Config) progress(requests int) func() {
	if c.Progress == nil {
		return func() {}
	}
	done, all := 0, 3*requests
	return func() {
		done++
		c.Progress(done, all)
	}
}
