package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/keepsight/keepsight/api"
)

// hosts are the names that a Host header may carry. A page whose name an attacker lets resolve to 127.0.0.1
// reaches a local service with the browser's rights, but it comes with its own name.
type hosts map[string]bool

func newHosts(c Config) hosts {
	h := hosts{"localhost": true}
	for _, name := range c.Hosts {
		h[strings.ToLower(name)] = true
	}
	for _, address := range c.Listen {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			h[strings.ToLower(host)] = true
		}
	}
	return h
}

// socketHost is what clients of the unix socket may call the service beside localhost: HTTP wants a name.
const socketHost = "keepsight"

// check refuses a request that was meant for another name.
func (h hosts) check(r *http.Request) error {
	name := strings.ToLower(hostname(r.Host))
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case h[name]:
		return nil
	case local != nil && local.Network() == "unix":
		if name == "" || name == socketHost {
			return nil
		}
	case isLocal(name, local):
		return nil
	}
	return refusal(api.MisdirectedRequest)
}

// isLocal reports whether name is a loopback address or the one that the connection came to.
func isLocal(name string, local net.Addr) bool {
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	tcp, ok := local.(*net.TCPAddr)
	return ip.IsLoopback() || ok && tcp.AddrPort().Addr().Unmap() == ip.Unmap()
}

// hostname strips the port and the brackets of an IPv6 address.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
