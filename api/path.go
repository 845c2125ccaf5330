package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Route is the template of a path, as the OpenAPI document writes it.
type Route string

const (
	RouteEmbedding  Route = "/v1/namespaces/{ns}/embeddings/{key}"
	RouteLookup     Route = "/v1/namespaces/{ns}/lookup"
	RouteFetch      Route = "/v1/namespaces/{ns}/fetch"
	RouteEpoch      Route = "/v1/namespaces/{ns}/epoch"
	RouteEvents     Route = "/v1/namespaces/{ns}/events"
	RouteNamespace  Route = "/v1/namespaces/{ns}"
	RouteNamespaces Route = "/v1/namespaces"
	RouteClaim      Route = "/v1/claims/{claim}"
	RoutePin        Route = "/v1/pins/{pin}"
	RouteStatus     Route = "/v1/status"
	RouteLive       Route = "/livez"
	RouteReady      Route = "/readyz"
	RouteMetrics    Route = "/metrics"
	RouteOpenAPI    Route = "/openapi.yaml"
	RoutePage       Route = "/"
)

type routeRow struct {
	route   Route
	methods []string
}

var routeTable = [...]routeRow{
	{RouteEmbedding, []string{http.MethodPut, http.MethodGet, http.MethodHead, http.MethodDelete}},
	{RouteLookup, []string{http.MethodPost}},
	{RouteFetch, []string{http.MethodPost}},
	{RouteEpoch, []string{http.MethodGet, http.MethodPut}},
	{RouteEvents, []string{http.MethodGet}},
	{RouteNamespace, []string{http.MethodGet}},
	{RouteNamespaces, []string{http.MethodGet}},
	{RouteClaim, []string{http.MethodPost, http.MethodDelete}},
	{RoutePin, []string{http.MethodDelete}},
	{RouteStatus, []string{http.MethodGet}},
	{RouteLive, []string{http.MethodGet}},
	{RouteReady, []string{http.MethodGet}},
	{RouteMetrics, []string{http.MethodGet}},
	{RouteOpenAPI, []string{http.MethodGet}},
	{RoutePage, []string{http.MethodGet}},
}

// Routes returns every route of the service.
func Routes() []Route {
	routes := make([]Route, len(routeTable))
	for i, r := range routeTable {
		routes[i] = r.route
	}
	return routes
}

// Methods returns the methods that the route answers, nil for no route of ours.
func (r Route) Methods() []string {
	for _, row := range routeTable {
		if row.route == r {
			return slices.Clone(row.methods)
		}
	}
	return nil
}

// A Path is a route with its parameters in place, unescaped and valid.
type Path struct {
	Route     Route
	Namespace string // of the routes with {ns}
	Key       string // of RouteEmbedding
	Token     string // of RouteClaim and RoutePin
}

// String formats the path with its parameters percent-encoded: everything but unreserved characters
// (RFC 3986), so that a slash in a key stays inside the key.
func (p Path) String() string {
	segments := strings.Split(string(p.Route), "/")
	for i, segment := range segments {
		switch segment {
		case "{ns}":
			segments[i] = escapeSegment(p.Namespace)
		case "{key}":
			segments[i] = escapeSegment(p.Key)
		case "{claim}", "{pin}":
			segments[i] = escapeSegment(p.Token)
		}
	}
	return strings.Join(segments, "/")
}

// ParsePath finds the route of an escaped path, as url.URL.EscapedPath returns it, and its parameters.
// The path must be escaped because a key may contain slashes. Its error is an *Error: NoSuchRoute,
// InvalidNamespace, InvalidKey, NoSuchClaim or NoSuchPin.
func ParsePath(escaped string) (Path, error) {
	segments := strings.Split(escaped, "/")
	for _, row := range routeTable {
		template := strings.Split(string(row.route), "/")
		if matches(template, segments) {
			return parseSegments(row.route, template, segments)
		}
	}
	return Path{}, errorf(NoSuchRoute, "the path names no call")
}

func matches(template, segments []string) bool {
	return slices.EqualFunc(template, segments, func(t, s string) bool {
		return t == s || strings.HasPrefix(t, "{")
	})
}

func parseSegments(route Route, template, segments []string) (Path, error) {
	p := Path{Route: route}
	for i, t := range template {
		value, err := url.PathUnescape(segments[i])
		valid := err == nil
		switch t {
		case "{ns}":
			if p.Namespace = value; !valid || ValidateNamespace(value) != nil {
				return Path{}, errorf(InvalidNamespace, "the namespace must match [a-z0-9][a-z0-9._-]{0,127}")
			}
		case "{key}":
			if p.Key = value; !valid || ValidateKey(value) != nil {
				return Path{}, errorf(InvalidKey, "the key must be 1 to 512 bytes of UTF-8 without control characters, percent-encoded")
			}
		case "{claim}":
			if p.Token = value; !valid || !ValidToken(value) {
				return Path{}, errorf(NoSuchClaim, "the path holds no claim")
			}
		case "{pin}":
			if p.Token = value; !valid || !ValidToken(value) {
				return Path{}, errorf(NoSuchPin, "the path holds no pin")
			}
		}
	}
	return p, nil
}

// escapeSegment encodes more than url.PathEscape does: characters such as : @ & = + mean something to
// some proxies, and a segment of dots would be resolved by every one of them.
func escapeSegment(s string) string {
	const upperHex = "0123456789ABCDEF"
	dots := s == "." || s == ".."
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; unreserved(c) && !dots {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func unreserved(c byte) bool {
	return alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}
