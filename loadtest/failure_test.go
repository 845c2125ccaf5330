package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/load/faulty"
)

// What makes a test fail: exit 1, and a word that says why.
func TestTestsThatFail(t *testing.T) {
	good := faulty.Start(t, faulty.Faults{})
	flipping := faulty.Start(t, faulty.Faults{Corrupt: func(value []byte) []byte { value[len(value)/2] ^= 1; return value }})
	broken := faulty.Start(t, faulty.Faults{Instead: func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return true
	}})
	down := faulty.Start(t, faulty.Faults{})
	down.Close()
	for _, row := range []struct {
		name   string
		target *faulty.Server
		args   []string
		says   string
	}{
		{"a wrong byte", flipping, nil, "wrong bytes"},
		{"a condition that is not met", good, []string{"--assert", "get.p99<1ns"}, "not get.p99<1ns"},
		{"one of two conditions that is not met", good, []string{"--assert", "errors=0", "--assert", "refused>0"}, "not refused>0"},
		{"a latency that nothing had", good, []string{"--pattern", "one-hit", "--assert", "get.p50<10s"}, "there was none"},
		{"a server that only errs", broken, []string{"--requests", "4"}, "out of order"},
		{"a server that is down", down, nil, "connect to files+http://127.0.0.1"},
	} {
		got := command(t, append([]string{"--target", row.target.Target(), "--size", "4KiB", "--requests", "40"}, row.args...)...)
		if got.code != exitFailed || !strings.Contains(got.errs, row.says) {
			t.Errorf("%s: exit %d: %s", row.name, got.code, got.errs)
		}
	}
	got := command(t, "--target", flipping.Target(), "--size", "4KiB", "--requests", "40", "--verify", "off")
	if got.code != exitOK {
		t.Errorf("a wrong byte that nobody looks at: exit %d: %s", got.code, got.errs)
	}
}

// What a caller gets wrong: exit 2, nothing is started, and what to write instead.
func TestMistakesOfTheCaller(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	local := "files+http://127.0.0.1:1/"
	for _, row := range []struct {
		args string
		says string
	}{
		{"--no-such", "--help"},
		{"--scenario nothing", "traffic"},
		{"--verify some", "sample"},
		{"--clients 0", "1 to 1024"},
		{"--clients 2000", "1 to 1024"},
		{"--requests 0", "--requests must be"},
		{"--requests 99999999999", "--requests must be"},
		{"--rate NaN", "--rate"},
		{"--rate -1", "--rate"},
		{"--rate +Inf", "--rate"},
		{"--encode -1", "--encode"},
		{"--duration 2h", "at most 1h"},
		{"--rounds 0", "--rounds"},
		{"--size 15", "16 bytes"},
		{"--size 25%", "no share"},
		{"--sizes 1KiB,8", "16 bytes"},
		{"--memory 50%", "no share"},
		{"--connections 0", "--connections"},
		{"--entries 0", "--entries"},
		{"--encoder clip", "whisper-audio"},
		{"--pattern often", "pool-80"},
		{"--namespace No", "--namespace"},
		{"--assert get.p99", "MEASURE"},
		{"--json /no/such/directory/x.json", "/no/such/directory"},
		{"--chart x.svg", "--scenario serving"},
		{"--compare --scenario overload", "--compare"},
		{"--compare --target " + local, "--compare"},
		{"--compare --assert errors=0", "--assert"},
		{"--scenario serving --assert errors=0", "--assert"},
		{"--scenario serving --size 1MiB", "--encoder"},
		{"--scenario serving --encoder mixed", "one --encoder"},
		{"--scenario overload --ops lookup", "--ops"},
		{"--scenario overload --target " + local + " --target " + local, "one --target"},
		{"--congestion cubic --target " + local, "--congestion"},
		{"--clients 256 --encoder qwen2.5-vl-video-128", "fewer --clients"},
		{"--compare --sizes 1GiB --connections 64", "fewer --connections"},
		{"--target ftp://127.0.0.1:1", "redis://"},
		{"--target http://10.0.0.1:7070", "--allow-remote"},
		{"--target http://127.0.0.1:1 --token-file " + empty, "no token"},
		{"--target http://127.0.0.1:1 --token-file /no/such/token", "/no/such/token"},
		{"--keepsight /no/such/keepsight", "no program"},
	} {
		got := command(t, strings.Fields(row.args)...)
		if got.code != exitUsage || !strings.HasPrefix(got.errs, "loadtest: ") || got.out != "" {
			t.Errorf("%s: exit %d: %s%s", row.args, got.code, got.errs, got.out)
		}
		if !strings.Contains(strings.ReplaceAll(got.errs, "\n", " "), row.says) {
			t.Errorf("%s: %q does not say %q", row.args, got.errs, row.says)
		}
	}
}

func TestHelpIsTheReference(t *testing.T) {
	got := command(t, "--help")
	if got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.errs)
	}
	text := strings.Join(strings.Fields(got.out), " ")
	for _, word := range []string{"qwen2.5-vl-image", "mixed", "pool-80", "herd", "redis://HOST:PORT", "--allow-remote", "get, put, miss or lookup"} {
		if !strings.Contains(text, word) {
			t.Errorf("%s is not in\n%s", word, got.out)
		}
	}
}

func TestCommandLinesCanBePastedIntoAShell(t *testing.T) {
	got := commandLine([]string{"--assert", "get.p99<20ms", "--size", "1MiB", "--json", "it's.json", ""})
	if want := `go run ./loadtest --assert 'get.p99<20ms' --size 1MiB --json 'it'\''s.json' ''`; got != want {
		t.Errorf("%s, expected is %s", got, want)
	}
}

func TestTheRawStreamEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var taken bytes.Buffer
	if code := run(t.Context(), []string{"--serve-raw", port}, &taken, &taken); code != exitFailed {
		t.Errorf("a port that is taken: exit %d", code)
	}
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- run(ctx, []string{"--serve-raw", port}, &taken, &taken) }()
	address := net.JoinHostPort("127.0.0.1", port)
	for { // until it listens
		if _, err := load.ReadRaw(t.Context(), address, "", time.Millisecond); err == nil {
			break
		}
	}
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit %d: %s", code, taken.String())
	}
}
