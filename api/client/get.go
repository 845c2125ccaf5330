package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/api"
)

// hashStep is how much is read before it is hashed, while it is in a cache. A GET over loopback takes 6% less
// CPU time than with 256 KiB; on a unix socket a read returns at most 208 KiB anyway.
const hashStep = 1 << 20

// GetOptions narrow what a GET or HEAD returns. The zero value asks for the embedding as it is now.
type GetOptions struct {
	// Expect is what the reader is prepared for; anything else is a miss. nil accepts all.
	Expect *api.Expect
	// Wait is how long the service may wait for somebody to store the embedding, at most api.MaxWait.
	Wait time.Duration
}

// OpenOptions say which form and part of an embedding Open returns.
type OpenOptions struct {
	GetOptions
	// Safetensors asks for a safetensors file instead of raw bytes.
	Safetensors bool
	// Range asks for a part; nil is the whole. Parts of two embeddings stored under one key one after the
	// other can be told apart by Stat.Sum.
	Range *api.Range
}

// A Stream is an embedding that is being read.
type Stream struct {
	Stat   api.Stat
	Range  api.Range // what is read, of the representation that was asked for
	resp   *response
	unread int64

	verify bool  // false for a part: there is nothing to compare with
	prefix int64 // bytes of the safetensors header still to come, which the checksum leaves out
	hash   xxh3.Hasher
}

// Get reads an embedding into the first Stat.Size bytes of buf and verifies it. If buf is too small the
// error is a *ShortBufferError and nothing was read. A miss is ErrNotFound. After any error the content of
// buf is undefined.
func (c *Client) Get(ctx context.Context, namespace, key string, buf []byte, o GetOptions) (api.Stat, error) {
	s, err := c.Open(ctx, namespace, key, OpenOptions{GetOptions: o})
	if err != nil {
		return api.Stat{}, err
	}
	defer s.Close()
	if s.Stat.Size > int64(len(buf)) {
		return api.Stat{}, &ShortBufferError{Need: s.Stat.Size, Have: int64(len(buf))}
	}
	if _, err := io.ReadFull(s, buf[:s.Stat.Size]); err != nil {
		return api.Stat{}, err
	}
	if err := s.check(); err != nil {
		return api.Stat{}, err
	}
	return s.Stat, nil
}

// Stat returns what Get would, without the bytes.
func (c *Client) Stat(ctx context.Context, namespace, key string, o GetOptions) (api.Stat, error) {
	r, err := c.embeddingRequest(http.MethodHead, namespace, key, o)
	if err != nil {
		return api.Stat{}, err
	}
	resp, err := c.send(ctx, r, http.StatusOK)
	if err != nil {
		return api.Stat{}, err
	}
	defer resp.drain()
	return parseStat(resp, o.Expect)
}

// Open starts to read an embedding. The caller closes the stream, and its context must live as long.
func (c *Client) Open(ctx context.Context, namespace, key string, o OpenOptions) (*Stream, error) {
	r, err := c.embeddingRequest(http.MethodGet, namespace, key, o.GetOptions)
	if err != nil {
		return nil, err
	}
	if o.Safetensors {
		r.header.Set("Accept", api.MediaSafetensors)
	}
	wanted := []int{http.StatusOK}
	if o.Range != nil {
		r.header.Set("Range", o.Range.String())
		wanted = append(wanted, http.StatusPartialContent)
	}
	resp, err := c.send(ctx, r, wanted...)
	if err != nil {
		return nil, err
	}
	s, err := newStream(resp, o)
	if err != nil {
		resp.drain()
		return nil, err
	}
	return s, nil
}

// embeddingRequest makes a request about one embedding.
func (c *Client) embeddingRequest(method, namespace, key string, o GetOptions) (*request, error) {
	path, err := embeddingPath(namespace, key)
	if err != nil {
		return nil, err
	}
	r := c.request(method, path)
	if o.Wait > 0 {
		r.target += "?wait_ms=" + strconv.FormatInt(o.Wait.Milliseconds(), 10)
	}
	o.Expect.Set(r.header)
	return r, nil
}

// embeddingPath refuses here what the service would refuse.
func embeddingPath(namespace, key string) (api.Path, error) {
	if err := errors.Join(api.ValidateNamespace(namespace), api.ValidateKey(key)); err != nil {
		return api.Path{}, fmt.Errorf("keepsight: %w", err)
	}
	return api.Path{Route: api.RouteEmbedding, Namespace: namespace, Key: key}, nil
}

func parseStat(resp *response, expect *api.Expect) (api.Stat, error) {
	stat, err := api.ParseStat(resp.header)
	if err != nil {
		return api.Stat{}, protocolError("%w", err)
	}
	if !expect.Matches(stat.Size, stat.DType, stat.Shape) {
		// An older service may not know the header.
		return api.Stat{}, &Error{Status: http.StatusNotFound, Code: api.ContractMismatch}
	}
	return stat, nil
}

// newStream checks that lengths agree before a byte is read.
func newStream(resp *response, o OpenOptions) (*Stream, error) {
	stat, err := parseStat(resp, o.Expect)
	if err != nil {
		return nil, err
	}
	s := &Stream{Stat: stat, resp: resp, unread: resp.length}
	s.Range = api.Range{Start: 0, Length: resp.length}
	total := resp.length
	if resp.status == http.StatusPartialContent {
		s.Range, total, err = api.ParseContentRange(resp.header.Get("Content-Range"))
		if err != nil || s.Range.Length != resp.length {
			return nil, protocolError("Content-Range and Content-Length do not agree")
		}
		if s.Range.Start != o.Range.Start || s.Range.Length > o.Range.Length {
			return nil, protocolError("another range came than was asked for")
		}
	} else {
		s.verify = true
	}
	media := resp.header.Get("Content-Type")
	switch {
	case media == api.MediaRaw && total == stat.Size:
	case media == api.MediaSafetensors && o.Safetensors && total > stat.Size:
		s.prefix = total - stat.Size
	default:
		return nil, protocolError("Content-Type %q and Content-Length %d do not fit a tensor of %d bytes", printableASCII(media), total, stat.Size)
	}
	return s, nil
}

// Read reads the next bytes. Instead of io.EOF it returns ErrCorrupt when the embedding came whole and does
// not have its checksum.
func (s *Stream) Read(p []byte) (int, error) {
	if s.unread == 0 {
		if err := s.check(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	if s.verify && len(p) > hashStep {
		p = p[:hashStep]
	}
	if int64(len(p)) > s.unread {
		p = p[:s.unread]
	}
	n, err := s.resp.Read(p)
	s.unread -= int64(n)
	s.sum(p[:n])
	switch {
	case err == nil || s.unread == 0:
		return n, nil // what there is to say at the end, the next Read says
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("keepsight: read embedding: %w", io.ErrUnexpectedEOF)
	default:
		return n, fmt.Errorf("keepsight: read embedding: %w", err)
	}
}

// sum adds the tensor's bytes among p to the checksum.
func (s *Stream) sum(p []byte) {
	if !s.verify {
		return
	}
	skip := min(s.prefix, int64(len(p)))
	s.prefix -= skip
	_, _ = s.hash.Write(p[skip:]) // never fails
}

// check compares the checksum of a stream that was read to its end.
func (s *Stream) check() error {
	if s.verify && api.Sum(s.hash.Sum128().Bytes()) != s.Stat.Sum {
		return ErrCorrupt
	}
	return nil
}

// Close ends the stream. Of what was not read it reads at most 64 KiB, to keep the connection.
func (s *Stream) Close() error {
	s.resp.drain()
	return nil
}
