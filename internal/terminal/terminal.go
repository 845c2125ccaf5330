// Package terminal tells a terminal, at which a person looks, from files and pipes. It owns nothing.
package terminal

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ClearLine erases the terminal line that the cursor is on and returns to its start.
const ClearLine = "\r\x1b[K"

// Is reports whether w writes to a terminal.
func Is(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
