package command

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/terminal"
)

// Progress appears only when something takes longer than a person waits without wondering, and then moves
// often enough to be seen moving.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// A progress shows one line on a terminal while bytes pass, and nothing anywhere else.
type progress struct {
	terminal io.Writer
	what     string
	total    atomic.Int64 // -1 when unknown
	passed   atomic.Int64
	stop     chan struct{}
	stopped  sync.WaitGroup
	stopOnce sync.Once
}

// startProgress begins to watch; total is in bytes, or -1. The caller calls Stop, which may be repeated.
func startProgress(stderr io.Writer, what string, total int64) *progress {
	p := newProgress(stderr, what, total)
	if terminal.Is(stderr) {
		p.stopped.Go(p.show)
	}
	return p
}

func newProgress(w io.Writer, what string, total int64) *progress {
	p := &progress{terminal: w, what: what, stop: make(chan struct{})}
	p.total.Store(total)
	return p
}

func (p *progress) show() {
	began := time.Now()
	next := time.NewTimer(progressAfter)
	defer next.Stop()
	shown := false
	for {
		select {
		case <-p.stop:
			if shown {
				fmt.Fprint(p.terminal, terminal.ClearLine)
			}
			return
		case <-next.C:
			fmt.Fprint(p.terminal, terminal.ClearLine, p.line(time.Since(began)))
			shown = true
			next.Reset(progressEvery)
		}
	}
}

func (p *progress) line(elapsed time.Duration) string {
	passed, total := p.passed.Load(), p.total.Load()
	rate := bytesize.Format(int64(float64(passed)/elapsed.Seconds())) + "/s"
	if total <= 0 {
		return fmt.Sprintf("%s: %s, %s", p.what, bytesize.Format(passed), rate)
	}
	percent := 100 * float64(passed) / float64(total)
	return fmt.Sprintf("%s: %3.0f%% of %s, %s", p.what, percent, bytesize.Format(total), rate)
}

// Set says how many bytes of how many have passed so far.
func (p *progress) Set(passed, total int64) {
	p.passed.Store(passed)
	p.total.Store(total)
}

// Stop erases the line.
func (p *progress) Stop() {
	p.stopOnce.Do(func() { close(p.stop) })
	p.stopped.Wait()
}

// Reader counts what is read from r, and fails once ctx has ended.
func (p *progress) Reader(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(b)
		p.passed.Add(int64(n))
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
