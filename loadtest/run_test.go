package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keepsight/keepsight/internal/process"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/load/faulty"
	"github.com/keepsight/keepsight/loadtest/peer"
)

func TestTrafficOverTCPAndUnixSocket(t *testing.T) {
	dir := t.TempDir()
	asJSON, asHTML := filepath.Join(dir, "report.json"), filepath.Join(dir, "report.html")
	got := command(t, service(t, "--size", "64KiB", "--requests", "200", "--json", asJSON, "--html", asHTML,
		"--assert", "wrong=0", "--assert", "errors=0", "--assert", "encodes=40", "--assert", "hit_ratio>0.79", "--assert", "get.p99<10s")...)
	if got.code != exitOK || got.errs != "" {
		t.Fatalf("exit %d: %s", got.code, got.errs)
	}
	r := readReport(t, asJSON)
	if len(r.Results) != 2 || r.Results[0].Target != "keepsight tcp" || r.Results[1].Target != "keepsight unix" {
		t.Fatalf("%d results", len(r.Results))
	}
	for _, result := range r.Results {
		if result.Ops[load.Get].Count != 160 || result.Ops[load.Miss].Count != 40 || result.Tiers["host"] != 160 || result.ServerPeakBytes <= 0 {
			t.Errorf("%s: %+v", result.Target, result)
		}
		if !strings.Contains(got.out, result.Target) {
			t.Errorf("%s is not in the table:\n%s", result.Target, got.out)
		}
	}
	if !strings.HasPrefix(r.Command, "go run ./loadtest --keepsight ") || !strings.Contains(r.Command, "'hit_ratio>0.79'") {
		t.Errorf("%q does not make it again", r.Command)
	}
	if r.Machine.Cores == 0 || r.Machine.Kernel == "" || r.Machine.Versions["keepsight"] == "" {
		t.Errorf("the machine is %+v", r.Machine)
	}
	page, err := os.ReadFile(asHTML)
	if err != nil || !bytes.Contains(page, []byte("keepsight tcp")) {
		t.Errorf("a page of %d bytes: %v", len(page), err)
	}
	for _, file := range []string{asJSON, asHTML} {
		if !strings.Contains(got.out, "wrote "+file) {
			t.Errorf("%s is not named:\n%s", file, got.out)
		}
	}
}

func TestEveryPatternRuns(t *testing.T) {
	p, targets := running(t, peer.Options{MemoryBytes: 256 << 20})
	defer p.Close()
	for _, name := range []string{"pool-80", "sliding-window", "zipf", "sessions", "one-hit", "herd"} {
		got := command(t, "--target", targets[1].URL, "--pattern", name, "--size", "4KiB", "--requests", "60", "--clients", "3", "--rate", "2000",
			"--assert", "errors=0", "--assert", "put.count>0", "--assert", "unanswered=0")
		if got.code != exitOK {
			t.Errorf("%s: exit %d: %s\n%s", name, got.code, got.errs, got.out)
		}
	}
}

// running is a keepsight that no test of the command has started.
func running(t *testing.T, o peer.Options) (*peer.Peer, []load.Target) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	p, err := peer.Keepsight(t.Context(), program, "keepsight", 0, o)
	if err != nil {
		t.Fatal(err)
	}
	return p, p.Targets
}

func TestServing(t *testing.T) {
	chart := filepath.Join(t.TempDir(), "serving.svg")
	got := command(t, service(t, "--scenario", "serving", "--requests", "20", "--chart", chart)...)
	if got.code != exitOK || !strings.Contains(got.out, "encoder runs") {
		t.Fatalf("exit %d: %s\n%s", got.code, got.errs, got.out)
	}
	if picture, err := os.ReadFile(chart); err != nil || !bytes.HasPrefix(picture, []byte("<svg")) {
		t.Errorf("a chart of %d bytes: %v", len(picture), err)
	}
}

func TestOverload(t *testing.T) {
	asJSON := filepath.Join(t.TempDir(), "report.json")
	got := command(t, service(t, "--scenario", "overload", "--size", "256KiB", "--duration", "300ms", "--json", asJSON,
		"--assert", "wrong=0", "--assert", "errors=0", "--assert", "unexcused=0")...)
	if got.code != exitOK || !strings.Contains(got.out, "Under overload keepsight tcp did ") || !strings.Contains(got.out, "resident memory peaked") {
		t.Fatalf("exit %d: %s\n%s", got.code, got.errs, got.out)
	}
	if r := readReport(t, asJSON); len(r.Results) != 2 || r.Results[1].Rate < 9*float64(r.Results[0].Operations())/r.Results[0].Seconds {
		t.Errorf("%d results", len(r.Results))
	}
}

