package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/api"
)

// Fetch reads many embeddings in one round trip. For each hit it calls buffer with the index of its key and
// its tensor, in the order of the keys, and reads the bytes into what buffer returns; a buffer shorter than
// Size, such as nil, passes over them. The result has one header for each key: State is api.Hit where all
// bytes came, fit in the buffer and have their checksum, and api.Missing everywhere else. It is complete
// also when the error is not nil: what follows a failure is missing.
func (c *Client) Fetch(ctx context.Context, namespace string, r api.FetchRequest, buffer func(index int, t api.Tensor) []byte) ([]api.FrameHeader, error) {
	results := make([]api.FrameHeader, len(r.Keys))
	for i := range results {
		results[i] = api.FrameHeader{Index: i, State: api.Missing}
	}
	if err := r.Validate(); err != nil {
		return results, fmt.Errorf("keepsight: %w", err)
	}
	path, err := namespacePath(api.RouteFetch, namespace)
	if err != nil {
		return results, err
	}
	req := c.request(http.MethodPost, path)
	if err := req.setJSON(r); err != nil {
		return results, err
	}
	resp, err := c.send(ctx, req, http.StatusOK)
	if err != nil {
		return results, err
	}
	defer resp.drain()
	if media := resp.header.Get("Content-Type"); media != api.MediaFetch {
		return results, protocolError("Content-Type %q is not a fetch stream", printableASCII(media))
	}
	return results, readFrames(api.NewFrameReader(resp, len(r.Keys)), r.Expect, results, buffer)
}

// readFrames fills in results. A stream that ends between frames says that the rest missed.
func readFrames(frames *api.FrameReader, expect []*api.Expect, results []api.FrameHeader, buffer func(int, api.Tensor) []byte) error {
	for {
		header, err := frames.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, api.ErrFrame):
			return protocolError("%w", err)
		case err != nil:
			return fmt.Errorf("keepsight: read fetch stream: %w", err)
		}
		i := header.Index
		if header.State != api.Hit {
			results[i].Code = header.Code
			continue
		}
		if len(expect) > 0 && !expect[i].Matches(header.Size, header.DType, header.Shape) {
			results[i].Code = api.ContractMismatch
			continue
		}
		buf := buffer(i, header.Tensor)
		if int64(len(buf)) < header.Size {
			continue
		}
		sum, err := readSummed(frames, buf[:header.Size])
		if err != nil {
			return fmt.Errorf("keepsight: read fetch stream: %w", err)
		}
		if sum != header.Sum {
			return ErrCorrupt
		}
		results[i] = header
	}
}

// readSummed fills buf and returns its checksum.
func readSummed(r io.Reader, buf []byte) (api.Sum, error) {
	var hash xxh3.Hasher
	for len(buf) > 0 {
		piece := buf[:min(len(buf), hashStep)]
		if _, err := io.ReadFull(r, piece); err != nil {
			return api.Sum{}, err
		}
		_, _ = hash.Write(piece) // never fails
		buf = buf[len(piece):]
	}
	return api.Sum(hash.Sum128().Bytes()), nil
}
