package tiers_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestEmbeddingIsFreedOnceByTheLastRelease(t *testing.T) {
	memory := tiertest.Arena(t, mib)
	e := tiertest.Embedding(t, tiertest.FromArena(memory), tiertest.Name("k"), 5000)
	var group sync.WaitGroup
	var late atomic.Int64
	for range 16 {
		e.Retain()
		group.Go(func() {
			for range 100 {
				if !e.TryRetain() {
					t.Error("an embedding that is held could not be retained")
					return
				}
				e.Release()
			}
			e.Release()
		})
	}
	e.Release()
	group.Wait()
	if memory.Used() != 0 {
		t.Error("the last release did not free the extent")
	}
	for range 16 {
		group.Go(func() {
			if e.TryRetain() {
				late.Add(1)
			}
		})
	}
	group.Wait()
	if late.Load() != 0 {
		t.Errorf("%d retains of a freed embedding succeeded", late.Load())
	}
}

func TestMisuseOfReferencesPanics(t *testing.T) {
	misuse := map[string]func(*tiers.Embedding){
		"release of a freed embedding": func(e *tiers.Embedding) { e.Release() },
		"retain of a freed embedding":  func(e *tiers.Embedding) { e.Retain() },
	}
	for what, f := range misuse {
		t.Run(what, func(t *testing.T) {
			e := tiertest.Embedding(t, tiertest.FromArena(tiertest.Arena(t, mib)), tiertest.Name("k"), 10)
			e.Release()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f(e)
		})
	}
}

// What an extent held before must not leave the process behind a shorter embedding.
func TestTailIsZeroed(t *testing.T) {
	memory := tiertest.Arena(t, mib)
	extent, err := memory.Alloc(8192)
	if err != nil {
		t.Fatal(err)
	}
	for i := range extent.Bytes() {
		extent.Bytes()[i] = 0xff
	}
	meta := tiers.Meta{DType: "U8", Shape: []int64{4097}, Size: 4097}
	e := tiers.NewEmbedding(tiertest.Name("k"), meta, extent)
	defer e.Release()
	if len(e.Blocks()) != 8192 || len(e.Bytes()) != 4097 {
		t.Fatalf("%d bytes in blocks of %d, want 4097 in 8192", len(e.Bytes()), len(e.Blocks()))
	}
	for i, b := range e.Blocks()[4097:] {
		if b != 0 {
			t.Fatalf("byte %d of the tail is %#x", i, b)
		}
	}
}
