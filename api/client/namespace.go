package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/keepsight/keepsight/api"
)

func namespacePath(route api.Route, namespace string) (api.Path, error) {
	if err := api.ValidateNamespace(namespace); err != nil {
		return api.Path{}, fmt.Errorf("keepsight: %w", err)
	}
	return api.Path{Route: route, Namespace: namespace}, nil
}

// Namespaces lists the namespaces that the token may read.
func (c *Client) Namespaces(ctx context.Context) ([]api.Namespace, error) {
	var resp api.NamespacesResponse
	err := c.call(ctx, http.MethodGet, api.Path{Route: api.RouteNamespaces}, nil, &resp)
	return resp.Namespaces, err
}

// Namespace returns what is stored under a namespace.
func (c *Client) Namespace(ctx context.Context, namespace string) (api.Namespace, error) {
	path, err := namespacePath(api.RouteNamespace, namespace)
	if err != nil {
		return api.Namespace{}, err
	}
	var resp api.Namespace
	err = c.call(ctx, http.MethodGet, path, nil, &resp)
	return resp, err
}

// Epoch returns the epoch of a namespace; one that nothing was ever stored under has epoch 0.
func (c *Client) Epoch(ctx context.Context, namespace string) (uint64, error) {
	return c.epoch(ctx, http.MethodGet, namespace, nil)
}

// RaiseEpoch raises the epoch of a namespace, which makes everything stored before unreachable, and
// returns the epoch that the namespace has then. Raising to the present epoch changes nothing; raising to a
// lower one is ErrEpochLower. When it returns, the raise survives a crash of the service.
func (c *Client) RaiseEpoch(ctx context.Context, namespace string, epoch uint64) (uint64, error) {
	return c.epoch(ctx, http.MethodPut, namespace, api.EpochBody{Epoch: &epoch})
}

func (c *Client) epoch(ctx context.Context, method, namespace string, in any) (uint64, error) {
	path, err := namespacePath(api.RouteEpoch, namespace)
	if err != nil {
		return 0, err
	}
	var resp api.EpochBody
	if err := c.call(ctx, method, path, in, &resp); err != nil {
		return 0, err
	}
	return *resp.Epoch, nil
}

// Status returns the service's state.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	var resp api.Status
	err := c.call(ctx, http.MethodGet, api.Path{Route: api.RouteStatus}, nil, &resp)
	return resp, err
}

// Ready returns nil if the service takes requests.
func (c *Client) Ready(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, api.Path{Route: api.RouteReady}, nil, nil)
}

// Live returns nil if the service's process answers.
func (c *Client) Live(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, api.Path{Route: api.RouteLive}, nil, nil)
}
