package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/loadtest/load"
)

const (
	// maxClients keeps the load test within the descriptors and memory of a small machine.
	maxClients = 1024
	// maxDuration bounds a run that somebody forgets.
	maxDuration = time.Hour
	// maxRequests is more than anybody waits for, and what patterns need memory for.
	maxRequests = 10_000_000
	maxRounds   = 1000
	maxEntries  = 100_000_000
)

// A demand is something that flags must not be together.
type demand struct {
	wrong bool
	what  string
}

// check refuses what flags cannot be together. It returns the conditions.
func (f *flags) check() ([]load.Condition, error) {
	demands := append(f.togetherDemands(), f.numberDemands()...)
	for _, file := range []string{f.JSON, f.HTML, f.Chart} {
		info, err := os.Stat(filepath.Dir(file))
		demands = append(demands, demand{file != "" && (err != nil || !info.IsDir()),
			fmt.Sprintf("%s cannot be written: there is no directory %s", file, filepath.Dir(file))})
	}
	for _, d := range demands {
		if d.wrong {
			return nil, usagef("%s", d.what)
		}
	}
	if err := api.ValidateNamespace(f.Namespace); err != nil {
		return nil, usagef("--namespace: %w", err)
	}
	var conditions []load.Condition
	for _, text := range f.Assert {
		c, err := load.ParseCondition(text)
		if err != nil {
			return nil, usagef("--assert: %w", err)
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

func (f *flags) togetherDemands() []demand {
	return []demand{
		{f.Compare && f.Scenario != "traffic", "--compare has traffic of its own and goes with no other --scenario"},
		{f.Compare && len(f.Target) > 0, "--compare starts its servers and takes no --target"},
		{f.Scenario != "traffic" && len(f.Target) > 1, "--scenario " + f.Scenario + " takes one --target"},
		{f.Chart != "" && f.Scenario != "serving", "--chart is the picture of --scenario serving"},
		{f.Congestion != "" && len(f.Target) > 0, "--congestion is set on both ends, and those of a --target are not ours"},
		{len(f.Assert) > 0 && f.Compare, "--compare fails by itself when a server does, and takes no --assert"},
		{len(f.Assert) > 0 && f.Scenario == "serving", "--scenario serving checks itself and takes no --assert"},
		{f.Scenario == "serving" && f.Size != nil, "--scenario serving takes an --encoder, whose time it needs, and no --size"},
	}
}

func (f *flags) numberDemands() []demand {
	demands := []demand{
		{f.Clients <= 0 || f.Clients > maxClients, fmt.Sprintf("--clients must be 1 to %d", maxClients)},
		{f.Rounds <= 0 || f.Rounds > maxRounds, fmt.Sprintf("--rounds must be 1 to %d", maxRounds)},
		{f.Requests <= 0 || f.Requests > maxRequests, fmt.Sprintf("--requests must be 1 to %d", maxRequests)},
		{f.Duration < 0 || f.Duration > maxDuration, fmt.Sprintf("--duration must be at most %s", maxDuration)},
		{!(f.Rate >= 0) || math.IsInf(f.Rate, 0), "--rate must be a number of requests a second"},
		{!(f.Encode >= 0 && f.Encode <= 100), "--encode must be 0 to 100 times the encoder's time"},
		{len(f.Ops) == 0, "--ops must name what to do"},
		{len(f.Sizes) == 0 || len(f.Connections) == 0, "--sizes and --connections must name some"},
		{isShare(f.Memory) || f.Memory.Of(0) < 1<<20, "--memory must be at least 1MiB, and no share"},
		{isShare(f.DiskSize), "--disk-size must be no share"},
	}
	if f.Size != nil {
		demands = append(demands, sizeDemand("--size", *f.Size))
	}
	var largest int64
	for _, size := range f.Sizes {
		demands = append(demands, sizeDemand("--sizes", size))
		largest = max(largest, size.Of(0))
	}
	for _, n := range f.Connections {
		demands = append(demands,
			demand{n <= 0 || n > maxClients, fmt.Sprintf("--connections must be 1 to %d", maxClients)},
			demand{f.Compare && !fits(n, largest), buffersOf(n, largest) + ": fewer --connections or smaller --sizes"})
	}
	for _, n := range f.Entries {
		demands = append(demands, demand{n <= 0 || n > maxEntries, fmt.Sprintf("--entries must be 1 to %d", maxEntries)})
	}
	return demands
}

func sizeDemand(flag string, size bytesize.Size) demand {
	n := size.Of(0)
	return demand{isShare(size) || n < load.MinValue || n > load.MaxBuffers,
		fmt.Sprintf("%s must be %d bytes to %s, and no share", flag, load.MinValue, bytesize.Format(load.MaxBuffers))}
}

// isShare reports a size such as 25%, of which nobody knows the whole here.
func isShare(size bytesize.Size) bool { return size.Of(0) != size.Of(math.MaxInt64) }

// fits reports whether the memory that clients read into is within its bound.
func fits(clients int, largest int64) bool { return largest <= load.MaxBuffers/int64(max(clients, 1)) }

func buffersOf(clients int, largest int64) string {
	return fmt.Sprintf("%d clients that read values of %s need more memory than %s",
		clients, bytesize.Format(largest), bytesize.Format(load.MaxBuffers))
}
