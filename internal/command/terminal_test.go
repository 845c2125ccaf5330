package command

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a pseudo terminal: what the person sees, and what a program writes to.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestGetRefusesATerminal(t *testing.T) {
	_, program := openTerminal(t)
	var complaint bytes.Buffer
	code := Run(t.Context(), []string{"get", "k"}, Streams{In: strings.NewReader(""), Out: program, Err: &complaint})
	wantFailure(t, result{code: code, err: complaint.String()}, exitUsage, "give -o FILE")
}

func TestAPersonIsToldHowItWent(t *testing.T) {
	service := serve(t, t.TempDir())
	person, program := openTerminal(t)
	var out bytes.Buffer
	copied := writeFile(t, "copy", nil)
	for _, args := range [][]string{
		{"put", writeFile(t, "image", randomBytes(1<<20)), "-k", "k", "--server", service.socket},
		{"get", "k", "-o", copied, "--server", service.socket},
	} {
		if code := Run(t.Context(), args, Streams{In: strings.NewReader(""), Out: &out, Err: program}); code != exitOK {
			t.Fatalf("%v: exit code %d", args, code)
		}
	}
	lines := bufio.NewScanner(person)
	for _, want := range []string{"created 1 MiB in ", "U8 [1048576], 1 MiB from host in "} {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
			t.Errorf("the person sees %q, want %q", lines.Text(), want)
		}
	}
}

func TestStatIsLiveOnATerminal(t *testing.T) {
	service := serve(t, t.TempDir())
	person, program := openTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		ended <- Run(ctx, []string{"stat", "--interval", "1ms", "--server", service.socket},
			Streams{In: strings.NewReader(""), Out: program, Err: program})
	}()
	var seen strings.Builder
	for part := make([]byte, 4096); !strings.Contains(seen.String(), "hits/s"); { // the second frame shows rates
		n, err := person.Read(part)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(part[:n])
	}
	go func() { // a full terminal would block the program
		_, _ = io.Copy(io.Discard, person)
	}()
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(seen.String(), enterScreen) {
		t.Errorf("it begins with %q", seen.String()[:20])
	}
}
