package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keepsight/keepsight/internal/terminal"
)

// A screen is what two goroutines may write to and look at.
type screen struct {
	mu    sync.Mutex
	shown strings.Builder
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

func TestProgressShowsOnlyWhatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown screen
		p := newProgress(&shown, "storing clip.bin", -1)
		p.stopped.Go(p.show)
		p.Set(100<<20, 200<<20)
		time.Sleep(progressAfter - time.Millisecond)
		synctest.Wait()
		if shown.String() != "" {
			t.Errorf("after less than a second: %q", shown.String())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if want := "storing clip.bin:  50% of 200 MiB, 100 MiB/s"; !strings.Contains(shown.String(), want) {
			t.Errorf("after a second: %q lacks %q", shown.String(), want)
		}
		p.Stop()
		p.Stop()
		if !strings.HasSuffix(shown.String(), terminal.ClearLine) {
			t.Errorf("at the end: %q", shown.String())
		}
	})
}

func TestProgressOfUnknownTotal(t *testing.T) {
	p := newProgress(io.Discard, "hashing -", -1)
	p.Set(3<<20, -1)
	if got, want := p.line(2*time.Second), "hashing -: 3 MiB, 1.5 MiB/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressIsSilentWithoutATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		p := startProgress(&file, "storing", 100)
		time.Sleep(10 * time.Second)
		p.Stop()
		if file.Len() > 0 {
			t.Errorf("got %q", file.String())
		}
	})
}

func TestProgressReaderCountsAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := startProgress(io.Discard, "reading", 4)
	defer p.Stop()
	r := p.Reader(ctx, strings.NewReader("four"))
	if n, err := r.Read(make([]byte, 3)); n != 3 || err != nil || p.passed.Load() != 3 {
		t.Fatalf("read %d, %v, counted %d", n, err, p.passed.Load())
	}
	cancel()
	if _, err := r.Read(make([]byte, 3)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}
