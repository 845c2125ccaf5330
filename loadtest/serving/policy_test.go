package serving

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A want is what a run must come to, calculated by hand.
type want struct {
	steps   []step
	parts   [][parts]time.Duration // by request
	encodes int
}

func (w want) check(t *testing.T, s *simulation) {
	t.Helper()
	if diff := cmp.Diff(w.steps, s.gpu.steps, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("bytes on GPUs (-want +got):\n%s", diff)
	}
	for n, r := range s.requests {
		if diff := cmp.Diff(w.parts[n], r.took); diff != "" {
			t.Errorf("parts of request %d (-want +got):\n%s", n, diff)
		}
	}
	if s.encodes != w.encodes {
		t.Errorf("%d encodes, want %d", s.encodes, w.encodes)
	}
}

func TestKeepOnGPU(t *testing.T) {
	s := newSimulation(tiny(t, 1), []arrival{of(0, ms(100), 7), of(ms(50), ms(200), 7)})
	s.policy = newKeepOnGPU(s)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want{
		steps: []step{{ms(74), megabyte}, {ms(314), 0}}, // to the end of the second decode
		parts: [][parts]time.Duration{
			{inEncode: ms(74), inPrefill: ms(20)},
			{inEncode: ms(24), inQueue: ms(20), inPrefill: ms(20)}, // joins the encode, then the first prefill's lane
		},
		encodes: 1,
	}.check(t, s)
}

func TestMoveToHost(t *testing.T) {
	s := newSimulation(tiny(t, 1), []arrival{of(0, ms(100), 7), of(ms(50), ms(200), 7), of(ms(200), 0, 7)})
	s.policy = newMoveToHost(s)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want{
		steps: []step{
			{ms(74), megabyte}, {ms(115), 0}, // encoded; read by both prefills, then copied to host memory
			{ms(200), megabyte}, {ms(221), 0}, // copied back for the third
		},
		parts: [][parts]time.Duration{
			{inEncode: ms(74), inPrefill: ms(20)},
			{inEncode: ms(24), inQueue: ms(20), inPrefill: ms(20)},
			{inLoad: ms(1), inPrefill: ms(20)},
		},
		encodes: 1,
	}.check(t, s)
}

// An output is copied to host memory from 94 to 95 ms. Whoever comes within that time finds it on the GPU, also
// if host memory has no room.
func TestWhatIsBeingMovedStaysForWhoAsks(t *testing.T) {
	for host, goes := range map[int64]time.Duration{4 * megabyte: ms(114) + 500*time.Microsecond, 1: ms(115) + 500*time.Microsecond} {
		c := tiny(t, 1)
		c.HostCacheBytes = host
		s := newSimulation(c, []arrival{of(0, 0, 7), of(ms(94)+500*time.Microsecond, 0, 7)})
		s.policy = newMoveToHost(s)
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want{
			steps:   []step{{ms(74), megabyte}, {goes, 0}},
			parts:   [][parts]time.Duration{{inEncode: ms(74), inPrefill: ms(20)}, {inPrefill: ms(20)}},
			encodes: 1,
		}.check(t, s)
	}
}

func TestHostMemoryIsBounded(t *testing.T) {
	c := tiny(t, 1)
	c.HostCacheBytes = 2 * megabyte
	requests := []arrival{of(0, 0, 1), of(ms(200), 0, 2), of(ms(400), 0, 1), of(ms(600), 0, 3), of(ms(800), 0, 1), of(ms(1000), 0, 2)}
	s := newSimulation(c, requests)
	s.policy = newMoveToHost(s)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.encodes != 4 { // 1, 2, 3, and 2 again: when 3 came it was what was used least recently
		t.Errorf("%d encodes, want 4", s.encodes)
	}
}

// runFake runs requests under Keepsight.
func runFake(t *testing.T, f *fakeCache, c Config, requests ...arrival) (*simulation, ServiceUse) {
	t.Helper()
	s := newSimulation(c, requests)
	use, err := runKeepsight(t.Context(), f, f.now, s, newResult(c, requests).Distinct)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.values) != 0 {
		t.Errorf("%d embeddings were not deleted", len(f.values))
	}
	return s, use
}

func TestKeepsight(t *testing.T) {
	s, use := runFake(t, newFake(), tiny(t, 1), of(0, ms(100), 7), of(ms(50), ms(200), 7))
	want{
		steps: []step{
			{ms(75), megabyte}, {ms(80), 0}, // from the encode to the end of its PUT
			{ms(83), megabyte}, {ms(104), 0}, // from the GET to the end of the first prefill
			{ms(107), megabyte}, {ms(128), 0}, // and of the second
		},
		parts: [][parts]time.Duration{
			{inLookup: ms(1), inEncode: ms(74), inStore: ms(5), inLoad: ms(4), inPrefill: ms(20)},
			{inLookup: ms(2), inEncode: ms(29), inQueue: ms(23), inLoad: ms(4), inPrefill: ms(20)}, // waits for the PUT
		},
		encodes: 1,
	}.check(t, s)
	wantUse := ServiceUse{
		Lookup: Measured{Calls: 3, Median: ms(1), Longest: ms(1)},
		Put:    Measured{Calls: 1, Bytes: megabyte, Median: ms(4), Longest: ms(4)},
		Get:    Measured{Calls: 2, Bytes: 2 * megabyte, Median: ms(3), Longest: ms(3)},
	}
	if diff := cmp.Diff(wantUse, use); diff != "" {
		t.Errorf("use of the service (-want +got):\n%s", diff)
	}
}

