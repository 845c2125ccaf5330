package load

import (
	"context"
	"crypto/tls"
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
const Schemes = "http://HOST:PORT, https://HOST:PORT or unix:///PATH (keepsight), redis://HOST:PORT, " +
	"memcached://HOST:PORT, or files+http://HOST:PORT/PATH (a server that takes PUT and GET)"

// ErrTarget means that a target cannot be used.
var ErrTarget = errors.New("invalid target")

// Validate reports a URL that Dial would not understand, and one that leaves the machine unless remote allows it.
func (t Target) Validate(remote bool) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w %q: %s", ErrTarget, t.URL, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return refuse("it is no URL: write %s", Schemes)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return refuse("there must be neither a user nor a query in it")
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return refuse("write unix:///PATH")
		}
		return t.validateKeepsight(refuse)
	case "http", "https":
		if err := t.validateKeepsight(refuse); err != nil {
			return err
		}
	case "redis", "memcached", "files+http":
	default:
		return refuse("write %s", Schemes)
	}
	if u.Scheme != "files+http" && strings.Trim(u.Path, "/") != "" {
		return refuse("there must be no path behind the port")
	}
	if u.Port() == "" {
		return refuse("it has no port")
	}
	if loopback(u.Hostname()) {
		return nil
	}
	if !remote {
		return refuse("%s is not this machine; --allow-remote lets the load go there", u.Host)
	}
	if t.Token != "" && u.Scheme == "http" {
		return refuse("the token would cross the network in clear text: write https")
	}
	return nil
}

// validateKeepsight checks what is only of meaning to keepsight.
func (t Target) validateKeepsight(refuse func(string, ...any) error) error {
	if err := api.ValidateNamespace(t.Namespace); err != nil {
		return refuse("%v", err)
	}
	if strings.ContainsFunc(t.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return refuse("its token holds what no header may")
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Looks reports whether the target can look up many keys in one exchange: whether its Conn is a Looker.
func (t Target) Looks() bool {
	_, looks := t.Dial(context.Background()).(Looker)
	return looks
}

// Dial makes a connection for as long as ctx lives. It is opened at its first use, or by Open. The target is valid.
func (t Target) Dial(ctx context.Context) Conn {
	u, err := url.Parse(t.URL)
	if err != nil {
		panic(fmt.Sprintf("load: dial of the invalid target %q", t.URL))
	}
	timeout := t.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	w := newWire(ctx, timeout, t.dialer(u))
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

// dialer returns how a socket to the target is opened.
func (t Target) dialer(u *url.URL) func(context.Context) (net.Conn, error) {
	network, address := "tcp", u.Host
	if u.Scheme == "unix" {
		network, address = "unix", u.Path
	}
	plain := &net.Dialer{Control: congestionControl(network, t.Congestion)}
	if u.Scheme != "https" {
		return func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, network, address) }
	}
	secure := &tls.Dialer{NetDialer: plain}
	return func(ctx context.Context) (net.Conn, error) { return secure.DialContext(ctx, network, address) }
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
