package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/keepsight/keepsight/api"
)

// expectContinueBytes is the size from which a PUT asks before it sends the body: below it, sending costs
// less than the round trip.
const expectContinueBytes = 64 << 10

// Put stores body, which is read until Put returns and never after. ErrExistsDifferent and
// ErrAlreadyExists mean that the service holds the key already, which a cache's writer takes as done. A
// body of an embedding that exists with the same dtype and shape is not sent.
func (c *Client) Put(ctx context.Context, namespace, key string, body []byte, h api.PutHeader) (api.Stored, error) {
	return c.put(ctx, namespace, key, h, source{
		size:  int64(len(body)),
		open:  func() io.Reader { return bytes.NewReader(body) },
		again: true,
	})
}

// PutFrom stores size bytes of r. It returns when r is not being read any more, so a read of r that hangs
// holds it beyond its context.
func (c *Client) PutFrom(ctx context.Context, namespace, key string, r io.Reader, size int64, h api.PutHeader) (api.Stored, error) {
	return c.put(ctx, namespace, key, h, source{size: size, open: func() io.Reader { return r }})
}

// A source is where the body of a PUT comes from.
type source struct {
	size  int64 // bytes
	open  func() io.Reader
	again bool // whether open can be called again, for a second connection
}

func (c *Client) put(ctx context.Context, namespace, key string, h api.PutHeader, body source) (api.Stored, error) {
	path, err := embeddingPath(namespace, key)
	if err != nil {
		return "", err
	}
	if err := checkSize(body.size, h); err != nil {
		return "", err
	}
	req, err := c.request(ctx, http.MethodPut, path)
	if err != nil {
		return "", err
	}
	h.Set(req.Header)
	if body.size >= expectContinueBytes {
		req.Header.Set("Expect", "100-continue")
	}
	var reading sync.WaitGroup
	// The transport may answer while it still reads the body and closes it later: wait for that.
	defer reading.Wait()
	newBody := func() (io.ReadCloser, error) {
		reading.Add(1)
		return &trackedBody{r: body.open(), closed: reading.Done}, nil
	}
	req.ContentLength = body.size
	req.Body, _ = newBody()
	if body.again {
		req.GetBody = newBody
	}
	resp, err := c.send(req, http.StatusCreated, http.StatusOK)
	if err != nil {
		return "", err
	}
	defer drain(resp.Body)
	stored, err := api.ParseStored(resp.Header.Get(api.HeaderStored))
	if err != nil || (stored == api.StoredCreated) != (resp.StatusCode == http.StatusCreated) {
		return "", protocolError("status %d and %s do not agree", resp.StatusCode, api.HeaderStored)
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

// A trackedBody says when it will not be read any more. The mutex makes Close wait for a Read in progress.
type trackedBody struct {
	mu     sync.Mutex
	r      io.Reader // nil once closed
	closed func()
}

func (b *trackedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, io.ErrClosedPipe
	}
	return b.r.Read(p)
}

func (b *trackedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r != nil {
		b.r = nil
		b.closed()
	}
	return nil
}

// writeTo writes what is left in one piece if it is in memory and within limit, and reports whether it was.
func (b *trackedBody) writeTo(w io.Writer, limit int64) (n int64, whole bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	memory, ok := b.r.(*bytes.Reader)
	if !ok || int64(memory.Len()) > limit {
		return 0, false, nil
	}
	n, err = memory.WriteTo(w)
	return n, true, err
}
