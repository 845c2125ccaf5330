package terminal

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTerminalsAreTold(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0) // a pseudo terminal's end is one, too
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	defer terminal.Close()
	if !Is(terminal) {
		t.Error("a terminal was not recognized")
	}
	file, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if Is(file) || Is(new(bytes.Buffer)) {
		t.Error("a file or a buffer was taken for a terminal")
	}
}
