package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keepsight/keepsight/api"
)

const (
	// dialTimeout is far above what a machine in the same data centre needs.
	dialTimeout = 5 * time.Second
	// idleConns is how many connections are kept between calls; one costs about 10 KiB.
	idleConns   = 64
	idleTimeout = 90 * time.Second
	// expectContinueTimeout is how long a PUT waits to be asked for its body before it sends it unasked. The
	// service answers at once, or when it has found memory; who never answers is a proxy.
	expectContinueTimeout = 2 * time.Second
	// maxHeaderBytes holds the 8 KiB of a meta and all other headers.
	maxHeaderBytes = 64 << 10
	// maxDrain is what is read of an unwanted body so that the connection can be used again; beyond that a
	// new connection costs less.
	maxDrain = 64 << 10
	// maxJSON bounds a JSON response: 256 results with 8 KiB of meta each, escaped, fit.
	maxJSON = 16 << 20
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
	base      url.URL
	token     string
	transport *http.Transport
}

// New returns a client of the service at o.BaseURL. It connects when it is first used.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.BaseURL)
	if err != nil {
		return nil, errors.New("keepsight: the base URL cannot be parsed")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("keepsight: the base URL must have no user, query or fragment")
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	dial := dialer.DialContext
	switch {
	case base.Scheme == "unix" && base.Host == "" && strings.HasPrefix(base.Path, "/"):
		socket := base.Path
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
		base = &url.URL{Scheme: "http", Host: "localhost"}
	case (base.Scheme == "http" || base.Scheme == "https") && base.Host != "":
		base.Path = strings.TrimSuffix(base.Path, "/")
		base.RawPath = strings.TrimSuffix(base.RawPath, "/")
	default:
		return nil, errors.New("keepsight: the base URL must be http://host:port, https://host:port or unix:///path")
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 moves large bodies at 0.65 of the speed (measured)
	return &Client{
		base:  *base,
		token: o.Token,
		transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				nc, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return conn{nc}, nil
			},
			TLSClientConfig:        o.TLS.Clone(),
			Protocols:              protocols,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    idleConns,
			IdleConnTimeout:        idleTimeout,
			ExpectContinueTimeout:  expectContinueTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
	}, nil
}

// Close closes the connections that no call uses.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// request makes a request for the path without a body.
func (c *Client) request(ctx context.Context, method string, path api.Path) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("keepsight: %w", err)
	}
	escaped := c.base.EscapedPath() + path.String()
	if req.URL.Path, err = url.PathUnescape(escaped); err != nil {
		return nil, fmt.Errorf("keepsight: escape path: %w", err)
	}
	req.URL.RawPath = escaped
	// Every call may be sent twice, so the transport replaces a connection that the service has just closed.
	// An empty value says so and is not sent.
	req.Header["Idempotency-Key"] = nil
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// send returns the response if its status is among the wanted ones. Otherwise it closes the body and
// returns what the service refused, or ErrProtocol.
func (c *Client) send(req *http.Request, wanted ...int) (*http.Response, error) {
	resp, err := c.transport.RoundTrip(req) // no redirects: the token is for this service alone
	if err != nil {
		if ctxErr := req.Context().Err(); ctxErr != nil && !errors.Is(err, ctxErr) {
			err = fmt.Errorf("%w: %w", ctxErr, err)
		}
		return nil, fmt.Errorf("keepsight: %s: %w", req.Method, err)
	}
	for _, status := range wanted {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer drain(resp.Body)
	if resp.StatusCode < 400 {
		return nil, protocolError("status %d was not expected", resp.StatusCode)
	}
	return nil, readError(resp)
}

// call sends a JSON request, unless in is nil, and decodes a JSON response, unless out is nil.
func (c *Client) call(ctx context.Context, method string, path api.Path, in, out any) error {
	req, err := c.request(ctx, method, path)
	if err != nil {
		return err
	}
	if in != nil {
		if err := setJSON(req, in); err != nil {
			return err
		}
	}
	resp, err := c.send(req, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if out == nil {
		return nil
	}
	return decode(resp.Body, out)
}

// setJSON gives the request a JSON body that the transport can send again.
func setJSON(req *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keepsight: encode request: %w", err)
	}
	req.Header.Set("Content-Type", api.MediaJSON)
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, err = req.GetBody()
	return err
}

// decode reads one JSON value of at most maxJSON bytes.
func decode(body io.Reader, out any) error {
	data, err := io.ReadAll(io.LimitReader(body, maxJSON+1))
	if err != nil {
		return fmt.Errorf("keepsight: read response: %w", err)
	}
	if len(data) > maxJSON {
		return protocolError("the response has more than %d bytes", maxJSON)
	}
	if err := api.DecodeResponse(data, out); err != nil {
		return protocolError("%w", err)
	}
	return nil
}

// drain reads what little is left of a body, so that the connection can be used again, and closes it.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxDrain) // an error here only costs the connection
	_ = body.Close()
}
