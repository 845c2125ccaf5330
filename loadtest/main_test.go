package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/loadtest/peer"
	"github.com/keepsight/keepsight/loadtest/report"
)

// buildDir is removed when all tests have ended.
var buildDir string

// built is the keepsight of this source, made once for all tests.
var built = sync.OnceValues(func() (string, error) { return peer.Build(context.Background(), buildDir) })

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--serve-raw" { // the test has started itself as the other end of the raw stream
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	var err error
	if buildDir, err = os.MkdirTemp("", "keepsight-loadtest-test-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// outcome is what one command line came to.
type outcome struct {
	code      int
	out, errs string
}

// command runs a command line, and checks that it leaves no file behind.
func command(t *testing.T, args ...string) outcome {
	t.Helper()
	t.Setenv("KEEPSIGHT_TOKEN_FILE", "")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var out, errs bytes.Buffer
	code := run(t.Context(), args, &out, &errs)
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("%v are left in the directory for temporary files: %v", left, err)
	}
	return outcome{code, out.String(), errs.String()}
}

// service adds what starts a small keepsight.
func service(t *testing.T, args ...string) []string {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"--keepsight", program, "--memory", "256MiB", "--disk-size", "0"}, args...)
}

// readReport reads what --json wrote.
func readReport(t *testing.T, file string) report.Report {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	return r
}