func TestTwoEnginesAskForTheSameAtOnce(t *testing.T) {
	requests := []arrival{of(0, 0, 7), of(0, 0, 7)}
	for name, policy := range map[string]func(*simulation) policy{
		"kept on the GPU": func(s *simulation) policy { return newKeepOnGPU(s) },
		"moved to host":   func(s *simulation) policy { return newMoveToHost(s) },
	} {
		s := newSimulation(tiny(t, 2), requests)
		s.policy = policy(s)
		if err := s.run(t.Context()); err != nil || s.encodes != 2 {
			t.Errorf("%s: %d encodes, %v, want 2", name, s.encodes, err)
		}
	}
	s, _ := runFake(t, newFake(), tiny(t, 2), requests...)
	want{
		steps: []step{
			{ms(75), megabyte}, {ms(80), 0},
			{ms(83), megabyte}, {ms(84), 2 * megabyte}, // each engine on a GPU of its own
			{ms(104), megabyte}, {ms(105), 0},
		},
		parts: [][parts]time.Duration{
			{inLookup: ms(1), inEncode: ms(74), inStore: ms(5), inLoad: ms(4), inPrefill: ms(20)},
			{inLookup: ms(2), inEncode: ms(79), inLoad: ms(4), inPrefill: ms(20)},
		},
		encodes: 1,
	}.check(t, s)
}

func TestWhatIsBeingStoredIsSeenAtTheEndOfItsPut(t *testing.T) {
	s, _ := runFake(t, newFake(), tiny(t, 2), of(0, 0, 7), of(ms(77), 0, 7)) // the PUT takes from 75 to 80
	if want := [parts]time.Duration{inLookup: ms(2), inEncode: ms(2), inLoad: ms(4), inPrefill: ms(20)}; s.requests[1].took != want {
		t.Errorf("parts %v, want %v", s.requests[1].took, want)
	}
}

// once is a before that happens at the first call of that kind.
func once(call string, happen func(key string) error) func(string, string) error {
	happened := false
	return func(c, key string) error {
		if c != call || happened {
			return nil
		}
		happened = true
		return happen(key)
	}
}

func TestServiceLetsDown(t *testing.T) {
	for name, test := range map[string]struct {
		before func(*fakeCache) func(call, key string) error
		want   want
		use    ServiceUse // counts only
	}{
		"it evicts between lookup and GET": {
			before: func(f *fakeCache) func(string, string) error {
				return once("get", func(key string) error { delete(f.values, key); return nil })
			},
			want: want{
				steps:   []step{{ms(75), megabyte}, {ms(80), 0}, {ms(157), megabyte}, {ms(182), 0}}, // encoded again, and kept for the prefill
				parts:   [][parts]time.Duration{{inLookup: ms(1), inEncode: ms(148), inStore: ms(10), inLoad: ms(3), inPrefill: ms(20)}},
				encodes: 2,
			},
			use: ServiceUse{Evicted: 1},
		},
		"it refuses the GET": {
			before: func(*fakeCache) func(string, string) error {
				return once("get", func(string) error { return errRefused })
			},
			want: want{
				steps:   []step{{ms(75), megabyte}, {ms(80), 0}, {ms(157), megabyte}, {ms(182), 0}},
				parts:   [][parts]time.Duration{{inLookup: ms(1), inEncode: ms(148), inStore: ms(10), inLoad: ms(3), inPrefill: ms(20)}},
				encodes: 2,
			},
			use: ServiceUse{Refused: 1},
		},
		"it refuses the PUT": {
			before: func(*fakeCache) func(string, string) error {
				return once("put", func(string) error { return errRefused })
			},
			want: want{
				steps:   []step{{ms(75), megabyte}, {ms(100), 0}}, // kept for the prefill
				parts:   [][parts]time.Duration{{inLookup: ms(1), inEncode: ms(74), inStore: ms(5), inPrefill: ms(20)}},
				encodes: 1,
			},
			use: ServiceUse{Refused: 1},
		},
		"it refuses the lookup": {
			before: func(*fakeCache) func(string, string) error {
				return once("lookup", func(string) error { return errRefused })
			},
			want: want{
				steps:   []step{{ms(75), megabyte}, {ms(80), 0}, {ms(83), megabyte}, {ms(104), 0}}, // encoded without a claim
				parts:   [][parts]time.Duration{{inLookup: ms(1), inEncode: ms(74), inStore: ms(5), inLoad: ms(4), inPrefill: ms(20)}},
				encodes: 1,
			},
			use: ServiceUse{Refused: 1},
		},
		"it says that somebody encodes, and nobody does": {
			before: func(f *fakeCache) func(string, string) error {
				return once("lookup", func(key string) error { f.owners[key] = "nobody"; return nil })
			},
			want: want{
				steps:   []step{{ms(75), megabyte}, {ms(80), 0}, {ms(83), megabyte}, {ms(104), 0}},
				parts:   [][parts]time.Duration{{inLookup: ms(1), inEncode: ms(74), inStore: ms(5), inLoad: ms(4), inPrefill: ms(20)}},
				encodes: 1,
			},
			use: ServiceUse{Doubled: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.before = test.before(f)
			s, use := runFake(t, f, tiny(t, 1), of(0, 0, 7))
			test.want.check(t, s)
			use.Lookup, use.Put, use.Get = Measured{}, Measured{}, Measured{}
			if use != test.use {
				t.Errorf("%+v, want %+v", use, test.use)
			}
		})
	}
}