func TestCompare(t *testing.T) {
	asJSON := filepath.Join(t.TempDir(), "report.json")
	got := command(t, service(t, "--compare", "--sizes", "64KiB", "--rounds", "1", "--duration", "100ms", "--connections", "2", "--json", asJSON)...)
	if got.code != exitOK {
		t.Fatalf("exit %d: %s\n%s", got.code, got.errs, got.out)
	}
	c := readReport(t, asJSON).Compare
	if len(c.Rows) != 3 || c.RawBytesPerSecond <= 0 {
		t.Fatalf("%+v", c)
	}
	if len(c.Missing) > 0 && os.Getenv("KEEPSIGHT_REQUIRE_PEERS") != "" {
		t.Errorf("%v are not installed", c.Missing)
	}
	// Whoever is not installed is named, and everybody else has a cell.
	known := strings.Join(c.Targets, ", ") + ", " + strings.Join(c.Missing, ", ")
	for _, name := range []string{"keepsight tcp", "keepsight unix", "redis", "memcached", "nginx"} {
		if !strings.Contains(known, name) {
			t.Errorf("%s is neither compared nor missing: %s", name, known)
		}
	}
	for _, row := range c.Rows {
		for _, target := range c.Targets {
			cell, took := row.Cells[target]
			if looks := strings.HasPrefix(target, "keepsight") || target == "redis"; took != (row.Op != load.Lookup || looks) {
				t.Errorf("%s took part in %s: %v", target, row.Op, took)
			}
			if took && (len(cell.Rounds) != 1 || cell.Rounds[0] <= 0) {
				t.Errorf("%s, %s: %+v", target, row.Op, cell)
			}
		}
	}
}

func TestATokenOpensAServiceThatWantsOne(t *testing.T) {
	url, token := guarded(t)
	args := []string{"--target", url, "--size", "4KiB", "--requests", "10"}
	if got := command(t, append(args, "--token-file", token)...); got.code != exitOK {
		t.Errorf("exit %d: %s", got.code, got.errs)
	}
	got := command(t, args...)
	if got.code != exitFailed || !strings.Contains(got.errs, "nothing succeeded") || !strings.Contains(got.errs, "status 401") {
		t.Errorf("without it, exit %d: %s", got.code, got.errs)
	}
}

// guarded runs a keepsight that wants a token, and returns the name of a file with one.
func guarded(t *testing.T) (url, tokenFile string) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	token := []byte(strings.Repeat("secret", 8))
	tokens := fmt.Sprintf(`{"tokens": [{"principal": "loadtest", "sha256": "%x", "tenant": "load",
		"scopes": [{"namespaces": "loadtest", "allow": ["read", "write"]}]}], "tenants": {"load": {"in_flight_bytes": 67108864}}}`,
		sha256.Sum256(token))
	tokenFile, tokensFile := filepath.Join(dir, "token"), filepath.Join(dir, "tokens.json")
	for file, content := range map[string][]byte{tokenFile: append(token, '\n'), tokensFile: []byte(tokens)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "socket")
	p, err := process.Start(t.Context(), process.Options{
		Path: program,
		Args: []string{"serve", "--listen", "none", "--socket", socket, "--memory", "256MiB", "--disk-dir", dir, "--disk-size", "0", "--tokens", tokensFile},
		Env:  process.EnvironmentWithout("KEEPSIGHT_"),
		Log:  filepath.Join(dir, "log"),
		Ready: func(context.Context) error {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return "unix://" + socket, tokenFile
}

func TestAnInterruptEndsATestAndShowsWhatItMeasured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var requests atomic.Int64
	server := faulty.Start(t, faulty.Faults{Instead: func(http.ResponseWriter, *http.Request) bool {
		if requests.Add(1) == 100 {
			cancel()
		}
		return false
	}})
	var out, errs bytes.Buffer
	code := run(ctx, []string{"--target", server.Target(), "--size", "4KiB", "--requests", "1000000", "--duration", "1h"}, &out, &errs)
	if code != exitFailed || errs.String() != "loadtest: interrupted\n" || !strings.Contains(out.String(), "put") {
		t.Errorf("exit %d: %s\n%s", code, errs.String(), out.String())
	}
}
