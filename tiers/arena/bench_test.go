package arena

import (
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkAllocFree replaces random extents of mixed sizes among 100,000 in use.
func BenchmarkAllocFree(b *testing.B) {
	const extents = 100_000
	a := newArena(b, Options{Bytes: extents * 4 * Unit})
	rng := rand.New(rand.NewPCG(1, 2))
	held := make([]*Extent, 0, extents)
	for range extents {
		x, err := a.Alloc(Unit * (1 + rng.Int64N(6)))
		if err != nil {
			break
		}
		held = append(held, x)
	}
	b.ReportMetric(float64(len(held)), "extents")
	for b.Loop() {
		i := rng.IntN(len(held))
		size := held[i].Len()
		held[i].Free()
		held[i] = mustAlloc(b, a, size)
	}
	b.StopTimer()
	for _, x := range held {
		x.Free()
	}
}

// BenchmarkWindow asks for a window among 100,000 extents, none of which may go.
func BenchmarkWindow(b *testing.B) {
	const extents = 100_000
	a := newArena(b, Options{Bytes: extents * Unit})
	held := make([]*Extent, extents)
	for i := range held {
		held[i] = mustAlloc(b, a, Unit)
	}
	for i := 0; b.Loop(); i++ {
		if _, ok := a.Window(8*Unit, func(x *Extent) bool { return x.Owner() != nil }); ok {
			b.Fatal("found a window")
		}
	}
	b.StopTimer()
	for _, x := range held {
		x.Free()
	}
}

// BenchmarkStore8MiB copies 8 MiB into a recycled extent, into memory touched for the first time, and between
// plain slices, in turns, and reports how the totals compare with the plain copy.
func BenchmarkStore8MiB(b *testing.B) {
	const size = 8 << 20
	source, plain := make([]byte, size), make([]byte, size)
	for i := range source {
		source[i] = byte(i)
	}
	recycled := newArena(b, Options{Bytes: 2 * size})
	store := func(a *Arena) time.Duration {
		start := time.Now()
		x := mustAlloc(b, a, size)
		copy(x.Bytes(), source)
		took := time.Since(start)
		x.Free()
		return took
	}
	store(recycled)
	copy(plain, source)
	var recycledTook, freshTook, plainTook time.Duration
	b.SetBytes(size)
	for b.Loop() {
		recycledTook += store(recycled)
		b.StopTimer()
		start := time.Now()
		copy(plain, source)
		plainTook += time.Since(start)
		fresh, err := New(Options{Bytes: size})
		if err != nil {
			b.Fatal(err)
		}
		freshTook += store(fresh)
		if err := fresh.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(recycledTook)/float64(plainTook), "recycled/memcpy")
	b.ReportMetric(float64(freshTook)/float64(plainTook), "fresh/memcpy")
}
