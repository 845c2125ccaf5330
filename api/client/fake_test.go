package client_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const namespace = "qwen"

// A fake is the contract in memory, as far as the client's tests need it. Its damage functions change
// what it says, so that a test can say what the client must not believe.
type fake struct {
	t      testing.TB
	mu     sync.Mutex
	values map[string]value // by namespace and key
	epochs map[string]uint64
	calls  []string // method and path of each request

	damageHeader  func(http.Header)
	damagePayload func([]byte) []byte
	override      http.HandlerFunc // answers instead, if set
}

type value struct {
	stat    api.Stat
	payload []byte
}

// serve starts the fake and returns a client of it.
func serve(t testing.TB, f *fake) *client.Client {
	t.Helper()
	f.t, f.values, f.epochs = t, map[string]value{}, map[string]uint64{}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return connect(t, server.URL)
}

func connect(t testing.TB, url string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{BaseURL: url, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func fail(w http.ResponseWriter, code api.Code) {
	w.Header().Set(api.HeaderError, string(code))
	w.Header().Set(api.HeaderRequestID, "req-1")
	w.Header().Set("Content-Type", api.MediaProblem)
	if code.Outcome() == api.Retry {
		w.Header().Set("Retry-After", "3")
	}
	w.WriteHeader(code.Status())
	_ = json.NewEncoder(w).Encode(api.NewProblem(code, "req-1", "a detail"))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", api.MediaJSON)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, r.Method+" "+r.URL.EscapedPath())
	if f.override != nil {
		f.override(w, r)
		return
	}
	path, err := api.ParsePath(r.URL.EscapedPath())
	if err != nil || r.Header.Get("Authorization") != "Bearer secret" {
		f.t.Errorf("%s %s: %v, %v", r.Method, r.URL, err, r.Header)
		return
	}
	switch path.Route {
	case api.RouteEmbedding:
		f.embedding(w, r, path)
	case api.RouteLookup:
		f.lookup(w, r, path)
	case api.RouteFetch:
		f.fetch(w, r, path)
	case api.RouteEpoch:
		f.epoch(w, r, path)
	case api.RouteClaim, api.RoutePin:
		if path.Token != "alive" {
			fail(w, map[api.Route]api.Code{api.RouteClaim: api.NoSuchClaim, api.RoutePin: api.NoSuchPin}[path.Route])
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case api.RouteNamespaces:
		answer(w, api.NamespacesResponse{Namespaces: []api.Namespace{{Name: namespace}}})
	case api.RouteNamespace:
		answer(w, api.Namespace{Name: path.Namespace, Epoch: f.epochs[path.Namespace]})
	case api.RouteStatus:
		answer(w, api.Status{Version: "fake", Ready: true})
	case api.RouteLive:
		_, _ = io.WriteString(w, "ok\n")
	case api.RouteReady:
		fail(w, api.Draining)
	default:
		fail(w, api.NoSuchRoute)
	}
}

func (f *fake) embedding(w http.ResponseWriter, r *http.Request, path api.Path) {
	id := path.Namespace + "/" + path.Key
	switch r.Method {
	case http.MethodPut:
		f.put(w, r, id)
	case http.MethodDelete:
		delete(f.values, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		f.get(w, r, id)
	}
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, id string) {
	h, err := api.ParsePutHeader(r.Header)
	if err != nil || r.ContentLength <= 0 {
		f.t.Errorf("PUT of %d bytes: %v", r.ContentLength, err)
	}
	old, exists := f.values[id]
	status, stored := http.StatusCreated, api.StoredCreated
	switch {
	case exists && h.IfAbsent:
		fail(w, api.AlreadyExists)
		return
	case exists && r.Header.Get("Expect") != "":
		status, stored = http.StatusOK, api.StoredExisting // and the body is not asked for
	default:
		payload, err := io.ReadAll(r.Body)
		if err != nil || int64(len(payload)) != r.ContentLength {
			fail(w, api.TruncatedBody)
			return
		}
		sum := sumOf(payload)
		if exists && sum != old.stat.Sum {
			fail(w, api.ExistsDifferent)
			return
		}
		if exists {
			status, stored = http.StatusOK, api.StoredExisting
		}
		tensor := api.Tensor{Size: r.ContentLength, DType: h.DType, Shape: h.Shape, Meta: h.Meta}
		if h.DType == "" {
			tensor.DType, tensor.Shape = "U8", []int64{r.ContentLength}
		}
		f.values[id] = value{api.Stat{Tensor: tensor, Sum: sum, Cost: h.Cost, TTL: h.TTL, Tier: "host"}, payload}
	}
	w.Header().Set(api.HeaderStored, string(stored))
	if f.damageHeader != nil {
		f.damageHeader(w.Header())
	}
	w.WriteHeader(status)
}

func (f *fake) get(w http.ResponseWriter, r *http.Request, id string) {
	expect, err := api.ParseExpect(r.Header)
	if err != nil {
		f.t.Error(err)
	}
	v, found := f.values[id]
	if !found && r.URL.Query().Get("wait_ms") == "1000" { // somebody stores it in time
		payload := []byte("waited")
		v.stat = api.Stat{Tensor: api.Tensor{Size: 6, DType: "U8", Shape: []int64{6}}, Sum: sumOf(payload)}
		v.payload, found = payload, true
	}
	switch {
	case !found:
		fail(w, api.NotFound)
		return
	case !expect.Matches(v.stat.Size, v.stat.DType, v.stat.Shape):
		fail(w, api.ContractMismatch)
		return
	}
	body := v.payload
	if api.AcceptsSafetensors(r.Header) {
		header := api.FormatSafetensors(v.stat.Tensor)
		v.stat.SetSafetensors(w.Header(), header)
		body = append(api.AppendSafetensorsPrefix(nil, header), body...)
	} else {
		v.stat.Set(w.Header())
	}
	status := http.StatusOK
	if part, partial, err := api.ParseRange(r.Header.Get("Range"), int64(len(body))); err != nil {
		fail(w, api.RangeNotSatisfiable)
		return
	} else if partial {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", part.ContentRange(int64(len(body))))
		body = body[part.Start : part.Start+part.Length]
	}
	if f.damagePayload != nil {
		body = f.damagePayload(body)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.damageHeader != nil {
		f.damageHeader(w.Header())
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}

func decode[T any, V interface {
	*T
	api.Validator
}](f *fake, r *http.Request) T {
	var v T
	if err := api.CheckJSON(r.Header); err != nil {
		f.t.Error(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	if err := api.ParseRequest(body, V(&v)); err != nil {
		f.t.Error(err)
	}
	return v
}

func (f *fake) lookup(w http.ResponseWriter, r *http.Request, path api.Path) {
	request := decode[api.LookupRequest](f, r)
	response := api.LookupResponse{Epoch: f.epochs[path.Namespace]}
	for _, key := range request.Keys {
		result := api.LookupResult{State: api.Missing}
		if v, found := f.values[path.Namespace+"/"+key]; found {
			result = api.LookupResult{State: api.Hit, Tensor: v.stat.Tensor, Tier: "host"}
		} else if request.Claim != nil {
			claim := "alive"
			result.State, response.Claim = api.Claimed, &claim
		}
		response.Results = append(response.Results, result)
	}
	answer(w, response)
}

func (f *fake) fetch(w http.ResponseWriter, r *http.Request, path api.Path) {
	var stream []byte
	for i, key := range decode[api.FetchRequest](f, r).Keys {
		v, found := f.values[path.Namespace+"/"+key]
		header := api.FrameHeader{Index: i, State: api.Missing, Code: api.NotFound}
		if found {
			header = api.FrameHeader{Index: i, State: api.Hit, Tensor: v.stat.Tensor, Sum: v.stat.Sum}
		}
		var err error
		if stream, err = api.AppendFrame(stream, header); err != nil {
			f.t.Error(err)
		}
		stream = append(stream, v.payload...)
	}
	if f.damagePayload != nil {
		stream = f.damagePayload(stream)
	}
	w.Header().Set("Content-Type", api.MediaFetch)
	_, _ = w.Write(stream)
}

func (f *fake) epoch(w http.ResponseWriter, r *http.Request, path api.Path) {
	epoch := f.epochs[path.Namespace]
	if r.Method == http.MethodPut {
		raised := *decode[api.EpochBody](f, r).Epoch
		if raised < epoch {
			fail(w, api.EpochLower)
			return
		}
		epoch = raised
		f.epochs[path.Namespace] = raised
	}
	answer(w, api.EpochBody{Epoch: &epoch})
}

// key with every trap of a path in it.
var oddKey = "sku/1 a?b#c%2F:猫" + strings.Repeat("k", 400)
