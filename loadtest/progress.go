package main

import (
	"fmt"
	"io"

	"github.com/keepsight/keepsight/internal/terminal"
)

// A progress is one line on a terminal that is written over and over, and nothing anywhere else.
type progress struct {
	w  io.Writer
	on bool
}

func newProgress(w io.Writer) *progress { return &progress{w: w, on: terminal.Is(w)} }

func (p *progress) show(format string, args ...any) {
	if p.on {
		fmt.Fprintf(p.w, terminal.ClearLine+format, args...)
	}
}

func (p *progress) clear() { p.show("") }
