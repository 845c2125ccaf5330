package command

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// runVariable makes the test binary be the program, for what needs a process of its own.
const runVariable = "RUN_KEEPSIGHT"

func TestMain(m *testing.M) {
	if os.Getenv(runVariable) != "" {
		os.Exit(Run(context.Background(), os.Args[1:], Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	for _, setting := range os.Environ() { // of whoever runs the tests
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "KEEPSIGHT_") {
			os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

// A result is how a command ended.
type result struct {
	code     int
	out, err string
}

// keepsight runs one command in this process.
func keepsight(t *testing.T, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := Run(t.Context(), args, Streams{In: strings.NewReader(""), Out: &out, Err: &err})
	return result{code, out.String(), err.String()}
}

// must fails the test unless the command succeeded, and returns its output.
func must(t *testing.T, r result) string {
	t.Helper()
	if r.code != exitOK {
		t.Fatalf("exit code %d: %s%s", r.code, r.out, r.err)
	}
	return r.out
}

// wantFailure fails the test unless the command ended with that code and, beside what a service logs, one
// line that contains want.
func wantFailure(t *testing.T, r result, code int, want string) {
	t.Helper()
	complaint := logged.ReplaceAllString(r.err, "")
	if r.code != code || !strings.Contains(complaint, want) || strings.Count(complaint, "\n") != 1 || !strings.HasPrefix(complaint, "keepsight: ") {
		t.Errorf("exit code %d, %q; want %d and one line with %q", r.code, r.err, code, want)
	}
}

var logged = regexp.MustCompile("(?m)^time=.*\n")

// A running service, in this process.
type running struct {
	socket  string // for --server
	address string // http://127.0.0.1:port
	disk    string
	stop    func() result // as SIGTERM does, then wait
	wait    func() result // until it ended; may be repeated
}

// serve starts a service and returns once it accepts connections. It is small, and stops with the test.
func serve(t *testing.T, dir string, args ...string) running {
	t.Helper()
	r := running{socket: filepath.Join(dir, "socket"), disk: filepath.Join(dir, "disk")}
	ctx, cancel := context.WithCancel(t.Context())
	outReader, outWriter := io.Pipe()
	var log bytes.Buffer // slog writes to it under a lock of its own
	ended := make(chan result, 1)
	go func() {
		code := Run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0", "--socket", r.socket, "--memory", "256MiB",
			"--disk-dir", r.disk, "--disk-size", "256MiB", "--drain-delay", "0s", "--log-format", "text"}, args...),
			Streams{In: strings.NewReader(""), Out: outWriter, Err: &log})
		outWriter.Close()
		ended <- result{code: code, err: log.String()}
	}()
	lines := bufio.NewScanner(outReader)
	for r.address == "" && lines.Scan() {
		if _, address, ok := strings.Cut(lines.Text(), "address  "); ok {
			r.address, _, _ = strings.Cut(address, "/ ")
		}
	}
	r.wait = sync.OnceValue(func() result { return <-ended })
	r.stop = func() result {
		cancel()
		return r.wait()
	}
	t.Cleanup(func() { r.stop() })
	if r.address == "" {
		t.Fatalf("the service did not start: %s", r.stop().err)
	}
	r.socket = "unix:" + r.socket
	return r
}

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestHelpNamesEveryCommand(t *testing.T) {
	help := must(t, keepsight(t, "--help"))
	for _, command := range []string{"serve", "put", "get", "stat", "ls", "rm", "key", "health", "check", "version"} {
		if !strings.Contains(help, command) {
			t.Errorf("--help does not name %s", command)
		}
		if got := keepsight(t, command, "--help"); got.code != exitOK || !strings.Contains(got.out, "Usage: keepsight "+command) {
			t.Errorf("%s --help: %+v", command, got)
		}
	}
	if strings.Contains(help, "demo") {
		t.Error("--help names the demonstration")
	}
}

func TestUsage(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	empty := writeFile(t, "empty", nil)
	image := writeFile(t, "image.bin", make([]byte, 64))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "expected one of"},
		{[]string{"encode"}, "encode"},
		{[]string{"put"}, "<file>"},
		{[]string{"put", absent}, "no such file"},
		{[]string{"put", empty}, "is empty"},
		{[]string{"put", filepath.Dir(image)}, "not a regular file"},
		{[]string{"put", image, "--dtype", "F16"}, "--dtype and --shape belong together"},
		{[]string{"put", image, "--dtype", "F16", "--shape", "4x8"}, "like 1196,3584"},
		{[]string{"put", image, "--meta", "{"}, "--meta"},
		{[]string{"get", "k", "--server", "ftp://127.0.0.1"}, "base URL"},
		{[]string{"get", "k", "--token-file", absent}, "no such file"},
		{[]string{"get", "k", "--token-file", empty}, "holds no token"},
		{[]string{"check", absent}, "no such file"},
		{[]string{"serve", "--memory", "8gigs"}, "like 8GiB"},
		{[]string{"serve", "--memory", "1000PiB"}, "more than"},
		{[]string{"serve", "--memory", "1MiB"}, "at least 256 MiB"},
		{[]string{"serve", "--memory", "256MiB", "--disk-dir", t.TempDir(), "--disk-size", "8000PiB"}, "whole file system"},
		{[]string{"serve", "--memory", "256MiB", "--disk-dir", image, "--disk-size", "1GiB"}, "not a directory"},
		{[]string{"serve", "--memory", "256MiB", "--disk-size", "0", "--listen", "none", "--socket", "none"}, "listen"},
		{[]string{"serve", "--memory", "256MiB", "--disk-size", "0", "--socket", "none", "--listen", "0.0.0.0:7070"}, "reachable from other machines"},
		{[]string{"serve", "--memory", "256MiB", "--disk-size", "0", "--socket", "none", "--tls-cert", image}, "belong together"},
		{[]string{"serve", "--socket-mode", "rw"}, "octal"},
		{[]string{"serve", "--log-level", "loud"}, "log-level"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			wantFailure(t, keepsight(t, tc.args...), exitUsage, tc.want)
		})
	}
}

func TestVersion(t *testing.T) {
	if got := must(t, keepsight(t, "version")); !strings.HasPrefix(got, "keepsight ") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
}
