package disktier

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

const (
	crashDir      = "KEEPSIGHT_CRASH_DIR"
	crashFirst    = "KEEPSIGHT_CRASH_FIRST"
	crashCapacity = "KEEPSIGHT_CRASH_CAPACITY"

	tightCapacity = 48 << 20 // extents are recycled many times
	wideCapacity  = 4 << 30  // nothing is evicted
)

func crashOptions(a *arena.Arena, capacity int64) Options {
	return Options{CapacityBytes: capacity, BlockBytes: 20 << 20, IndexMemoryBytes: minIndexMemory, Reserve: tiertest.FromArena(a)}
}

func crashName(i int) tiers.Name { return tiertest.Name(fmt.Sprint("crash/", i)) }

// crashSize spreads sizes over a few units to a few dozen.
func crashSize(i int) int64 { return int64(i*7919%(2<<20)) + 1 }

// crashChild is the process that the kill -9 loop kills: it opens the tier of KEEPSIGHT_CRASH_DIR and stores
// values from several goroutines, printing the number of each that was acknowledged, and "-" and the number of
// each whose deletion was.
func crashChild() {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return
	}
	first, _ := strconv.Atoi(os.Getenv(crashFirst))
	capacity, _ := strconv.ParseInt(os.Getenv(crashCapacity), 10, 64)
	a, err := arena.New(arena.Options{Bytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	tier, err := Open(dir, crashOptions(a, capacity))
	if err != nil {
		panic(err)
	}
	fmt.Println("open")
	const writers = 4
	for w := range writers {
		go func() {
			for i := first + w; ; i += writers {
				if err := put(tier, crashName(i), crashSize(i)); err != nil {
					panic(err)
				}
				fmt.Println(i)
				if i%10 == 0 {
					if err := tier.Delete(context.Background(), crashName(i).ID()); err != nil {
						panic(err)
					}
					fmt.Println("-" + strconv.Itoa(i))
				}
			}
		}()
	}
	io.Copy(io.Discard, os.Stdin) // until killed
	os.Exit(1)
}

// TestKill9 kills a process that stores values, again and again, and looks at what is left each time. Every value that was
// acknowledged is there bit for bit, or was evicted, and no deleted one has come back; Check finds nothing. In every second
// cycle the tier is new and so wide that it evicts nothing, and all that was acknowledged must be there.
func TestKill9(t *testing.T) {
	cycles := 6
	if os.Getenv("KEEPSIGHT_LONG") != "" {
		cycles = 50
	}
	l := crashLoop{T: t, arena: tiertest.Arena(t, 64<<20)}
	rng := newRand(uint64(time.Now().UnixNano()))
	tight := t.TempDir()
	for cycle := range cycles {
		dir, capacity := tight, int64(tightCapacity)
		if cycle%2 == 0 {
			dir, capacity = t.TempDir(), wideCapacity
		}
		l.cycle(dir, capacity, cycle, time.Duration(20+rng.IntN(200))*time.Millisecond)
	}
	t.Logf("%d cycles, %d values acknowledged, %d there after the kill, slowest open %v", cycles, l.acked, l.found, l.slowest)
	if l.slowest > 5*time.Second {
		t.Errorf("opening took %v", l.slowest)
	}
	if l.acked == 0 || l.found == 0 {
		t.Error("the loop tested nothing")
	}
}

type crashLoop struct {
	*testing.T
	arena        *arena.Arena
	acked, found int
	slowest      time.Duration
}

func (l *crashLoop) cycle(dir string, capacity int64, cycle int, after time.Duration) {
	acked, deleted := runAndKill(l.T, dir, capacity, cycle*1_000_000, after)
	if _, err := Check(background, dir, CheckOptions{}, func(d Damage) { l.Errorf("cycle %d: damage %+v", cycle, d) }); err != nil {
		l.Fatal(err)
	}
	start := time.Now()
	tier := open(l.T, dir, crashOptions(l.arena, capacity))
	l.slowest = max(l.slowest, time.Since(start))
	for i := range acked {
		found := has(l.T, tier, crashName(i))
		if found {
			l.found++
		}
		if found && deleted[i] {
			l.Fatalf("cycle %d: %d came back after its delete", cycle, i)
		}
		// A deletion that was on its way when the process died may have been done.
		if !found && i%10 != 0 && capacity == wideCapacity {
			l.Fatalf("cycle %d: %d was acknowledged and is lost", cycle, i)
		}
	}
	if s := tier.Stats(); s.Corruptions != 0 || len(s.Notes) != 0 {
		l.Errorf("cycle %d: %d corruptions, notes %v", cycle, s.Corruptions, s.Notes)
	}
	l.acked += len(acked)
	closeTier(l.T, tier)
}

// runAndKill starts a child, kills it some time after it has opened the tier, and returns what it acknowledged.
func runAndKill(t *testing.T, dir string, capacity int64, first int, after time.Duration) (acked, deleted map[int]bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("%s=%d", crashFirst, first), fmt.Sprintf("%s=%d", crashCapacity, capacity))
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acked, deleted = map[int]bool{}, map[int]bool{}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		i, err := strconv.Atoi(lines.Text())
		switch {
		case lines.Text() == "open":
			time.AfterFunc(after, func() { child.Process.Kill() })
		case err != nil:
			t.Fatalf("child says %q", lines.Text())
		case i < 0 || lines.Text() == "-0":
			deleted[-i] = true
		default:
			acked[i] = true
		}
	}
	child.Wait()
	return acked, deleted
}
