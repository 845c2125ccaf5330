package disktier

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

// The disk under a benchmark is seldom quiet, so the ratios compare the tier with the bare system calls in the
// same run: five pairs, one after the other, and the median of their ratios.
const (
	benchValue  = 8 << 20
	benchValues = 64 // in a round
	benchPairs  = 5
)

func benchTier(b *testing.B, capacity int64) (*Tier, *arena.Arena) {
	a, err := arena.New(arena.Options{Bytes: 512 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	tier, err := Open(b.TempDir(), Options{CapacityBytes: capacity, Reserve: tiertest.FromArena(a)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tier.Close() })
	return tier, a
}

// embeddings makes n embeddings whose names differ from those of all other rounds.
func benchEmbeddings(b *testing.B, tier *Tier, round, n int) []*tiers.Embedding {
	all := make([]*tiers.Embedding, n)
	for i := range all {
		name := tiertest.Name(fmt.Sprintf("%d/%d", round, i))
		all[i] = tiertest.Embedding(b, tier.opts.Reserve, name, benchValue)
	}
	return all
}

// rawFile is a block file of its own, of the tier's shape, every extent written once.
func rawFile(b *testing.B, payload []byte) BlockFile {
	f, buffered, err := openBlockFile(filepath.Join(b.TempDir(), "raw"))
	if err != nil || buffered {
		b.Skipf("no O_DIRECT here: %v", err)
	}
	b.Cleanup(func() { f.Close() })
	if err := f.Resize(benchValues * benchValue); err != nil {
		b.Fatal(err)
	}
	for i := range int64(benchValues) {
		if _, err := f.WriteAt(payload, i*benchValue); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

// inParallel runs do(0) to do(n-1) on workers goroutines and returns how long it took.
func inParallel(workers, n int, do func(i int)) time.Duration {
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	start := time.Now()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	group.Wait()
	return time.Since(start)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func gigabytes(n int, d time.Duration) float64 { return float64(n) * benchValue / 1e9 / d.Seconds() }

// BenchmarkPut stores 8 MiB values durably in extents that were used before, against pwrite by O_DIRECT and fdatasync.
func BenchmarkPut(b *testing.B) {
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			tier, _ := benchTier(b, benchValues*benchValue+benchValue)
			round := 0
			puts := func() time.Duration {
				round++
				all := benchEmbeddings(b, tier, round, benchValues/2)
				took := inParallel(workers, len(all), func(i int) {
					if err := tier.Put(context.Background(), all[i]); err != nil {
						b.Error(err)
					}
				})
				for _, e := range all {
					e.Release()
				}
				return took
			}
			for range 3 {
				puts() // every extent is written once
			}
			e := tiertest.Embedding(b, tier.opts.Reserve, tiertest.Name("raw"), benchValue)
			defer e.Release()
			raw := rawFile(b, e.Blocks())
			raws := func() time.Duration {
				return inParallel(workers, benchValues/2, func(i int) {
					if _, err := raw.WriteAt(e.Blocks(), int64(i)*benchValue); err != nil {
						b.Error(err)
					}
					if err := raw.Datasync(); err != nil {
						b.Error(err)
					}
				})
			}
			for b.Loop() {
				compare(b, puts, raws, benchValues/2)
			}
		})
	}
}

// compare reports the median of the paired ratios, and of both throughputs.
func compare(b *testing.B, product, raw func() time.Duration, values int) {
	var ratios, products, raws []float64
	for range benchPairs {
		p, r := product(), raw()
		ratios = append(ratios, r.Seconds()/p.Seconds())
		products = append(products, gigabytes(values, p))
		raws = append(raws, gigabytes(values, r))
	}
	b.ReportMetric(median(ratios), "of-raw")
	b.ReportMetric(median(products), "GB/s")
	b.ReportMetric(median(raws), "raw-GB/s")
}

// BenchmarkGet reads 8 MiB values, checked, against pread by O_DIRECT.
func BenchmarkGet(b *testing.B) {
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			tier, a := benchTier(b, benchValues*benchValue+benchValue)
			all := benchEmbeddings(b, tier, 0, benchValues/2)
			for _, e := range all {
				if err := tier.Put(context.Background(), e); err != nil {
					b.Fatal(err)
				}
				e.Release()
			}
			buffer, err := a.Alloc(benchValue)
			if err != nil {
				b.Fatal(err)
			}
			defer buffer.Free()
			raw := rawFile(b, buffer.Bytes())
			gets := func() time.Duration {
				return inParallel(workers, len(all), func(i int) {
					e, err := tier.Get(context.Background(), all[i].ID)
					if err != nil {
						b.Error(err)
						return
					}
					e.Release()
				})
			}
			raws := func() time.Duration {
				return inParallel(workers, len(all), func(i int) {
					into, err := a.Alloc(benchValue)
					if err != nil {
						b.Error(err)
						return
					}
					if _, err := raw.ReadAt(into.Bytes(), int64(i)*benchValue); err != nil {
						b.Error(err)
					}
					into.Free()
				})
			}
			for b.Loop() {
				compare(b, gets, raws, len(all))
			}
		})
	}
}

