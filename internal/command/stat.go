package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/internal/terminal"
)

type statCommand struct {
	connection
	JSON     bool          `name:"json" help:"Print the status once, as JSON."`
	Interval time.Duration `default:"1s" placeholder:"DURATION" help:"How often a live table changes. (${default})"`
}

// Run prints the status, or on a terminal shows it until interrupted.
func (c statCommand) Run(ctx context.Context, streams Streams) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	service, err := c.open()
	if err != nil {
		return err
	}
	defer service.Close()
	status := func() (api.Status, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		status, err := service.Status(ctx)
		return status, service.explain(err)
	}
	first, err := status()
	switch {
	case err != nil:
		return err
	case c.JSON:
		return writeJSON(streams.Out, first)
	case !terminal.Is(streams.Out):
		writeStatus(streams.Out, first, nil, 0)
		return nil
	case c.Interval <= 0:
		return usagef("--interval must be positive")
	}
	ticker := time.NewTicker(c.Interval)
	defer ticker.Stop()
	showLive(ctx, streams.Out, first, status, ticker.C)
	return nil
}

// Control sequences of terminals: a screen of our own without a cursor, and back; the upper left corner;
// the rest of a line; the rest of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearRight  = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// showLive redraws the table at every tick until ctx ends. A service that does not answer is shown with
// what it said last: it may come back.
func showLive(ctx context.Context, terminal io.Writer, first api.Status, next func() (api.Status, error), ticks <-chan time.Time) {
	fmt.Fprint(terminal, enterScreen)
	defer fmt.Fprint(terminal, leaveScreen)
	shown, shownAt := first, time.Now()
	draw(terminal, func(w io.Writer) { writeStatus(w, first, nil, 0) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		status, err := next()
		switch at := time.Now(); {
		case ctx.Err() != nil:
			return
		case err != nil:
			draw(terminal, func(w io.Writer) {
				writeStatus(w, shown, nil, 0)
				fmt.Fprintf(w, "\n%v\n", err)
			})
		default:
			before, elapsed := shown, at.Sub(shownAt)
			draw(terminal, func(w io.Writer) { writeStatus(w, status, &before, elapsed) })
			shown, shownAt = status, at
		}
	}
}

// draw replaces the screen by what fill writes, in one write and without clearing first, so it does not flicker.
func draw(terminal io.Writer, fill func(io.Writer)) {
	var frame bytes.Buffer
	fill(&frame)
	fmt.Fprint(terminal, home+strings.ReplaceAll(frame.String(), "\n", clearRight+"\n")+clearBelow)
}
