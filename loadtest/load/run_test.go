package load

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keepsight/keepsight/loadtest/load/faulty"
)

func TestRequestsAreHonouredExactly(t *testing.T) {
	server := faulty.Start(t, faulty.Faults{})
	var seen sync.Map
	traffic := with(one(Put, 1<<40), func(t *Traffic) { t.Clients, t.Requests = 8, 501 })
	next := traffic.Next
	traffic.Next = func(n int64) Request {
		if _, twice := seen.LoadOrStore(n, true); twice {
			t.Errorf("request %d is sent twice", n)
		}
		return next(n)
	}
	result := mustRun(t, server.Target(), traffic)
	if server.Requests() != 501 || result.Operations() != 501 || server.Keys("key-") != 501 {
		t.Errorf("%d came, %d were counted, %d are stored; 501 were asked for", server.Requests(), result.Operations(), server.Keys("key-"))
	}
	if result.Bytes() != 501*testSize || result.Unanswered != 0 || result.Errors != 0 {
		t.Errorf("%d bytes, %d unanswered, %d errors: %s", result.Bytes(), result.Unanswered, result.Errors, result.FirstError)
	}
	var requests, bytes int64
	for _, m := range result.Timeline {
		requests, bytes = requests+m.Requests, bytes+m.Bytes
	}
	if requests != 501 || bytes != result.Bytes() {
		t.Errorf("the slices of the run add up to %d requests and %d bytes", requests, bytes)
	}
}

func TestMissesAreEncodedAndStored(t *testing.T) {
	server := faulty.Start(t, faulty.Faults{})
	result := mustRun(t, server.Target(), with(one("", 10), func(t *Traffic) { t.Requests = 100 }))
	want := map[Op]int64{Get: 90, Miss: 10, Put: 10}
	for op, count := range want {
		if got := result.count(op); got != count {
			t.Errorf("%s: %d, expected are %d", op, got, count)
		}
	}
	if result.Encodes != 10 || result.HitRatio() != 0.9 {
		t.Errorf("%d encodes, hit ratio %g", result.Encodes, result.HitRatio())
	}
}

func TestAWrongByteIsFound(t *testing.T) {
	for _, row := range []struct {
		name    string
		corrupt func([]byte) []byte
		found   map[Verify]bool
	}{
		{"flipped in the middle", func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			map[Verify]bool{VerifyAll: true, VerifyOff: false}},
		{"flipped in the tag", func(b []byte) []byte { b[3] ^= 1; return b },
			map[Verify]bool{VerifyAll: true, VerifySample: true, VerifyOff: false}},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] },
			map[Verify]bool{VerifyAll: true, VerifySample: true, VerifyOff: true}},
	} {
		server := faulty.Start(t, faulty.Faults{Corrupt: row.corrupt})
		store(t, server.Target(), 5)
		for verify, found := range row.found {
			result := mustRun(t, server.Target(), with(one(Get, 5), func(t *Traffic) { t.Requests, t.Verify = 20, verify }))
			want := int64(0)
			if found {
				want = 20
			}
			if result.Wrong != want || result.Errors != 0 || (result.FirstError != "") != found {
				t.Errorf("%s, verify %s: %d wrong, %d errors, %q", row.name, verify, result.Wrong, result.Errors, result.FirstError)
			}
		}
	}
}

func TestRefusalsAreCountedAndAreNoErrors(t *testing.T) {
	var n atomic.Int64
	server := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, _ *http.Request) bool {
		switch n.Add(1) % 4 {
		case 0:
			w.Header().Set("Retry-After", "2")
			http.Error(w, "come again", http.StatusTooManyRequests)
		case 1:
			http.Error(w, "no memory", http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	}})
	result := mustRun(t, server.Target(), with(one(Put, 5), func(t *Traffic) { t.Requests = 40 }))
	if result.Refused != 20 || result.Unexcused != 10 || result.count(Put) != 20 || result.Errors != 0 || result.FirstError != "" {
		t.Errorf("%d refused, %d of them without Retry-After, %d stored, %d errors: %s",
			result.Refused, result.Unexcused, result.count(Put), result.Errors, result.FirstError)
	}
}

func TestAnErrorSaysWhatTheServerSaid(t *testing.T) {
	server := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "too much for me", http.StatusInsufficientStorage)
		return true
	}})
	result := mustRun(t, server.Target(), with(one(Put, 5), func(t *Traffic) { t.Requests = 2 }))
	if result.Errors != 2 || !strings.Contains(result.FirstError, "507") || !strings.Contains(result.FirstError, "too much for me") {
		t.Errorf("%d errors: %s", result.Errors, result.FirstError)
	}
}

