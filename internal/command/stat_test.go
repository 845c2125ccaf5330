package command

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
)

func TestLiveTable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := []func() (api.Status, error){
		func() (api.Status, error) { return api.Status{Version: "second", Ready: true}, nil },
		func() (api.Status, error) { return api.Status{}, errors.New("no service answers") },
		func() (api.Status, error) { cancel(); return api.Status{}, ctx.Err() },
	}
	ticks := make(chan time.Time, len(answers))
	for range answers {
		ticks <- time.Time{}
	}
	var terminal strings.Builder
	showLive(ctx, &terminal, api.Status{Version: "first", Ready: true}, func() (api.Status, error) {
		answer := answers[0]
		answers = answers[1:]
		return answer()
	}, ticks)

	frames := strings.Split(terminal.String(), home)
	if len(frames) != 4 || frames[0] != enterScreen || !strings.HasSuffix(terminal.String(), leaveScreen) {
		t.Fatalf("%d frames in %q", len(frames)-1, terminal.String())
	}
	for i, want := range [][]string{{"first", "hits "}, {"second", "hits/s "}, {"second", "no service answers"}} {
		for _, word := range want {
			if !strings.Contains(frames[i+1], word) {
				t.Errorf("frame %d lacks %q: %q", i+1, word, frames[i+1])
			}
		}
	}
}
