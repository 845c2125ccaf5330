package arena

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// TestModel runs random operations and holds the arena against a map of units that knows nothing of runs.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.IntRange(1, 40).Draw(t, "units")
		a, err := New(Options{Bytes: int64(units) * Unit, Poison: true})
		if err != nil {
			t.Fatal(err)
		}
		taken := make([]*Extent, units)
		var held []*Extent
		free := func(i int) {
			x := held[i]
			held = slices.Delete(held, i, i+1)
			x.Free()
			for u := range taken {
				if taken[u] == x {
					taken[u] = nil
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				size := rapid.Int64Range(1, int64(units+1)*Unit).Draw(t, "size")
				need := int((size + Unit - 1) / Unit)
				best := bestFit(taken, need)
				x, err := a.Alloc(size)
				if best == 0 {
					if !errors.Is(err, ErrFull) {
						t.Fatalf("alloc %d with no run of %d units: %v", size, need, err)
					}
					return
				}
				if err != nil {
					t.Fatalf("alloc %d with a run of %d units: %v", size, best, err)
				}
				start := int(x.block.off / Unit)
				if got := runAt(taken, start); got != best {
					t.Fatalf("alloc of %d units cut a run of %d, the best has %d", need, got, best)
				}
				for u := start; u < start+need; u++ {
					if taken[u] != nil {
						t.Fatalf("unit %d is in two extents", u)
					}
					taken[u] = x
				}
				held = append(held, x)
			},
			"free": func(t *rapid.T) {
				if len(held) > 0 {
					free(rapid.IntRange(0, len(held)-1).Draw(t, "which"))
				}
			},
			"window": func(t *rapid.T) {
				checkWindow(t, a, taken, rapid.IntRange(1, units).Draw(t, "need"), movables(t, held))
			},
			"": func(t *rapid.T) { checkBlocks(t, a, taken) },
		})
		for len(held) > 0 {
			free(0)
		}
		checkBlocks(t, a, taken)
		if a.blocks.next != nil {
			t.Fatal("everything is free, in more than one run")
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// bestFit returns the length of the shortest free run of at least need units, or 0.
func bestFit(taken []*Extent, need int) int {
	best := 0
	for start := range taken {
		if start > 0 && taken[start-1] == nil {
			continue // not the start of a run
		}
		if n := runAt(taken, start); n >= need && (best == 0 || n < best) {
			best = n
		}
	}
	return best
}

// runAt returns how many units from start are free.
func runAt(taken []*Extent, start int) int {
	n := 0
	for start+n < len(taken) && taken[start+n] == nil {
		n++
	}
	return n
}

func movables(t *rapid.T, held []*Extent) map[*Extent]bool {
	movable := make(map[*Extent]bool)
	for _, x := range held {
		if rapid.Bool().Draw(t, "movable") {
			movable[x] = true
		}
	}
	return movable
}

// checkWindow compares Window with a trial of every address.
func checkWindow(t *rapid.T, a *Arena, taken []*Extent, need int, movable map[*Extent]bool) {
	best := int64(-1)
	for start := 0; start+need <= len(taken); start++ {
		inside := make(map[*Extent]bool)
		for _, x := range taken[start : start+need] {
			if x != nil {
				inside[x] = true
			}
		}
		var cost int64
		for x := range inside {
			if !movable[x] {
				cost = -1
				break
			}
			cost += x.Len()
		}
		if cost >= 0 && (best < 0 || cost < best) {
			best = cost
		}
	}

	asked := make(map[*Extent]int)
	extents, ok := a.Window(int64(need)*Unit, func(x *Extent) bool {
		asked[x]++
		return movable[x]
	})
	for x, times := range asked {
		if times > 1 {
			t.Fatalf("movable was asked %d times about the extent at %d", times, x.block.off)
		}
	}
	if ok != (best >= 0) {
		t.Fatalf("window of %d units found: %v, want %v", need, ok, best >= 0)
	}
	var cost int64
	for _, x := range extents {
		cost += x.Len()
		if !movable[x] {
			t.Fatalf("the window holds an extent that may not move")
		}
	}
	if ok && cost != best {
		t.Fatalf("window of %d units costs %d bytes, the best %d", need, cost, best)
	}
	if ok && !fitsWithout(taken, need, extents) {
		t.Fatalf("freeing the window's extents leaves no run of %d units", need)
	}
}

func fitsWithout(taken []*Extent, need int, extents []*Extent) bool {
	left := slices.Clone(taken)
	for u, x := range left {
		if slices.Contains(extents, x) {
			left[u] = nil
		}
	}
	return bestFit(left, need) > 0
}

// checkBlocks demands that blocks and free runs describe what is taken, and are coalesced.
func checkBlocks(t *rapid.T, a *Arena, taken []*Extent) {
	runs := make(map[int64]int)
	var off, used int64
	for b := a.blocks; b != nil; b = b.next {
		if b.off != off || b.len <= 0 || b.len%Unit != 0 {
			t.Fatalf("block at %d has length %d, expected at %d", b.off, b.len, off)
		}
		if b.next != nil && (b.next.prev != b || b.extent == nil && b.next.extent == nil) {
			t.Fatalf("block at %d: broken link, or two free neighbours", b.off)
		}
		for u := b.off / Unit; u < (b.off+b.len)/Unit; u++ {
			if taken[u] != b.extent {
				t.Fatalf("unit %d belongs to somebody else", u)
			}
		}
		if b.extent == nil {
			runs[b.len]++
		} else {
			used += b.len
			if addr := uintptr(unsafe.Pointer(&b.extent.Bytes()[0])); addr%4096 != 0 || b.extent.Len() != b.len {
				t.Fatalf("extent of %d bytes at address %x", b.extent.Len(), addr)
			}
		}
		off += b.len
	}
	if off != a.Size() || used != a.Used() || used > a.Size() {
		t.Fatalf("blocks end at %d of %d, used are %d, counted %d", off, a.Size(), used, a.Used())
	}
	listed := make(map[int64]int)
	for length, b := range a.free.first {
		for ; b != nil; b = b.sameNext {
			listed[length]++
		}
	}
	if !maps.Equal(runs, listed) || !slices.Equal(a.free.lengths, slices.Sorted(maps.Keys(runs))) {
		t.Fatalf("free runs %v, listed %v, lengths %v", runs, listed, a.free.lengths)
	}
}