func TestConnectionsAreOpenedBeforeTheClockStarts(t *testing.T) {
	server := faulty.Start(t, faulty.Faults{})
	r := &run{target: Target{URL: server.Target()}, traffic: with(one(Get, 1), func(t *Traffic) { t.Clients = 3 })}
	clients, err := r.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if c.conn.(*httpConn).conn == nil {
			t.Errorf("the connection of %s is not open", c.name)
		}
		if err := c.conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestATargetThatIsDownIsNamed(t *testing.T) {
	_, err := Run(t.Context(), Target{Name: "keepsight", URL: closedPort(t)}, one(Get, 1))
	if err == nil || !strings.Contains(err.Error(), "connect to keepsight") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}

// closedPort returns the URL of a server that has ended.
func closedPort(t *testing.T) string {
	server := faulty.Start(t, faulty.Faults{})
	server.Close()
	return server.Target()
}

// A hung server accepts connections and requests, of which it tells, and never answers.
func hung(t *testing.T) (target string, asked <-chan struct{}) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{}, 1024)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				for piece := make([]byte, 1024); ; {
					if _, err := conn.Read(piece); err != nil {
						return
					}
					told <- struct{}{}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return "redis://" + l.Addr().String(), told
}

// promptly is far below the 10 s that one operation may take, and far above what the end of a run takes.
const promptly = 5 * time.Second

func TestARunEndsInTimeThoughTheServerHangs(t *testing.T) {
	target, _ := hung(t)
	began := time.Now()
	result := mustRun(t, target, with(one(Get, 1), func(t *Traffic) { t.Clients, t.Duration = 3, 50*time.Millisecond }))
	if took := time.Since(began); took > promptly {
		t.Errorf("it took %s", took)
	}
	if result.Errors != 0 || result.Operations() != 0 || result.Unanswered != 3 {
		t.Errorf("%d errors (%s), %d answers, %d unanswered: what the end cuts off is none of the first two",
			result.Errors, result.FirstError, result.Operations(), result.Unanswered)
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	target, asked := hung(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	began := time.Now()
	result, err := Run(ctx, Target{URL: target}, with(one(Put, 1), func(t *Traffic) { t.Duration = time.Hour }))
	if err != nil || result.Errors != 0 || result.Unanswered != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if took := time.Since(began); took > promptly {
		t.Errorf("it took %s", took)
	}
}

func TestWhatWasDueAndNeverSentIsUnanswered(t *testing.T) {
	target, _ := hung(t)
	result := mustRun(t, target, with(one(Get, 1), func(t *Traffic) { t.Rate, t.Duration = 100, 200*time.Millisecond }))
	if due := int64(result.Seconds*100) + 1; result.Unanswered < due-1 || result.Unanswered > due {
		t.Errorf("%d unanswered of %d that were due in %.3f s", result.Unanswered, due, result.Seconds)
	}
	bounded := mustRun(t, target, with(one(Get, 1), func(t *Traffic) { t.Rate, t.Requests, t.Duration = 1e6, 7, 50*time.Millisecond }))
	if bounded.Unanswered != 7 {
		t.Errorf("%d of 7 requests are unanswered", bounded.Unanswered)
	}
}

func TestALowRateWaits(t *testing.T) {
	server := faulty.Start(t, faulty.Faults{})
	result := mustRun(t, server.Target(), with(one(Put, 1), func(t *Traffic) { t.Rate, t.Clients, t.Duration = 1e-300, 2, 50*time.Millisecond }))
	if result.Operations() != 1 || result.Unanswered != 0 {
		t.Errorf("%d requests were sent and %d are unanswered: only the first one was due", result.Operations(), result.Unanswered)
	}
}

// A server that goes away must not be asked as fast as the kernel can say no.
func TestARefusedConnectionIsNotTriedAllTheTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		conn, err := l.Accept()
		l.Close()
		if err == nil {
			conn.Close()
		}
	}()
	const duration = 300 * time.Millisecond
	result := mustRun(t, "memcached://"+l.Addr().String(), with(one(Get, 1), func(t *Traffic) { t.Rate, t.Duration = 1e5, duration }))
	if most := int64(duration/errorPause) + 1; result.Errors < 1 || result.Errors > most {
		t.Errorf("%d errors in %s, expected are 1 to %d: %s", result.Errors, duration, most, result.FirstError)
	}
	<-gone
}
