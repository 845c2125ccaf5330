package server

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
)

// TestRefusals is the table of what the service does not accept. Each answer is a problem with its code, keeps
// the contract, and repeats nothing of what was sent.
func TestRefusals(t *testing.T) {
	v := start(t)
	c := v.client()
	v.put(t, c, "taken", 64)
	const secret = "s3cret-marker"
	path, taken := embeddingPath(secret), embeddingPath("taken")
	longKey := "/v1/namespaces/ns/embeddings/" + strings.Repeat("k", 513)
	manyKeys := `{"keys":[` + strings.Repeat(`"k",`, 256) + `"k"]}`
	for _, tc := range []struct {
		name   string
		method string
		path   string
		header http.Header
		body   string
		code   api.Code
	}{
		{"namespace in upper case", "PUT", "/v1/namespaces/Ns/embeddings/k", nil, "x", api.InvalidNamespace},
		{"namespace that climbs", "GET", "/v1/namespaces/..%2f/embeddings/k", nil, "", api.InvalidNamespace},
		{"namespace too long", "GET", "/v1/namespaces/" + strings.Repeat("n", 129) + "/embeddings/k", nil, "", api.InvalidNamespace},
		{"key with a control character", "GET", "/v1/namespaces/ns/embeddings/a%00b", nil, "", api.InvalidKey},
		{"key that is not UTF-8", "PUT", "/v1/namespaces/ns/embeddings/%ff", nil, "x", api.InvalidKey},
		{"key too long", "GET", longKey, nil, "", api.InvalidKey},
		{"no key", "GET", "/v1/namespaces/ns/embeddings/", nil, "", api.InvalidKey},
		{"no such path", "GET", "/v2/status", nil, "", api.NoSuchRoute},
		{"method that the path does not have", "POST", path, nil, "x", api.MethodNotAllowed},
		{"method of no call", "OPTIONS", path, nil, "", api.MethodNotAllowed},

		{"shape without dtype", "PUT", path, with(api.HeaderShape, "8"), "8 bytes!", api.InvalidHeader},
		{"shape with a sign", "PUT", path, with(api.HeaderDType, "U8", api.HeaderShape, "-8"), "8 bytes!", api.InvalidHeader},
		{"meta that is not JSON", "PUT", path, with(api.HeaderMeta, "{"), "8 bytes!", api.InvalidHeader},
		{"cost that is not a number", "PUT", path, with(api.HeaderEncodeCost, "NaN"), "8 bytes!", api.InvalidHeader},
		{"TTL below zero", "PUT", path, with(api.HeaderTTL, "-1"), "8 bytes!", api.InvalidHeader},
		{"header of ours that does not exist", "PUT", path, with("Keepsight-Dtyp", "U8"), "8 bytes!", api.InvalidHeader},
		{"durability of another kind", "PUT", path, with(api.HeaderDurability, "tape"), "8 bytes!", api.InvalidHeader},
		{"claim that is none", "PUT", path, with(api.HeaderClaim, "abc"), "8 bytes!", api.InvalidHeader},
		{"If-None-Match with a tag", "PUT", path, with("If-None-Match", `"x"`), "8 bytes!", api.InvalidHeader},
		{"digest that is not base64", "PUT", path, with(api.HeaderReprDigest, "sha-256=:!:"), "8 bytes!", api.InvalidHeader},
		{"compressed body", "PUT", path, with("Content-Encoding", "gzip"), "8 bytes!", api.UnsupportedEncoding},
		{"body of another type", "PUT", path, with("Content-Type", "image/png"), "8 bytes!", api.UnsupportedMediaType},
		{"empty body", "PUT", path, nil, "", api.InvalidTensor},
		{"unknown dtype", "PUT", path, with(api.HeaderDType, "F4", api.HeaderShape, "8"), "8 bytes!", api.InvalidTensor},
		{"shape that disagrees with the length", "PUT", path, with(api.HeaderDType, "BF16", api.HeaderShape, "8"), "8 bytes!", api.InvalidTensor},
		{"shape that overflows", "PUT", path, with(api.HeaderDType, "F64", api.HeaderShape, "9223372036854775807,9"), "8 bytes!", api.InvalidTensor},
		{"dimension of zero", "PUT", path, with(api.HeaderDType, "U8", api.HeaderShape, "0"), "8 bytes!", api.InvalidTensor},
		{"digest of other bytes", "PUT", path, with(api.HeaderReprDigest, "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"), "8 bytes!", api.DigestMismatch},
		{"safetensors without a header", "PUT", path, with("Content-Type", api.MediaSafetensors), "8 bytes!", api.InvalidTensor},
		{"safetensors of garbage", "PUT", path, with("Content-Type", api.MediaSafetensors), "\x02\x00\x00\x00\x00\x00\x00\x00[]tensor", api.InvalidTensor},
		{"epoch that is not current", "PUT", path, with(api.HeaderEpoch, "7"), "8 bytes!", api.StaleEpoch},
		{"claim of another epoch", "PUT", path, with(api.HeaderClaim, strings.Repeat("0", 32)+"-7"), "8 bytes!", api.StaleEpoch},
		{"other bytes under a key", "PUT", taken, with(api.HeaderDType, "BF16", api.HeaderShape, "32"), strings.Repeat("x", 64), api.ExistsDifferent},
		{"another shape under a key", "PUT", taken, nil, "8 bytes!", api.ExistsIncompatible},
		{"another shape under a key, before the body", "PUT", taken, with("Expect", "100-continue"), "8 bytes!", api.ExistsIncompatible},
		{"a key that must be new", "PUT", taken, with("If-None-Match", "*"), "8 bytes!", api.AlreadyExists},

		{"missing", "GET", path, nil, "", api.NotFound},
		{"another size than expected", "GET", taken, with(api.HeaderExpectSize, "65"), "", api.ContractMismatch},
		{"another dtype than expected", "HEAD", taken, with(api.HeaderExpectDType, "F16"), "", api.ContractMismatch},
		{"another shape than expected", "GET", taken, with(api.HeaderExpectShape, "16,2"), "", api.ContractMismatch},
		{"expectation that cannot be parsed", "GET", taken, with(api.HeaderExpectSize, "1e3"), "", api.InvalidHeader},
		{"range beyond the end", "GET", taken, with("Range", "bytes=64-"), "", api.RangeNotSatisfiable},
		{"wait too long", "GET", taken + "?wait_ms=60001", nil, "", api.InvalidQuery},
		{"wait twice", "GET", taken + "?wait_ms=1&wait_ms=2", nil, "", api.InvalidQuery},
		{"unknown parameter", "GET", taken + "?" + secret + "=1", nil, "", api.InvalidQuery},

		{"lookup that is not declared as JSON", "POST", "/v1/namespaces/ns/lookup", with("Content-Type", "text/plain"), `{"keys":["k"]}`, api.UnsupportedMediaType},
		{"lookup that is not JSON", "POST", "/v1/namespaces/ns/lookup", asJSON, secret, api.InvalidJSON},
		{"lookup with an unknown field", "POST", "/v1/namespaces/ns/lookup", asJSON, `{"keys":["k"],"` + secret + `":1}`, api.InvalidJSON},
		{"lookup of nothing", "POST", "/v1/namespaces/ns/lookup", asJSON, `{"keys":[]}`, api.InvalidJSON},
		{"lookup of too many keys", "POST", "/v1/namespaces/ns/lookup", asJSON, manyKeys, api.InvalidJSON},
		{"lookup of an invalid key", "POST", "/v1/namespaces/ns/lookup", asJSON, `{"keys":[""]}`, api.InvalidKey},
		{"lookup larger than any", "POST", "/v1/namespaces/ns/lookup", asJSON, `{"keys":["` + strings.Repeat("k", api.MaxJSONBody) + `"]}`, api.TooLarge},
		{"claim without an owner", "POST", "/v1/namespaces/ns/lookup", asJSON, `{"keys":["k"],"claim":{}}`, api.InvalidJSON},
		{"fetch with a pin that is none", "POST", "/v1/namespaces/ns/fetch", asJSON, `{"keys":["k"],"pin":"?"}`, api.NoSuchPin},
		{"renewal of no claim", "POST", "/v1/claims/abc-0", asJSON, `{}`, api.NoSuchClaim},
		{"giving up no claim", "DELETE", "/v1/claims/abc-0", nil, "", api.NoSuchClaim},
		{"release of no pin", "DELETE", "/v1/pins/abc-0", nil, "", api.NoSuchPin},
		{"epoch without a number", "PUT", "/v1/namespaces/ns/epoch", asJSON, `{}`, api.InvalidJSON},
		{"event id of another form", "GET", "/v1/namespaces/ns/events", with(api.HeaderLastEventID, "7"), "", api.InvalidHeader},

		{"foreign Host", "GET", "/v1/status", with("Host", "attacker.example"), "", api.MisdirectedRequest},
		{"write from another site", "PUT", path, with("Sec-Fetch-Site", "cross-site"), "8 bytes!", api.Forbidden},
		{"write from another origin", "POST", "/v1/namespaces/ns/lookup", with("Content-Type", "application/json", "Origin", "https://attacker.example"), `{"keys":["k"]}`, api.Forbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := shot{method: tc.method, path: tc.path, header: tc.header, body: []byte(tc.body)}.do(t, c, v, tc.code.Status())
			if got.code() != tc.code {
				t.Errorf("code %q, want %q", got.code(), tc.code)
			}
			if tc.method == "HEAD" {
				return
			}
			var p api.Problem
			if err := json.Unmarshal(got.got, &p); err != nil {
				t.Fatalf("body %q: %v", got.got, err)
			}
			if p.Code != tc.code || p.Status != tc.code.Status() || p.RequestID != got.resp.Header.Get(api.HeaderRequestID) {
				t.Errorf("problem %+v", p)
			}
			if strings.Contains(string(got.got), secret) {
				t.Errorf("the answer repeats the request: %s", got.got)
			}
		})
	}
	if v.store.Stats().InFlightBytes != 0 {
		t.Error("memory of refused bodies was not returned")
	}
	if strings.Contains(v.log.String(), secret) {
		t.Error("the log repeats a key")
	}
}

