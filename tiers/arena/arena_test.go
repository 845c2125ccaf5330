package arena

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
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
