package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/api"
)

// A Target is a server under load.
type Target struct {
	Name string
	URL  string
	// PID is the server's process, whose children are counted with it; 0: its processor time and memory are not
	// known.
	PID int
	// Overwrites means that the server keeps what it is given until it is told otherwise, so a client stores under
	// few keys again and again instead of under new ones.
	Overwrites bool

	Namespace  string        // of keepsight
	Token      string        // bearer token for keepsight
	AskFirst   bool          // a PUT to keepsight waits to be asked for its body
	Congestion string        // congestion control of the client's sockets; empty: the machine's
	Timeout    time.Duration // of one operation; zero: 10 s
}

// defaultTimeout is longer than any of the encoders takes.
const defaultTimeout = 10 * time.Second

// Schemes says what a target's URL may be.
const Schemes = "http://HOST:PORT or unix:///PATH (keepsight), redis://HOST:PORT, memcached://HOST:PORT, " +
	"or files+http://HOST:PORT/PATH (a server that takes PUT and GET)"

// ErrTarget means that a target's URL cannot be used.
var ErrTarget = errors.New("invalid target")

// Validate reports a URL that Dial would not understand, and one that leaves the machine unless remote allows it.
func (t Target) Validate(remote bool) error {
	u, err := url.Parse(t.URL)
	if err != nil {
		return fmt.Errorf("%w: %q is not a URL", ErrTarget, t.URL)
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return fmt.Errorf("%w: %q: write unix:///PATH", ErrTarget, t.URL)
		}
		return nil
	case "http", "redis", "memcached", "files+http":
	default:
		return fmt.Errorf("%w: %q: write %s", ErrTarget, t.URL, Schemes)
	}
	if u.Port() == "" {
		return fmt.Errorf("%w: %q has no port", ErrTarget, t.URL)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); !remote && u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("%w: %s is not this machine; --allow-remote lets the load go there", ErrTarget, u.Host)
	}
	return nil
}

// Dial makes a connection, which is opened at its first use. The target is valid.
func (t Target) Dial() Conn {
	u, err := url.Parse(t.URL)
	if err != nil {
		panic(fmt.Sprintf("load: dial of the invalid target %q", t.URL))
	}
	network, address := "tcp", u.Host
	if u.Scheme == "unix" {
		network, address = "unix", u.Path
	}
	timeout := t.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	dialer := &net.Dialer{Control: congestionControl(network, t.Congestion)}
	w := newWire(func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, network, address) }, timeout)
	switch u.Scheme {
	case "redis":
		return &redisConn{wire: w, asked: make(questions)}
	case "memcached":
		return &memcachedConn{w}
	case "files+http":
		return &httpConn{wire: w, host: u.Host, prefix: strings.TrimSuffix(u.EscapedPath(), "/") + "/"}
	}
	host := u.Host
	if host == "" {
		host = "localhost"
	}
	path := api.Path{Route: api.RouteNamespace, Namespace: t.Namespace}.String()
	return &keepsightConn{
		httpConn:   httpConn{wire: w, host: host, prefix: path + "/embeddings/", token: t.Token, asks: t.AskFirst},
		lookupPath: path + "/lookup",
		asked:      make(questions),
	}
}

// congestionControl sets the algorithm before a socket connects.
func congestionControl(network, algorithm string) func(string, string, syscall.RawConn) error {
	if network != "tcp" || algorithm == "" {
		return nil
	}
	return func(_, _ string, raw syscall.RawConn) error {
		var err error
		if controlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, algorithm)
		}); controlErr != nil {
			return controlErr
		}
		if err != nil {
			return fmt.Errorf("congestion control %q: %w", algorithm, err)
		}
		return nil
	}
}