var asJSON = with("Content-Type", "application/json")

// TestRawRefusals holds requests that no HTTP client sends. Those marked without a code are net/http's to
// refuse, which answers without a problem.
func TestRawRefusals(t *testing.T) {
	v := start(t, noDisk)
	const put = "PUT /v1/namespaces/ns/embeddings/k HTTP/1.1\r\nHost: localhost\r\n"
	const lookup = "POST /v1/namespaces/ns/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	const chunked = lookup + "Transfer-Encoding: chunked\r\n\r\n"
	for _, tc := range []struct {
		name    string
		request string
		status  int
		code    api.Code
	}{
		{"no length", put + "\r\n", 411, api.LengthRequired},
		{"chunked body", put + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", 411, api.LengthRequired},
		{"length of zero", put + "Content-Length: 0\r\n\r\n", 422, api.InvalidTensor},
		{"length of 2^62", put + "Content-Length: 4611686018427387904\r\n\r\n", 413, api.TooLarge},
		{"length of 2^62, asking first", put + "Expect: 100-continue\r\nContent-Length: 4611686018427387904\r\n\r\n", 413, api.TooLarge},
		{"length of 2^62 as safetensors", put + "Content-Type: application/vnd.safetensors\r\nContent-Length: 4611686018427387904\r\n\r\n", 413, api.TooLarge},
		{"length beyond an int64", put + "Content-Length: 9223372036854775808\r\n\r\n", 400, ""},
		{"length below zero", put + "Content-Length: -1\r\n\r\n", 400, ""},
		{"two lengths", put + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400, ""},
		{"length and chunks", put + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", 411, api.LengthRequired},
		{"header sent twice", put + "Keepsight-Dtype: U8\r\nKeepsight-Dtype: I8\r\nKeepsight-Shape: 4\r\nContent-Length: 4\r\n\r\nabcd", 400, api.InvalidHeader},
		{"expectation of another kind", put + "Expect: miracles\r\nContent-Length: 4\r\n\r\nabcd", 417, ""},
		{"two hosts", put + "Host: attacker.example\r\nContent-Length: 4\r\n\r\nabcd", 400, ""},
		{"path that is escaped in part", "PUT /v1/namespaces/ns/embeddings%2Fk\" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd", 400, api.InvalidKey},
		{"key that is escaped in part", "GET /v1/namespaces/ns/embeddings/a%2Fb\" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, api.InvalidKey},
		{"lookup in chunks, larger than any", chunked + "100001\r\n" + strings.Repeat(" ", 1<<20+1) + "\r\n0\r\n\r\n", 413, api.TooLarge},
		{"lookup in chunks that are none", chunked + "none\r\n", 400, api.TruncatedBody},
		{"lookup without a body", lookup + "\r\n", 400, api.InvalidJSON},
		{"headers without end", put + "X-Pad: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := raw(t, v, tc.request)
			if resp.StatusCode != tc.status || api.Code(resp.Header.Get(api.HeaderError)) != tc.code {
				t.Errorf("status %d code %q, want %d %q", resp.StatusCode, resp.Header.Get(api.HeaderError), tc.status, tc.code)
			}
		})
	}
}

// raw sends bytes and reads one answer.
func raw(t testing.TB, v *service, request string) *http.Response {
	t.Helper()
	conn := dial(t, v)
	defer conn.Close()
	go io.WriteString(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func dial(t testing.TB, v *service) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", v.addrs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestTooLargeAllocatesNothing announces bodies that cannot be, a thousand times.
func TestTooLargeAllocatesNothing(t *testing.T) {
	v := start(t, noDisk)
	request := "PUT /v1/namespaces/ns/embeddings/k HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n" +
		"Expect: 100-continue\r\nContent-Length: 4611686018427387904\r\n\r\n"
	raw(t, v, request)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 1000 {
		raw(t, v, request)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestHostHeader(t *testing.T) {
	v := start(t, noDisk, func(c *Config) { c.Hosts = []string{"Cache.example"} })
	port := v.addrs[0].String()[strings.LastIndex(v.addrs[0].String(), ":"):]
	for _, tc := range []struct {
		transport, host string
		status          int
	}{
		{"tcp", "localhost", 200},
		{"tcp", "LOCALHOST" + port, 200},
		{"tcp", "127.0.0.1" + port, 200},
		{"tcp", "127.0.0.2", 200},
		{"tcp", "[::1]" + port, 200},
		{"tcp", "cache.example", 200},
		{"tcp", "cache.example:80", 200},
		{"tcp", "192.0.2.1", 421},
		{"tcp", "keepsight", 421},
		{"tcp", "localhost.attacker.example", 421},
		{"tcp", "attacker.example" + port, 421},
		{"unix", "localhost", 200},
		{"unix", "keepsight", 200},
		{"unix", "attacker.example", 421},
	} {
		t.Run(tc.transport+" "+tc.host, func(t *testing.T) {
			r, err := http.NewRequest("GET", "http://x/livez", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = tc.host
			tr := v.transports()[tc.transport]
			resp, err := (&http.Client{Transport: contract(t, tr)}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tc.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tc.status)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		if resp := raw(t, v, "GET /livez HTTP/1.0\r\n\r\n"); resp.StatusCode != 421 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

func TestRequestID(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	for _, tc := range []struct {
		sent string
		kept bool
	}{{"abc-123", true}, {"two words", false}, {strings.Repeat("x", 129), false}} {
		got := shot{method: "GET", path: "/livez", header: with(api.HeaderRequestID, tc.sent)}.do(t, c, v, 200)
		if id := got.resp.Header.Get(api.HeaderRequestID); (id == tc.sent) != tc.kept || !api.ValidRequestID(id) {
			t.Errorf("sent %q, got %q", tc.sent, id)
		}
	}
}

// TestPanic makes a handler panic: the client gets a problem, the log gets the stack, and the service lives.
func TestPanic(t *testing.T) {
	v := run(t, testConfig(t), func(s *Server) {
		s.echo.GET("/livez", nil) // replaces the handler with one that cannot be called
	})
	got := shot{method: "GET", path: "/livez"}.do(t, v.client(), v, 500)
	if got.code() != api.Internal {
		t.Errorf("code %q", got.code())
	}
	if id := got.resp.Header.Get(api.HeaderRequestID); !strings.Contains(v.log.String(), id) || !strings.Contains(v.log.String(), "goroutine") {
		t.Error("the log does not say what happened to this request")
	}
	shot{method: "GET", path: "/readyz"}.do(t, v.client(), v, 200)
}
