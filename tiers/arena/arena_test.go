package arena

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newArena(t testing.TB, o Options) *Arena {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func mustAlloc(t testing.TB, a *Arena, size int64) *Extent {
	t.Helper()
	x, err := a.Alloc(size)
	if err != nil {
		t.Fatalf("alloc %d: %v", size, err)
	}
	return x
}

func TestNewRounds(t *testing.T) {
	a := newArena(t, Options{Bytes: 3*Unit + 5})
	if a.Size() != 3*Unit {
		t.Errorf("size %d, want %d", a.Size(), 3*Unit)
	}
	for _, bytes := range []int64{-1, 0, Unit - 1} {
		if _, err := New(Options{Bytes: bytes}); err == nil {
			t.Errorf("an arena of %d bytes was made", bytes)
		}
	}
}

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

func TestDoubleFreePanics(t *testing.T) {
	tests := []struct {
		name  string
		after func(a *Arena) *Extent // what happens between the two, and what it left allocated
	}{
		{"at once", func(*Arena) *Extent { return nil }},
		{"when its memory was given to another", func(a *Arena) *Extent { return mustAlloc(t, a, Unit) }},
		{"when its memory is part of another", func(a *Arena) *Extent { return mustAlloc(t, a, 4*Unit) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newArena(t, Options{Bytes: 4 * Unit})
			x := mustAlloc(t, a, Unit)
			x.Free()
			other := test.after(a)
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the second free went through")
					}
				}()
				x.Free()
			}()
			if other != nil {
				other.Free()
			}
		})
	}
}

func TestFreePoisons(t *testing.T) {
	a := newArena(t, Options{Bytes: Unit, Poison: true})
	x := mustAlloc(t, a, 1)
	clear(x.Bytes())
	x.Free()
	y := mustAlloc(t, a, 1)
	defer y.Free()
	if got := bytes.Count(y.Bytes(), []byte{poison}); got != Unit {
		t.Errorf("%d bytes of a freed extent are poisoned, want %d", got, Unit)
	}
}

func TestAllocOfNothingPanics(t *testing.T) {
	a := newArena(t, Options{Bytes: Unit})
	defer func() {
		if recover() == nil {
			t.Error("an empty extent was handed out")
		}
	}()
	a.Alloc(0)
}

func TestFreedWakesWaiters(t *testing.T) {
	a := newArena(t, Options{Bytes: Unit})
	x := mustAlloc(t, a, Unit)
	freed := a.Freed()
	var waiters sync.WaitGroup
	for range 2 {
		waiters.Go(func() { <-freed })
	}
	select {
	case <-freed:
		t.Fatal("woken before anything was freed")
	default:
	}
	x.Free()
	waiters.Wait()
	select {
	case <-a.Freed():
		t.Fatal("a new waiter was woken by an old free")
	default:
	}
}

func TestOwner(t *testing.T) {
	a := newArena(t, Options{Bytes: Unit})
	x := mustAlloc(t, a, Unit)
	defer x.Free()
	if x.Owner() != nil {
		t.Error("a new extent has an owner")
	}
	var both sync.WaitGroup // under the race detector
	both.Go(func() { x.SetOwner("tier") })
	both.Go(func() { x.Owner() })
	both.Wait()
	if x.Owner() != "tier" {
		t.Errorf("owner %v", x.Owner())
	}
	x.SetOwner(nil)
	if x.Owner() != nil {
		t.Error("the owner was not forgotten")
	}
}

func TestClose(t *testing.T) {
	t.Run("with an extent in use leaves it readable", func(t *testing.T) {
		a, err := New(Options{Bytes: 2 * Unit, Poison: true})
		if err != nil {
			t.Fatal(err)
		}
		x := mustAlloc(t, a, 1)
		if err := a.Close(); !errors.Is(err, ErrInUse) {
			t.Errorf("close: %v, want %v", err, ErrInUse)
		}
		x.Bytes()[0] = 1
		x.Free()
	})
	t.Run("ends Alloc and may be repeated", func(t *testing.T) {
		a := newArena(t, Options{Bytes: Unit})
		for range 2 {
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Alloc(1); !errors.Is(err, ErrClosed) {
			t.Errorf("alloc: %v, want %v", err, ErrClosed)
		}
	})
	t.Run("stops prefaulting", func(t *testing.T) {
		a, err := New(Options{Bytes: 1 << 30, Prefault: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil { // goleak sees a goroutine left behind
			t.Fatal(err)
		}
	})
}

func TestPrefaultChangesNothing(t *testing.T) {
	a := newArena(t, Options{Bytes: 5*prefaultStep + Unit, Prefault: true})
	x := mustAlloc(t, a, a.Size())
	defer x.Free()
	for i := range x.Bytes() {
		x.Bytes()[i] = byte(i)
	}
	a.region.done.Wait()
	for i, b := range x.Bytes() {
		if b != byte(i) {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}

func TestPrefaultMakesResident(t *testing.T) {
	a := newArena(t, Options{Bytes: 3*prefaultStep + Unit, Prefault: true})
	a.region.done.Wait()
	var stat unix.Stat_t
	if err := unix.Fstat(int(a.region.file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	if resident := stat.Blocks * 512; resident != a.Size() {
		t.Errorf("%d bytes of %d are resident", resident, a.Size())
	}
}
