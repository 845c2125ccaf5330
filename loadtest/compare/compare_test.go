package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/load/faulty"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rawServer returns the address of a raw stream.
func rawServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = load.ServeRaw(l)
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

const size = 16 << 10

func options(t *testing.T, servers map[string]*faulty.Server, names ...string) Options {
	o := Options{
		Raw: rawServer(t), Rounds: 3, Duration: 20 * time.Millisecond, MemoryBytes: 1 << 20, Verify: load.VerifySample, Seed: 1,
		Rows: []Row{{Op: load.Get, Size: size, Clients: 2}, {Op: load.Put, Size: size, Clients: 1}},
	}
	for _, name := range names {
		o.Targets = append(o.Targets, load.Target{Name: name, URL: servers[name].Target()})
	}
	return o
}

func TestTargetsTakeTurns(t *testing.T) {
	servers := map[string]*faulty.Server{
		"one": faulty.Start(t, faulty.Faults{}), "other": faulty.Start(t, faulty.Faults{}), "put only": faulty.Start(t, faulty.Faults{}),
	}
	o := options(t, servers, "one", "other", "put only")
	o.PutOnly = map[string]bool{"put only": true}
	var turns []string
	last := 0
	o.Progress = func(done, all int, row Row, target string) {
		if want := 3 * (2 + 3); all != want || done < last || done >= all {
			t.Errorf("%d of %d after %d", done, all, last)
		}
		last = done
		turns = append(turns, fmt.Sprintf("%s %s", row.Op, target))
	}
	result, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	round := "get one, get other, "
	rounds := "put one, put other, put put only, "
	want := strings.Repeat(round, 4) + strings.Repeat(rounds, 4) // the first one is for preparation
	if got := strings.Join(turns, ", ") + ", "; got != want {
		t.Errorf("the turns are\n%s expected are\n%s", got, want)
	}
	if err := result.Check(); err != nil {
		t.Error(err)
	}
	if result.RawBytesPerSecond <= 0 || result.Rounds != 3 || len(result.Rows) != 2 || strings.Join(result.Targets, ", ") != "one, other, put only" {
		t.Errorf("%+v", result)
	}
	for i, names := range []string{"one other", "one other put only"} {
		row := result.Rows[i]
		for _, name := range []string{"one", "other", "put only"} {
			c, took := row.Cells[name]
			if expected := strings.Contains(names, name); took != expected {
				t.Errorf("%s took part in %s: %v", name, row.Op, took)
				continue
			}
			if took && (len(c.Rounds) != 3 || c.BytesPerSecond <= 0 || c.ShareOfRaw <= 0 || c.P50 <= 0 || c.P99 < c.P50 || c.FirstError != "") {
				t.Errorf("%s, %s: %+v", name, row.Op, c)
			}
		}
		if row.Ratio("one", "other") <= 0 {
			t.Errorf("one is not compared with other in %s", row.Op)
		}
	}
}

func TestReadsAreOfWhatFitsTheMemory(t *testing.T) {
	server := faulty.Start(t, faulty.Faults{})
	o := options(t, map[string]*faulty.Server{"one": server}, "one")
	o.Rows, o.Rounds = o.Rows[:1], 1
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got, most := int64(server.Keys("get-")), o.MemoryBytes/readShare/size; got != most {
		t.Errorf("%d values were stored, expected are %d", got, most)
	}
	o.Rows[0].Entries = 99
	server.Drop()
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := server.Keys("get-"); got != 99 {
		t.Errorf("%d values were stored, asked for were 99", got)
	}
}

// Whatever happens to one server, the others are compared.
func TestAServerThatFailsSpoilsItsOwnCells(t *testing.T) {
	var gets, flips, forgotten atomic.Int64
	const prepared = 1 << 20 / readShare / size // values that are stored, and read back once
	losing := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || gets.Add(1) <= prepared {
			return false
		}
		http.NotFound(w, r)
		return true
	}})
	flipping := faulty.Start(t, faulty.Faults{Corrupt: func(value []byte) []byte {
		if flips.Add(1) > prepared {
			value[0] ^= 1
		}
		return value
	}})
	bad := faulty.Start(t, faulty.Faults{Corrupt: func(value []byte) []byte { value[size/2] ^= 1; return value }})
	full := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || forgotten.Add(1) > prepared {
			return false
		}
		http.NotFound(w, r) // until it is stored a second time
		return true
	}})
	down := faulty.Start(t, faulty.Faults{})
	down.Close()
	servers := map[string]*faulty.Server{
		"good": faulty.Start(t, faulty.Faults{}), "losing": losing, "flipping": flipping, "bad": bad, "full": full, "down": down,
	}
	o := options(t, servers, "good", "losing", "flipping", "bad", "full", "down")
	o.Rows = o.Rows[:1]
	result, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	cells := result.Rows[0].Cells
	good := map[string]bool{"good": true, "full": true}
	for name := range good {
		if c := cells[name]; c.BytesPerSecond <= 0 || c.FirstError != "" {
			t.Errorf("the %s one: %+v", name, c)
		}
	}
	for name, want := range map[string]string{
		"losing":   "found nothing",
		"flipping": "another key",
		"bad":      "prepare", // of which a sample would not see the byte
		"down":     "refused",
	} {
		if c := cells[name]; !strings.Contains(c.FirstError, want) {
			t.Errorf("the %s one says %q, expected is %q", name, c.FirstError, want)
		}
	}
	err = result.Check()
	for name := range servers {
		if named := err != nil && strings.Contains(err.Error(), name+", get"); named == good[name] {
			t.Errorf("%s is named: %v in %v", name, named, err)
		}
	}
}

func TestAComparisonEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, map[string]*faulty.Server{"one": faulty.Start(t, faulty.Faults{})}, "one")
	o.Duration = time.Hour
	o.Raw = rawServer(t)
	o.Progress = func(int, int, Row, string) { cancel() }
	if result, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", result, err)
	}
}

func TestQuestionsAskForKeysThatAreStored(t *testing.T) {
	for _, keys := range []int64{1, lookupKeys, 5 * lookupKeys, 100_000} {
		row := Row{Op: load.Lookup, Size: size}
		stored := make(map[string]bool)
		for n := range keys {
			stored[key(row, n)] = true
		}
		asked := make(map[string]bool)
		for _, q := range questions(row, keys) {
			if len(q.Keys) != lookupKeys {
				t.Errorf("%d keys in a question", len(q.Keys))
			}
			for _, k := range q.Keys {
				asked[k] = true
				if !stored[k] {
					t.Fatalf("of %d keys, %q is asked for", keys, k)
				}
			}
		}
		if least := min(keys, 64*lookupKeys*9/10); int64(len(asked)) < least {
			t.Errorf("of %d keys, %d are asked for", keys, len(asked))
		}
	}
}
