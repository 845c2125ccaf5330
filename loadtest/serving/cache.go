package serving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/encoder"
)

var (
	// errMissing means that the cache does not have what was asked for.
	errMissing = errors.New("the embedding is not there")
	// errRefused means that the cache has no room or no time. An engine does not wait for it to have some: it
	// takes a read as a miss and keeps what it could not store.
	errRefused = errors.New("the service refused")
)

// A cache is what the simulation asks of keepsight, under one namespace. Calls come one at a time.
type cache interface {
	// Lookup says where each key stands, in their order, and claims what is missing for the owner; a claim is
	// empty if nothing was claimed. It does not wait for claims of others. The error may be errRefused.
	Lookup(ctx context.Context, owner string, keys []string) (states []api.State, claim string, err error)
	// Put stores an embedding, which every Get finds from then on until the cache evicts it. body is not read
	// after Put has returned. claim may be empty. That it is stored already is no error; errRefused is one.
	Put(ctx context.Context, key string, body []byte, claim string) error
	// Get reads a whole embedding into buf, which has its size. The error may be errMissing or errRefused.
	Get(ctx context.Context, key string, buf []byte) error
	// Delete removes an embedding; one that is absent is not an error.
	Delete(ctx context.Context, key string) error
}

// clientCache is a cache that is a keepsight service.
type clientCache struct {
	client    *client.Client
	namespace string
	media     encoder.Output
}

// leftTTL lets go of what a run that was killed has left behind.
const leftTTL = time.Hour

// A claim lasts as long as one may: virtual time, in which encodes queue, passes faster than the service's.
// One that ends all the same costs an encode.
func (c *clientCache) Lookup(ctx context.Context, owner string, keys []string) ([]api.State, string, error) {
	answer, err := c.client.Lookup(ctx, c.namespace, api.LookupRequest{
		Keys:  keys,
		Claim: &api.ClaimRequest{Owner: owner, TTLMS: api.MaxClaimTTL.Milliseconds()},
	})
	if err != nil {
		return nil, "", outcome("look up", err)
	}
	states := make([]api.State, len(keys))
	for i, result := range answer.Results {
		states[i] = result.State
	}
	if answer.Claim == nil {
		return states, "", nil
	}
	return states, *answer.Claim, nil
}

func (c *clientCache) Put(ctx context.Context, key string, body []byte, claim string) error {
	_, err := c.client.Put(ctx, c.namespace, key, body, api.PutHeader{
		DType: c.media.DType,
		Shape: c.media.Shape,
		Cost:  c.media.Cost(),
		TTL:   leftTTL,
		Claim: claim,
	})
	return outcome("put "+key, err)
}

func (c *clientCache) Get(ctx context.Context, key string, buf []byte) error {
	_, err := c.client.Get(ctx, c.namespace, key, buf, client.GetOptions{})
	return outcome("get "+key, err)
}

func (c *clientCache) Delete(ctx context.Context, key string) error {
	return outcome("delete "+key, c.client.Delete(ctx, c.namespace, key))
}

// outcome sorts errors by what an engine does about them. ErrExistsDifferent, which an engine takes as done, is
// an error here: whoever stores a key of this run stores the same bytes.
func outcome(call string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, client.ErrNotFound):
		return errMissing
	case errors.Is(err, client.ErrUnavailable):
		return errRefused
	}
	return fmt.Errorf("%s: %w", call, err)
}
