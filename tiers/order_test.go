package tiers

import (
	"context"
	"sync"
	"testing"
)

func TestOrderIsOneAtATimeAndForgets(t *testing.T) {
	o := newOrder()
	id := named("k")[0]
	inside := 0
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			unlock, err := o.lock(context.Background(), id)
			if err != nil {
				t.Error(err)
				return
			}
			inside++ // the race detector and the count below see a second one inside
			if inside != 1 {
				t.Error("two hold the turn of one id")
			}
			inside--
			unlock()
		})
	}
	wg.Wait()
	if len(o.locks) != 0 {
		t.Errorf("%d turns are remembered after all were given up", len(o.locks))
	}
}

func TestOrderGivesUpWithTheContext(t *testing.T) {
	o := newOrder()
	id := named("k")[0]
	unlock, _ := o.lock(context.Background(), id)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := o.lock(ctx, id); err != context.Canceled {
		t.Errorf("lock with an ended context: %v", err)
	}
	unlock()
	unlock, err := o.lock(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if len(o.locks) != 0 {
		t.Errorf("%d turns are remembered", len(o.locks))
	}
}
