package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/keepsight/keepsight/api"
)

// Lookup asks one question about many keys. The response has one result for each key, in their order.
func (c *Client) Lookup(ctx context.Context, namespace string, r api.LookupRequest) (*api.LookupResponse, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("keepsight: %w", err)
	}
	path, err := namespacePath(api.RouteLookup, namespace)
	if err != nil {
		return nil, err
	}
	resp := new(api.LookupResponse)
	if err := c.call(ctx, http.MethodPost, path, r, resp); err != nil {
		return nil, err
	}
	if len(resp.Results) != len(r.Keys) {
		return nil, protocolError("%d results for %d keys", len(resp.Results), len(r.Keys))
	}
	return resp, nil
}

// Renew makes a claim last ttl from now, at most api.MaxClaimTTL; 0 means api.DefaultClaimTTL. A claim
// that has ended is ErrNoSuchClaim.
func (c *Client) Renew(ctx context.Context, claim string, ttl time.Duration) error {
	if !api.ValidToken(claim) {
		return ErrNoSuchClaim
	}
	path := api.Path{Route: api.RouteClaim, Token: claim}
	return c.call(ctx, http.MethodPost, path, api.RenewRequest{TTLMS: ttl.Milliseconds()}, nil)
}

// GiveUp ends a claim whose holder will not store what it claimed, so that somebody else may at once.
func (c *Client) GiveUp(ctx context.Context, claim string) error {
	if !api.ValidToken(claim) {
		return ErrNoSuchClaim
	}
	return c.call(ctx, http.MethodDelete, api.Path{Route: api.RouteClaim, Token: claim}, nil, nil)
}

// ReleasePin ends a pin before its time.
func (c *Client) ReleasePin(ctx context.Context, pin string) error {
	if !api.ValidToken(pin) {
		return ErrNoSuchPin
	}
	return c.call(ctx, http.MethodDelete, api.Path{Route: api.RoutePin, Token: pin}, nil, nil)
}
