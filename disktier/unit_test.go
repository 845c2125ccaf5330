package disktier

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestFreeSpace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 200
		s := newFreeSpace()
		s.add(run{0, total})
		var taken [][]run
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if len(taken) > 0 && rapid.Bool().Draw(t, "free") {
				i := rapid.IntRange(0, len(taken)-1).Draw(t, "which")
				for _, r := range taken[i] {
					s.add(r)
				}
				taken = slices.Delete(taken, i, i+1)
			} else {
				units := rapid.Int64Range(1, 60).Draw(t, "units")
				before, longest := s.units, longestRun(s)
				runs := s.alloc(units)
				switch {
				case runs == nil && units <= longest:
					t.Fatalf("%d units do not fit, the longest run has %d", units, longest)
				case runs == nil && s.units != before:
					t.Fatal("a failed allocation kept units")
				case runs != nil && units <= longest && len(runs) > 1:
					t.Fatalf("%d units lie in %d runs, one of %d was free", units, len(runs), longest)
				case runs != nil:
					taken = append(taken, runs)
				}
			}
			owned := make([]bool, total)
			sum := s.units
			mark := func(r run) {
				for u := r.start; u < r.end(); u++ {
					if owned[u] {
						t.Fatalf("unit %d belongs to two", u)
					}
					owned[u] = true
				}
			}
			for _, f := range s.byStart {
				mark(f.run)
			}
			for _, runs := range taken {
				if len(runs) > maxRuns {
					t.Fatalf("%d runs", len(runs))
				}
				for _, r := range runs {
					mark(r)
					sum += int64(r.units)
				}
			}
			if sum != total {
				t.Fatalf("%d units of %d", sum, total)
			}
		}
		for _, runs := range taken {
			for _, r := range runs {
				s.add(r)
			}
		}
		if len(s.byStart) != 1 || longestRun(s) != total {
			t.Fatalf("free runs are not joined: %d, the longest %d", len(s.byStart), longestRun(s))
		}
	})
}

func longestRun(s *freeSpace) (longest int64) {
	for _, f := range s.byStart {
		longest = max(longest, int64(f.units))
	}
	return longest
}

func TestPolicyKeepsWhatIsUsedThroughAScan(t *testing.T) {
	const capacity = 100
	p := newPolicy(capacity)
	live := map[string]*node{}
	access := func(key string) {
		if n := live[key]; n != nil {
			p.use(n)
			return
		}
		for p.small.units+p.main.units >= capacity {
			v := p.victim()
			p.remove(v)
			delete(live, nodeKey(v))
		}
		n := &node{size: unitBytes, heapIndex: -1}
		copy(n.id[:], key)
		p.add(n)
		live[key] = n
	}
	hot := func() (hits int) {
		for i := range 50 {
			if live[fmt.Sprint("hot", i)] != nil {
				hits++
			}
			access(fmt.Sprint("hot", i))
		}
		return hits
	}
	for range 4 {
		hot()
	}
	for i := range 10 * capacity {
		access(fmt.Sprint("scan", i))
	}
	if hits := hot(); hits != 50 {
		t.Errorf("a scan of ten times the capacity left %d of 50 used values", hits)
	}
}

func nodeKey(n *node) string { return string(bytes.TrimRight(n.id[:], "\x00")) }

func TestPolicyRemembersWhatItEvictedTooSoon(t *testing.T) {
	p := newPolicy(10)
	n := &node{size: unitBytes, id: tiers.ID{1}}
	p.add(n)
	if v := p.victim(); v != n {
		t.Fatalf("victim %v", v)
	}
	p.remove(n)
	p.add(n)
	if n.queue != &p.main {
		t.Error("a value that came back is not in the main queue")
	}
	for i := range 3 * minGhosts {
		p.ghosts.remember(tiers.ID{2, byte(i), byte(i >> 8)})
	}
	if len(p.ghosts.known) > minGhosts || len(p.ghosts.order) > minGhosts {
		t.Errorf("%d ghosts", len(p.ghosts.known))
	}
}

func TestPolicyFindsAVictimAmongWhatWasUsed(t *testing.T) {
	for uses := range uint8(maxUses + 1) {
		p := newPolicy(10)
		n := &node{size: unitBytes}
		p.add(n)
		n.uses = uses
		if p.victim() != n {
			t.Errorf("no victim after %d uses", uses)
		}
	}
}

func TestPolicyWithoutVictims(t *testing.T) {
	p := newPolicy(10)
	if p.victim() != nil {
		t.Error("a victim of nothing")
	}
	for i := range 5 {
		p.add(&node{size: unitBytes, id: tiers.ID{byte(i)}, pins: 1})
	}
	if p.victim() != nil {
		t.Error("a pinned victim")
	}
}

