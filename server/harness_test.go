package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A service is a server that runs for the length of a test.
type service struct {
	*Server
	t    testing.TB
	stop func() error // drains and returns what Run returned
	log  *lockedBuffer
}

// A lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// shortDir makes a directory whose path leaves room for a socket's name, which may have 107 bytes in all.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ks")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// testConfig is the smallest service, on TCP and a socket, with a disk tier.
func testConfig(t testing.TB) Config {
	t.Helper()
	dir := shortDir(t)
	fast := defaultPace
	fast.heartbeat = 50 * time.Millisecond
	fast.watch = 20 * time.Millisecond
	return Config{
		Listen:       []string{"127.0.0.1:0"},
		Socket:       filepath.Join(dir, "s"),
		MemoryBytes:  MinMemoryBytes,
		DiskDir:      filepath.Join(dir, "disk"),
		DiskBytes:    256 << 20,
		DrainTimeout: 10 * time.Second,
		Version:      "test",
		pace:         fast,
		lazy:         true,
	}
}

// start runs a service until the test ends.
func start(t testing.TB, edits ...func(*Config)) *service {
	t.Helper()
	c := testConfig(t)
	for _, edit := range edits {
		edit(&c)
	}
	return run(t, c)
}

// run starts a service with a configuration; prepare changes it before it takes its first connection.
func run(t testing.TB, c Config, prepare ...func(*Server)) *service {
	t.Helper()
	log := new(lockedBuffer)
	level := slog.LevelDebug
	if _, bench := t.(*testing.B); bench {
		level = slog.LevelInfo // as in production
	}
	c.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level}))
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	for _, edit := range prepare {
		edit(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	v := &service{Server: s, t: t, log: log}
	v.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := v.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return v
}

// impatient makes slow peers be cut soon.
func impatient(c *Config) {
	c.pace.grace = 300 * time.Millisecond
	c.pace.stall = time.Second
	c.pace.header = 500 * time.Millisecond
}

// noDisk takes the disk tier away.
func noDisk(c *Config) { c.DiskBytes = 0 }

// url returns an address under the TCP listener.
func (v *service) url(path string) string { return "http://" + v.addrs[0].String() + path }

// transports are the ways to the service.
func (v *service) transports() map[string]*http.Transport {
	all := map[string]*http.Transport{"tcp": {}, "unix": {}}
	for name, tr := range all {
		tr.DialContext = toService(v, name)
		tr.ExpectContinueTimeout = 10 * time.Second
		v.t.Cleanup(tr.CloseIdleConnections)
	}
	return all
}

// toService dials the service, whatever the URL says.
func toService(v *service, network string) func(context.Context, string, string) (net.Conn, error) {
	address := v.config.Socket
	if network == "tcp" {
		address = v.addrs[0].String()
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// client returns a client on TCP whose every exchange is checked against the contract.
func (v *service) client() *http.Client {
	return &http.Client{Transport: contract(v.t, v.transports()["tcp"])}
}

// everywhere runs a test once over each transport, against one service.
func (v *service) everywhere(t *testing.T, test func(t *testing.T, c *http.Client)) {
	for name, tr := range v.transports() {
		t.Run(name, func(t *testing.T) { test(t, &http.Client{Transport: contract(t, tr)}) })
	}
}

// A validator is a transport that holds every request and response against openapi.yaml.
type validator struct {
	t      testing.TB
	next   http.RoundTripper
	router routers.Router
}

// document is openapi.yaml; parsing it takes as long as most tests.
var document = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // any host
	return gorillamux.NewRouter(doc)
})

func contract(t testing.TB, next http.RoundTripper) *validator {
	t.Helper()
	router, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return &validator{t, next, router}
}

// RoundTrip implements http.RoundTripper. A request that the service refuses as malformed need not keep the
// contract; every answer must.
func (v *validator) RoundTrip(r *http.Request) (*http.Response, error) {
	route, params, routeErr := v.router.FindRoute(r)
	input := &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: params,
		Route:      route,
		Options: &openapi3filter.Options{
			ExcludeRequestBody:    r.Header.Get("Content-Type") != api.MediaJSON,
			IncludeResponseStatus: true,
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		},
	}
	for name, value := range params {
		unescaped, err := url.PathUnescape(value)
		if err != nil {
			routeErr = err
		}
		params[name] = unescaped
	}
	var requestErr error
	if routeErr == nil {
		requestErr = openapi3filter.ValidateRequest(r.Context(), input)
	}
	resp, err := v.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 && routeErr != nil {
		v.t.Errorf("%s %s is answered and not in the contract: %v", r.Method, r.URL.Path, routeErr)
	}
	if resp.StatusCode < 400 && requestErr != nil {
		v.t.Errorf("%s %s is answered %d against the contract: %v", r.Method, r.URL.Path, resp.StatusCode, requestErr)
	}
	if routeErr == nil {
		v.validate(r, resp, input)
	}
	return resp, nil
}

