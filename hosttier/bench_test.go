package hosttier

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func benchTier(b *testing.B, bytes int64) *Tier {
	b.Helper()
	memory, err := arena.New(arena.Options{Bytes: bytes})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { memory.Close() })
	return open(b, Options{Arena: memory}, seededHash())
}

// store puts one embedding of a unit whose payload nobody looks at.
func store(b *testing.B, tier *Tier, i int, written bool) {
	extent, err := tier.Reserve(context.Background(), arena.Unit)
	if err != nil {
		b.Fatal(err)
	}
	meta := tiers.Meta{DType: "U8", Shape: []int64{1}, Size: 1}
	e := tiers.NewEmbedding(tiertest.Name(fmt.Sprint(i)), meta, extent)
	if written {
		e.MarkClean()
	}
	if err := tier.Put(context.Background(), e); err != nil {
		b.Fatal(err)
	}
	e.Release()
}

// BenchmarkGet reads 1,000 embeddings from all cores.
func BenchmarkGet(b *testing.B) {
	const entries = 1000
	tier := benchTier(b, 2*entries*arena.Unit)
	ids := make([]tiers.ID, entries)
	for i := range ids {
		store(b, tier, i, clean)
		ids[i] = tiertest.Name(fmt.Sprint(i)).ID()
	}
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			e, err := tier.Get(context.Background(), ids[i%entries])
			if err != nil {
				b.Error(err)
				return
			}
			e.Release()
		}
	})
}

// BenchmarkPutEvicting puts small embeddings into a tier of 25,000 units and evicts for each, with a writer
// that keeps up and with one that has stopped.
func BenchmarkPutEvicting(b *testing.B) {
	const units = 25_000
	for name, written := range map[string]bool{"clean": clean, "unwritten": unwritten} {
		b.Run(name, func(b *testing.B) {
			tier := benchTier(b, units*arena.Unit)
			for i := range units {
				store(b, tier, i, written)
			}
			for i := units; b.Loop(); i++ {
				store(b, tier, i, written)
			}
		})
	}
}

// BenchmarkPut8MiB reserves, copies and puts 8 MiB in a full tier, and reports how the total compares with
// plain copies of 8 MiB made in turn.
func BenchmarkPut8MiB(b *testing.B) {
	const size = 8 << 20
	tier := benchTier(b, 32*size)
	source, plain := make([]byte, size), make([]byte, size)
	for i := range source {
		source[i] = byte(i)
	}
	put := func(i int) {
		extent, err := tier.Reserve(context.Background(), size)
		if err != nil {
			b.Fatal(err)
		}
		copy(extent.Bytes(), source)
		meta := tiers.Meta{DType: "U8", Shape: []int64{size}, Size: size}
		e := tiers.NewEmbedding(tiertest.Name(fmt.Sprint(i)), meta, extent)
		e.MarkClean()
		if err := tier.Put(context.Background(), e); err != nil {
			b.Fatal(err)
		}
		e.Release()
	}
	for i := range 64 { // every page is faulted in and the tier is full
		put(i)
	}
	var putTook, plainTook time.Duration
	b.SetBytes(size)
	for i := 64; b.Loop(); i++ {
		start := time.Now()
		put(i)
		putTook += time.Since(start)
		b.StopTimer()
		start = time.Now()
		copy(plain, source)
		plainTook += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(putTook)/float64(plainTook), "put/memcpy")
}
