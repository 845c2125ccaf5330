package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/keepsight/keepsight/api"
)

const (
	// maxJSON bounds a JSON response: 256 results with 8 KiB of meta each, escaped, fit.
	maxJSON = 16 << 20
	// firstJSON bounds the memory that is made before a byte of a JSON response has come.
	firstJSON = 64 << 10
)

// Options say where the service is and how to reach it.
type Options struct {
	// BaseURL is http://host:port, https://host:port, or unix:///path/to/socket.
	BaseURL string
	// Token is the bearer token; empty sends none.
	Token string
	// TLS is used for https; nil means the system's roots.
	TLS *tls.Config
}

// A Client calls one keepsight service.
type Client struct {
	address       address
	authorization string // or empty
	connect       func(context.Context) (*conn, error)
	pool          pool
}

// New returns a client of the service at o.BaseURL. It connects when it is first used.
func New(o Options) (*Client, error) {
	a, err := parseAddress(o.BaseURL, o.TLS)
	if err != nil {
		return nil, err
	}
	c := &Client{address: a, connect: a.connect}
	if o.Token != "" {
		c.authorization = "Bearer " + o.Token
	}
	return c, nil
}

// Close closes the connections that no call uses, and those in use when their calls end. A later call connects
// again.
func (c *Client) Close() { c.pool.close() }

// request makes a request for the path without a body.
func (c *Client) request(method string, path api.Path) *request {
	r := &request{method: method, target: c.address.prefix + path.String(), header: make(http.Header)}
	if c.authorization != "" {
		r.header.Set("Authorization", c.authorization)
	}
	return r
}

// send returns the response if its status is among the wanted ones. Otherwise it closes the body and
// returns what the service refused, or ErrProtocol.
func (c *Client) send(ctx context.Context, r *request, wanted ...int) (*response, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	resp, err := c.roundTrip(ctx, r) // no redirects: the token is for this service alone
	if err != nil {
		return nil, fmt.Errorf("keepsight: %s: %w", r.method, err)
	}
	if slices.Contains(wanted, resp.status) {
		return resp, nil
	}
	defer resp.drain()
	if resp.status < 400 {
		return nil, protocolError("status %d was not expected", resp.status)
	}
	return nil, readError(resp)
}

// call sends a JSON request, unless in is nil, and decodes a JSON response, unless out is nil.
func (c *Client) call(ctx context.Context, method string, path api.Path, in, out any) error {
	r := c.request(method, path)
	if in != nil {
		if err := r.setJSON(in); err != nil {
			return err
		}
	}
	resp, err := c.send(ctx, r, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return err
	}
	defer resp.drain()
	if out == nil {
		return nil
	}
	return decode(resp, out)
}

// setJSON gives the request a JSON body.
func (r *request) setJSON(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keepsight: encode request: %w", err)
	}
	r.header.Set("Content-Type", api.MediaJSON)
	r.body = inMemory(body)
	return nil
}

// decode reads one JSON value of at most maxJSON bytes.
func decode(resp *response, out any) error {
	var data bytes.Buffer
	data.Grow(int(min(max(resp.length, 0), firstJSON)) + bytes.MinRead) // ReadFrom wants that much to see the end
	if _, err := data.ReadFrom(io.LimitReader(resp, maxJSON+1)); err != nil {
		return fmt.Errorf("keepsight: read response: %w", err)
	}
	if data.Len() > maxJSON {
		return protocolError("the response has more than %d bytes", maxJSON)
	}
	if err := api.DecodeResponse(data.Bytes(), out); err != nil {
		return protocolError("%w", err)
	}
	return nil
}