func (v *validator) validate(r *http.Request, resp *http.Response, input *openapi3filter.RequestValidationInput) {
	output := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Options:                input.Options,
	}
	switch resp.Header.Get("Content-Type") {
	case api.MediaJSON, api.MediaProblem:
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			v.t.Errorf("%s %s: read answer: %v", r.Method, r.URL.Path, err)
		}
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		output.SetBodyBytes(body)
	default:
		options := *input.Options
		options.ExcludeResponseBody = true
		output.Options = &options
	}
	if err := openapi3filter.ValidateResponse(r.Context(), output); err != nil {
		v.t.Errorf("%s %s answered %d against the contract: %v", r.Method, r.URL.Path, resp.StatusCode, err)
	}
}

// A shot is a request, and its answer with the body read.
type shot struct {
	method, path string
	header       http.Header
	body         []byte

	resp *http.Response
	got  []byte
}

func with(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// do sends the request and fails the test unless the status is the wanted one.
func (s shot) do(t testing.TB, c *http.Client, v *service, want int) shot {
	t.Helper()
	var body io.Reader
	if len(s.body) > 0 {
		body = bytes.NewReader(s.body)
	}
	r, err := http.NewRequestWithContext(t.Context(), s.method, v.url(s.path), body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range s.header {
		r.Header[name] = values
	}
	r.Host = s.header.Get("Host")
	if s.resp, err = c.Do(r); err != nil {
		t.Fatalf("%s %s: %v", s.method, s.path, err)
	}
	defer s.resp.Body.Close()
	if s.got, err = io.ReadAll(s.resp.Body); err != nil {
		t.Fatalf("%s %s: read body: %v", s.method, s.path, err)
	}
	if s.resp.StatusCode != want {
		t.Fatalf("%s %s: status %d, want %d: %s", s.method, s.path, s.resp.StatusCode, want, s.got)
	}
	return s
}

// code returns the error code of the answer.
func (s shot) code() api.Code { return api.Code(s.resp.Header.Get(api.HeaderError)) }

// embeddingPath returns the path of a key in namespace ns.
func embeddingPath(key string) string {
	return api.Path{Route: api.RouteEmbedding, Namespace: "ns", Key: key}.String()
}

// payload is a function of the key, so that every reader can check every byte.
func payload(key string, size int) []byte {
	seed := [32]byte{}
	copy(seed[:], fmt.Sprintf("%s/%d", key, size))
	p := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(p)
	return p
}

// put stores payload(key, size) as BF16.
func (v *service) put(t testing.TB, c *http.Client, key string, size int, header ...string) shot {
	t.Helper()
	h := with(append([]string{api.HeaderDType, "BF16", api.HeaderShape, fmt.Sprint(size / 2)}, header...)...)
	return shot{method: "PUT", path: embeddingPath(key), header: h, body: payload(key, size)}.do(t, c, v, http.StatusCreated)
}
