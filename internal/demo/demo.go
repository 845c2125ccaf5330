// Package demo shows keepsight at work: it runs a service of its own as a child process, stores embeddings
// with the shapes of well-known encoders, reads them from host memory, kills the service, reads them from
// disk, and checks every byte.
//
// It owns a temporary directory and the child, and leaves neither behind. It is a client like any other and
// knows the service only by its command line and its API.
package demo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/encoder"
)

// Options say what to run and whom to show it.
type Options struct {
	Binary string // the keepsight to run
	Out    io.Writer
}

// Budgets of the demonstration: the 155 MB below fit the memory, and a small machine has both.
const (
	memory   = "512MiB"
	diskSize = "1GiB"
)

// hostReads is how often each embedding is read from host memory; the table shows the median.
const hostReads = 3

// largest is the most bytes that are stored under one name: what the memory above takes.
const largest = 48 << 20

// samples returns what is stored, ordered by size.
func samples() (list []outcome) {
	for _, o := range encoder.Outputs() {
		if o.Size() <= largest {
			list = append(list, outcome{Output: o, tensor: api.Tensor{Size: o.Size(), DType: o.DType, Shape: o.Shape}})
		}
	}
	return list
}

// payload fills b with bytes that depend on seed alone, so that what comes back can be checked without keeping it.
func payload(b []byte, seed int) []byte {
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b) // never fails
	return b
}

// buffer returns memory for the largest sample, its pages touched, so that their first use is not on the clock.
func buffer(outcomes []outcome) []byte {
	b := make([]byte, outcomes[len(outcomes)-1].tensor.Size)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return b
}

// An outcome is what became of one encoder's output.
type outcome struct {
	encoder.Output
	tensor        api.Tensor
	put           time.Duration
	before, after read // the kill
}

// A read is how long a GET took and where the service found the bytes.
type read struct {
	took time.Duration
	tier string
}

// Run shows everything, at most for as long as ctx lives.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "keepsight-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(o.Out, "A service of its own in %s: %s of memory, %s of disk.\n\n", dir, memory, diskSize)

	outcomes := samples()
	step := stepper{o.Out}
	var first, second *child
	defer func() { first.kill(); second.kill() }()
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"start", func() (err error) { first, err = start(ctx, o.Binary, dir); return err }},
		{"store, durable on disk", func() error { return putAll(ctx, first, outcomes) }},
		{"read from host memory", func() error {
			return getAll(ctx, first, outcomes, hostReads, func(o *outcome, r read) { o.before = r })
		}},
		{"kill -9 and start again", func() (err error) {
			first.kill()
			second, err = start(ctx, o.Binary, dir)
			return err
		}},
		{"read from disk", func() error {
			return getAll(ctx, second, outcomes, 1, func(o *outcome, r read) { o.after = r })
		}},
	} {
		if err := step.run(s.name, s.do); err != nil {
			return err
		}
	}
	status, err := second.Status(ctx)
	if err != nil {
		return second.Explain(err)
	}
	fmt.Fprintln(o.Out)
	writeTable(o.Out, outcomes)
	writeSummary(o.Out, outcomes, status)
	return nil
}

// putAll stores one embedding per sample and notes how long each took.
func putAll(ctx context.Context, service *child, outcomes []outcome) error {
	memory := buffer(outcomes)
	for i := range outcomes {
		o := &outcomes[i]
		body := payload(memory[:o.tensor.Size], i)
		began := time.Now()
		_, err := service.Put(ctx, o.Namespace, key(i), body, api.PutHeader{
			DType: o.tensor.DType, Shape: o.tensor.Shape, Durability: api.DurabilityDisk,
		})
		if err != nil {
			return service.Explain(fmt.Errorf("store %s, %s: %w", o.Model, o.Media, err))
		}
		o.put = time.Since(began)
	}
	return nil
}

// getAll reads each embedding several times, checks every byte, and notes the median time and the tier.
func getAll(ctx context.Context, service *child, outcomes []outcome, times int, note func(*outcome, read)) error {
	stored, received := buffer(outcomes), buffer(outcomes)
	for i := range outcomes {
		o := &outcomes[i]
		want, got := payload(stored[:o.tensor.Size], i), received[:o.tensor.Size]
		reads := make([]read, times)
		for n := range reads {
			clear(got)
			began := time.Now()
			stat, err := service.Get(ctx, o.Namespace, key(i), got, client.GetOptions{
				Expect: &api.Expect{Size: o.tensor.Size, DType: o.tensor.DType, Shape: o.tensor.Shape},
			})
			if err != nil {
				return service.Explain(fmt.Errorf("read %s, %s: %w", o.Model, o.Media, err))
			}
			reads[n] = read{time.Since(began), stat.Tier}
			if !bytes.Equal(got, want) {
				return fmt.Errorf("read %s, %s: other bytes came back than were stored", o.Model, o.Media)
			}
		}
		slices.SortFunc(reads, func(a, b read) int { return cmp.Compare(a.took, b.took) })
		note(o, reads[len(reads)/2])
	}
	return nil
}

func key(i int) string { return fmt.Sprintf("demo-%d", i) }
