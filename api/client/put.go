package client

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/keepsight/keepsight/api"
)

// Put stores body, which is read until Put returns and never after. ErrExistsDifferent and
// ErrAlreadyExists mean that the service holds the key already, which a cache's writer takes as done. A
// body of an embedding that exists with the same dtype and shape is not sent.
func (c *Client) Put(ctx context.Context, namespace, key string, body []byte, h api.PutHeader) (api.Stored, error) {
	return c.put(ctx, namespace, key, h, inMemory(body))
}

// PutFrom stores size bytes of r. It returns when r is not being read any more, so a read of r that hangs
// holds it beyond its context.
func (c *Client) PutFrom(ctx context.Context, namespace, key string, r io.Reader, size int64, h api.PutHeader) (api.Stored, error) {
	return c.put(ctx, namespace, key, h, source{size: size, stream: r})
}

func (c *Client) put(ctx context.Context, namespace, key string, h api.PutHeader, body source) (api.Stored, error) {
	path, err := embeddingPath(namespace, key)
	if err != nil {
		return "", err
	}
	if err := checkSize(body.size, h); err != nil {
		return "", err
	}
	if err := body.load(); err != nil {
		return "", err
	}
	r := c.request(http.MethodPut, path)
	h.Set(r.header)
	r.body = body
	resp, err := c.send(ctx, r, http.StatusCreated, http.StatusOK)
	if err != nil {
		return "", err
	}
	defer resp.drain()
	stored, err := api.ParseStored(resp.header.Get(api.HeaderStored))
	if err != nil || (stored == api.StoredCreated) != (resp.status == http.StatusCreated) {
		return "", protocolError("status %d and %s do not agree", resp.status, api.HeaderStored)
	}
	return stored, nil
}

// checkSize refuses here what the service would refuse.
func checkSize(size int64, h api.PutHeader) error {
	if size <= 0 {
		return fmt.Errorf("keepsight: %w", &api.Error{Code: api.InvalidTensor, Detail: "an embedding is not empty"})
	}
	if h.DType == "" && h.Shape == nil {
		return nil
	}
	if err := (api.Tensor{Size: size, DType: h.DType, Shape: h.Shape}).Validate(); err != nil {
		return fmt.Errorf("keepsight: %w", err)
	}
	return nil
}

// Delete removes an embedding everywhere; one that is absent is not an error.
func (c *Client) Delete(ctx context.Context, namespace, key string) error {
	path, err := embeddingPath(namespace, key)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}
