package tiers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/keepsight/keepsight/tiers"
)

// deleteAndPut does both, one after the other, while the caller goes on.
func (h *hierarchy) deleteAndPut(name tiers.Name, payload []byte) <-chan error {
	done := make(chan error, 1)
	ctx := context.WithoutCancel(h.t.Context())
	go func() {
		err := h.Delete(ctx, name)
		if err == nil {
			_, err = h.putBytes(name, payload, false, tiers.Meta{})
		}
		done <- err
	}()
	return done
}

// TestDeleteOvertakesWrite: the writer is in the middle of storing v1 while DELETE and a PUT of v2 come.
// Whatever the disk does later, v1 must not come back.
func TestDeleteOvertakesWrite(t *testing.T) {
	h := open(t, options{diskSize: 256 * mib})
	name := h.name("k")
	v1, v2 := bytes.Repeat([]byte{1}, 5000), bytes.Repeat([]byte{2}, 5000)
	writing, release := make(chan struct{}), make(chan struct{})
	h.disk.hook(func(e *tiers.Embedding) {
		if e.ID == name.ID() && e.Bytes()[0] == 1 {
			close(writing)
			<-release
		}
	}, nil)
	if _, err := h.putBytes(name, v1, false, tiers.Meta{}); err != nil {
		t.Fatal(err)
	}
	<-writing
	second := h.deleteAndPut(name, v2)
	close(release)
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	h.mustFlush()
	wantV2 := func(when string) {
		t.Helper()
		e, _, err := h.Get(t.Context(), name)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		defer e.Release()
		if !bytes.Equal(e.Bytes(), v2) {
			t.Fatalf("%s: got the deleted embedding", when)
		}
	}
	wantV2("after the write")
	h.floodHost()
	wantV2("after eviction from host memory")
	h = h.reopen()
	wantV2("after a restart")
}

// TestDeleteOvertakesQueuedWrite: v1 is deleted before the writer gets to it. A reader may still hold it, so
// that it has not been freed, and a client may wait for it to be durable.
func TestDeleteOvertakesQueuedWrite(t *testing.T) {
	for what, put := range map[string]func(h *hierarchy) (release func()){
		"nobody holds it": func(h *hierarchy) func() {
			h.mustPut("k", 5000)
			return func() {}
		},
		"a reader holds it": func(h *hierarchy) func() {
			h.mustPut("k", 5000)
			e, _, err := h.Get(h.t.Context(), h.name("k"))
			if err != nil {
				h.t.Fatal(err)
			}
			return e.Release
		},
		"a durable put waits": func(h *hierarchy) func() {
			done := make(chan error)
			go func() {
				_, err := h.put("k", 5000, true)
				done <- err
			}()
			eventually(h.t, "the write is queued", func() bool { return h.Store.Stats().Backlog == 5 })
			return func() {
				if err := <-done; !errors.Is(err, tiers.ErrNotDurable) {
					h.t.Errorf("durable put of what was deleted meanwhile: %v, want %v", err, tiers.ErrNotDurable)
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t, options{})
			busy, proceed := make(chan struct{}, 8), make(chan struct{})
			h.disk.hook(func(*tiers.Embedding) { busy <- struct{}{}; <-proceed }, nil)
			for i := range 4 { // all writers
				h.mustPut(fmt.Sprint("busy ", i), 1000)
				<-busy
			}
			release := put(h)
			if err := h.Delete(t.Context(), h.name("k")); err != nil {
				t.Fatal(err)
			}
			h.disk.hook(nil, nil)
			close(proceed)
			h.mustFlush()
			release()
			if _, _, err := h.disk.Stat(t.Context(), h.name("k").ID()); !errors.Is(err, tiers.ErrNotFound) {
				t.Errorf("the deleted embedding reached the disk: %v", err)
			}
			if got := h.Store.Stats().DemotionsDropped; got != 1 {
				t.Errorf("%d writes were overtaken, want 1", got)
			}
		})
	}
}

// TestDeleteOvertakesPromotion: a promotion is reading v1 from disk while DELETE and a PUT of v2 come.
func TestDeleteOvertakesPromotion(t *testing.T) {
	h := open(t, options{})
	name := h.name("k")
	v1, v2 := bytes.Repeat([]byte{1}, 5000), bytes.Repeat([]byte{2}, 5000)
	if _, err := h.putBytes(name, v1, true, tiers.Meta{}); err != nil {
		t.Fatal(err)
	}
	h = h.reopen()
	reading, release := make(chan struct{}), make(chan struct{})
	h.disk.hook(nil, func(tiers.ID) { close(reading); <-release })
	read := make(chan error)
	go func() {
		e, _, err := h.Get(context.WithoutCancel(t.Context()), name)
		if err == nil {
			e.Release()
		}
		read <- err
	}()
	<-reading
	second := h.deleteAndPut(name, v2)
	close(release)
	if err := <-read; err != nil && !errors.Is(err, tiers.ErrNotFound) {
		t.Errorf("the get that was overtaken: %v", err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	h.disk.hook(nil, nil)
	e, _, err := h.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Release()
	if !bytes.Equal(e.Bytes(), v2) {
		t.Error("the promotion brought the deleted embedding back")
	}
}