func sampleRecord() record {
	name := tiertest.Name("sku/1 ü")
	meta := tiers.Meta{
		DType: "BF16", Shape: []int64{3, 5, 7000}, Size: 210_000, Extra: []byte(`{"grid_thw":[1,2,3]}`),
		Safetensors: []byte(`{}`), Sum: [16]byte{1, 2, 3}, Cost: time.Second, TTL: time.Hour,
	}
	return record{name: name, meta: meta, runs: []run{{7, 1}, {100, 3}}, sequence: 42, expires: 1_800_000_000_000_000_000}
}

func TestRecordRoundTrip(t *testing.T) {
	want := sampleRecord()
	id := want.name.ID()
	b := appendRecord([]byte("before"), id, want)[len("before"):]
	got, err := decodeRecord(id, b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}, run{})); diff != "" {
		t.Error(diff)
	}
	for i := range b {
		for _, bit := range []byte{1, 0x80} {
			c := slices.Clone(b)
			c[i] ^= bit
			if _, err := decodeRecord(id, c); !errors.Is(err, errDamagedRecord) {
				t.Fatalf("byte %d changed by %x: %v", i, bit, err)
			}
		}
		if _, err := decodeRecord(id, b[:i]); !errors.Is(err, errDamagedRecord) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestRecordsThatCannotBe(t *testing.T) {
	for name, edit := range map[string]func(*record){
		"another name":      func(r *record) { r.name.Key = "other" },
		"no runs":           func(r *record) { r.runs = nil },
		"an empty run":      func(r *record) { r.runs = []run{{7, 4}, {100, 0}} },
		"a run past 2^32":   func(r *record) { r.runs = []run{{1<<32 - 2, 4}} },
		"too many runs":     func(r *record) { r.runs = slices.Repeat([]run{{1, 1}}, 9) },
		"too few units":     func(r *record) { r.runs = r.runs[:1] },
		"a size too large":  func(r *record) { r.meta.Size++ },
		"an unknown dtype":  func(r *record) { r.meta.DType = "X" },
		"a negative TTL":    func(r *record) { r.meta.TTL = -1 },
		"no JSON":           func(r *record) { r.meta.Extra = []byte("{") },
		"an empty shape":    func(r *record) { r.meta.Shape = nil },
		"a negative extent": func(r *record) { r.meta.Shape = []int64{-1} },
	} {
		r := sampleRecord()
		id := r.name.ID()
		edit(&r)
		if _, err := decodeRecord(id, appendRecord(nil, id, r)); !errors.Is(err, errDamagedRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRecord gives the decoder bodies whose checksum is right, since the checksum keeps all others from it.
func FuzzRecord(f *testing.F) {
	r := sampleRecord()
	id := r.name.ID()
	sample := appendRecord(nil, id, r)
	f.Add(sample[:len(sample)-8])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		b := slices.Clone(body)
		sum := recordSum(id, b)
		for range 8 {
			b = append(b, byte(sum))
			sum >>= 8
		}
		r, err := decodeRecord(id, b)
		if err != nil {
			if !errors.Is(err, errDamagedRecord) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeRecord(id, appendRecord(nil, id, r))
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(record{}, run{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

func TestSeparate(t *testing.T) {
	mk := func(id byte, sequence uint64, runs ...run) *node { // one value of that id
		return &node{id: tiers.ID{id}, sequence: sequence, runs: runs}
	}
	l := newLoader(1<<20, nil)
	l.nodes = []*node{
		mk(1, 1, run{0, 10}), mk(2, 2, run{5, 10}), // 2 is newer
		mk(3, 9, run{20, 10}), mk(4, 4, run{25, 2}), mk(5, 5, run{28, 10}), // 3 is newest
		mk(6, 6, run{50, 4}, run{52, 4}), // with itself
		mk(7, 7, run{60, 1}),
	}
	l.separate()
	var left []byte
	for _, n := range l.nodes {
		left = append(left, n.id[0])
	}
	if want := []byte{2, 3, 7}; !bytes.Equal(left, want) || len(l.damaged) != 4 {
		t.Errorf("left are %v, want %v; damaged %v", left, want, l.damaged)
	}
}

func TestGaps(t *testing.T) {
	l := newLoader(1<<20, nil)
	l.nodes = []*node{{runs: []run{{2, 3}, {10, 1}}}, {runs: []run{{5, 1}}}}
	l.separate()
	want := []run{{0, 2}, {6, 4}, {11, 1}}
	if got := l.gaps(12); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