func TestLostClaimCostsAnEncode(t *testing.T) {
	f := newFake()
	f.before = func(call, key string) error {
		if call == "lookup" {
			delete(f.owners, key)
		}
		return nil
	}
	if s, use := runFake(t, f, tiny(t, 2), of(0, 0, 7), of(ms(10), 0, 7)); s.encodes != 2 || use.Doubled != 1 {
		t.Errorf("%d encodes, %+v", s.encodes, use)
	}
}

func TestEvictedEmbeddingIsEncodedByWhoAsksNext(t *testing.T) {
	f := newFake()
	asked := 0
	f.before = func(call, key string) error {
		if call == "lookup" {
			if asked++; asked == 2 {
				delete(f.values, key)
			}
		}
		return nil
	}
	if s, use := runFake(t, f, tiny(t, 1), of(0, 0, 7), of(ms(500), 0, 7), of(ms(900), 0, 7)); s.encodes != 2 || use.Evicted != 1 {
		t.Errorf("%d encodes, %+v", s.encodes, use)
	}
}

func TestRefusedPutIsMadeUpForByWhoAsksNext(t *testing.T) {
	f := newFake()
	f.before = once("put", func(string) error { return errRefused })
	s, use := runFake(t, f, tiny(t, 2), of(0, 0, 7), of(ms(500), 0, 7), of(ms(900), 0, 7))
	if s.encodes != 2 || use.Lookup.Calls != 3 || use.Refused != 1 || use.Doubled != 0 {
		t.Errorf("%d encodes, %+v", s.encodes, use)
	}
}

// Of three media the second is gone: what was loaded before it leaves the GPU while it is encoded again.
func TestPrefillIsGivenUpForWhatIsGone(t *testing.T) {
	f := newFake()
	gets := 0
	f.before = func(call, key string) error {
		if call == "get" {
			if gets++; gets == 2 {
				delete(f.values, key)
			}
		}
		return nil
	}
	s, use := runFake(t, f, tiny(t, 1), of(0, 0, 1, 2, 3))
	tail := s.gpu.steps[len(s.gpu.steps)-7:]
	// The three encodes end at 223, the last PUT at 228. Loads at 228 and 232, the miss at 235; encoded to 309,
	// stored to 314; loaded again from 314.
	if diff := cmp.Diff([]step{
		{ms(228), 0}, {ms(231), megabyte}, {ms(235), 0},
		{ms(309), megabyte}, {ms(317), 2 * megabyte}, {ms(321), 3 * megabyte}, {ms(342), 0},
	}, tail, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("bytes on GPUs (-want +got):\n%s", diff)
	}
	if s.encodes != 4 || use.Evicted != 1 || use.Get.Calls != 4 {
		t.Errorf("%d encodes, %+v", s.encodes, use)
	}
}

func TestWrongBytesAreAnError(t *testing.T) {
	for name, damage := range map[string]func(f *fakeCache, key string){
		"a flipped bit": func(f *fakeCache, key string) { f.values[key][megabyte-1] ^= 1 },
		"no bytes, where an earlier GET has left some": func(f *fakeCache, key string) { f.values[key] = []byte{} },
	} {
		f := newFake()
		reads := 0
		f.before = func(call, key string) error {
			if call == "get" {
				if reads++; reads == 2 {
					damage(f, key)
				}
			}
			return nil
		}
		s := newSimulation(tiny(t, 1), []arrival{of(0, 0, 7), of(ms(500), 0, 7)})
		if _, err := runKeepsight(t.Context(), f, f.now, s, 1); err == nil || !strings.Contains(err.Error(), "medium-7") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFailedCallIsAnError(t *testing.T) {
	broken := errors.New("broken")
	for _, call := range []string{"lookup", "put", "get"} {
		f := newFake()
		f.before = once(call, func(string) error { return broken })
		s := newSimulation(tiny(t, 1), []arrival{of(0, 0, 7)})
		if _, err := runKeepsight(t.Context(), f, f.now, s, 1); !errors.Is(err, broken) {
			t.Errorf("%s: %v", call, err)
		}
		if len(f.values) != 0 {
			t.Errorf("%s: %d embeddings were not deleted", call, len(f.values))
		}
	}
}