// writtenBytes returns what this process has caused to be written to disk, by /proc/self/io.
func writtenBytes(t testing.TB) int64 {
	content, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skipf("no accounts of I/O here: %v", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if value, ok := bytes.CutPrefix(lines.Bytes(), []byte("write_bytes: ")); ok {
			n, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("no write_bytes in /proc/self/io")
	return 0
}

// BenchmarkWriteAmplification stores 2 GiB in 8 MiB values through a tier of a quarter of that.
func BenchmarkWriteAmplification(b *testing.B) {
	tier, _ := benchTier(b, benchValues*benchValue)
	e := benchEmbeddings(b, tier, 0, 1)[0]
	for b.Loop() {
		before := writtenBytes(b)
		for i := range 256 {
			// A put of the same name replaces: one embedding will do for all.
			if err := tier.Put(context.Background(), e); err != nil {
				b.Fatal(i, err)
			}
		}
		b.ReportMetric(float64(writtenBytes(b)-before)/(256*benchValue), "written/stored")
	}
	e.Release()
}

// fill stores n values under different names, all with the bytes of one.
func fill(b *testing.B, tier *Tier, n int, size int64) {
	like := tiertest.Embedding(b, tier.opts.Reserve, tiertest.Name("0"), size)
	defer like.Release()
	inParallel(8, n, func(i int) {
		// These are never released: the extent is like's.
		e := tiers.NewEmbedding(tiertest.Name(fmt.Sprint(i)), like.Meta, like.Extent())
		if err := tier.Put(context.Background(), e); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkEvict evicts 2 GiB and waits until all of it is free: evict-ms.
func BenchmarkEvict(b *testing.B) {
	for _, size := range []int64{benchValue, unitBytes} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			const total = 2 << 30
			tier, _ := benchTier(b, total+256<<20)
			for b.Loop() { // filling counts, or a loop of a second would fill the disk for an hour
				fill(b, tier, total/int(size), size)
				written, begin := writtenBytes(b), time.Now()
				tier.mu.Lock()
				for tier.evictOne(tiers.EvictedCapacity) {
				}
				tier.hurry()
				tier.mu.Unlock()
				if err := tier.SaveEpoch(context.Background(), tiers.Scope{}); err != nil {
					b.Fatal(err)
				}
				if s := tier.Stats(); s.UsedBytes != 0 {
					b.Fatalf("%d bytes are still used", s.UsedBytes)
				}
				b.ReportMetric(time.Since(begin).Seconds()*1e3, "evict-ms")
				b.ReportMetric(float64(writtenBytes(b)-written)/total, "rewritten/evicted")
			}
		})
	}
}

// BenchmarkReopen opens a tier of a million records after a clean stop and after a kill. Its block files are not there: what
// takes time is the index.
func BenchmarkReopen(b *testing.B) {
	const records = 1_000_000
	for _, clean := range []bool{true, false} {
		b.Run(fmt.Sprintf("clean=%v", clean), func(b *testing.B) {
			o := Options{
				CapacityBytes: 2 * records * unitBytes,
				Reserve:       func(context.Context, int64) (*arena.Extent, error) { return nil, tiers.ErrNoRoom },
				OpenBlocks:    func(string) (BlockFile, error) { return noBlocks{}, nil },
			}
			dir := b.TempDir()
			open := func() *Tier {
				tier, err := Open(dir, o)
				if err != nil {
					b.Fatal(err)
				}
				return tier
			}
			tier := open()
			fillIndex(b, tier, records)
			stop := func() {
				if !clean {
					tier.index.Load().fs.freeze()
				}
				if err := tier.Close(); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				b.StopTimer()
				stop()
				b.StartTimer()
				tier = open()
				if n := tier.Stats().Entries; n != records {
					b.Fatalf("%d records", n)
				}
			}
			tier.Close()
		})
	}
}

// fillIndex writes records of values that do not exist.
func fillIndex(b *testing.B, tier *Tier, n int) {
	payload := []byte{1}
	for first := 0; first < n; first += 1000 {
		err := tier.index.Load().apply(func(batch *pebble.Batch) error {
			for i := first; i < first+1000; i++ {
				name := tiertest.Name(fmt.Sprint(i))
				r := record{name: name, meta: tiertest.Meta(name, payload), runs: []run{{uint32(i), 1}}, sequence: uint64(i) + 1}
				if err := batch.Set(recordKey(name.ID()), appendRecord(nil, name.ID(), r), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := range tier.blocks.files {
		// The directory lists block files of the right size.
		if err := os.WriteFile(tier.blocks.path(i), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// noBlocks is a block file of any size that holds nothing.
type noBlocks struct{}

func (noBlocks) ReadAt([]byte, int64) (int, error)  { return 0, os.ErrInvalid }
func (noBlocks) WriteAt([]byte, int64) (int, error) { return 0, os.ErrInvalid }
func (noBlocks) Resize(int64) error                 { return nil }
func (noBlocks) Size() (int64, error)               { return defaultBlockBytes, nil }
func (noBlocks) Datasync() error                    { return nil }
func (noBlocks) Close() error                       { return nil }
