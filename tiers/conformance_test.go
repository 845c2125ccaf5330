package tiers_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestConformance(t *testing.T) {
	for name, noDisk := range map[string]bool{"host only": true, "host and disk": false} {
		t.Run(name, func(t *testing.T) {
			tiertest.Run(t, func(t *testing.T) tiertest.Fixture {
				h := open(t, options{noDisk: noDisk, arenaSize: 64 * mib, diskSize: 64 * mib})
				scratch := tiertest.Arena(t, 64*mib) // what the suite's own embeddings live in
				tier := &storeAsTier{h: h, names: make(map[tiers.ID]tiers.Name)}
				// The suite's names are of epoch 1.
				for _, tenant := range []string{"default", "other"} {
					scope := tiers.Scope{Tenant: tenant, Namespace: tiertest.Name("").Namespace, Epoch: 1}
					if err := h.RaiseEpoch(t.Context(), scope); err != nil {
						t.Fatal(err)
					}
				}
				return tiertest.Fixture{Tier: tier, Reserve: tiertest.FromArena(scratch), FirstWins: true}
			})
		})
	}
}

// storeAsTier lets the suite drive a Store, which goes by names where a tier goes by ids.
type storeAsTier struct {
	h     *hierarchy
	mu    sync.Mutex
	names map[tiers.ID]tiers.Name
}

func (s *storeAsTier) name(id tiers.ID) tiers.Name {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.names[id]; ok {
		return name
	}
	return tiertest.Name("never put")
}

func (s *storeAsTier) Get(ctx context.Context, id tiers.ID) (*tiers.Embedding, error) {
	e, _, err := s.h.Get(ctx, s.name(id))
	return e, err
}

func (s *storeAsTier) Stat(ctx context.Context, id tiers.ID) (tiers.Name, tiers.Meta, error) {
	entry, err := s.h.Store.Stat(ctx, s.name(id))
	return s.name(id), entry.Meta, err
}

func (s *storeAsTier) Put(ctx context.Context, e *tiers.Embedding) error {
	s.mu.Lock()
	s.names[e.ID] = e.Name
	s.mu.Unlock()
	d, err := s.h.Begin(ctx, e.Name, e.Meta.Size, "")
	if err != nil {
		return err
	}
	defer d.Abort()
	if err := d.Fill(bytes.NewReader(e.Bytes())); err != nil {
		return err
	}
	meta := e.Meta
	if meta.Expired(time.Now()) {
		meta.TTL = 1 // the Store counts a TTL from the PUT
	}
	_, err = d.Commit(ctx, meta, false)
	return err
}

func (s *storeAsTier) Delete(ctx context.Context, id tiers.ID) error {
	return s.h.Store.Delete(ctx, s.name(id))
}

func (s *storeAsTier) Stats() tiers.Stats { return s.h.Store.Stats().Tiers[0] }

func (s *storeAsTier) Close() error { return s.h.Store.Close(context.Background()) }
