package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepsight/keepsight/api"
)

// tokens writes a tokens file in which each principal's token is its name with "-token" behind it.
func tokens(t testing.TB, entries ...tokenEntry) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.json")
	writeTokens(t, file, entries...)
	return file
}

func writeTokens(t testing.TB, file string, entries ...tokenEntry) {
	t.Helper()
	for i, e := range entries {
		sum := sha256.Sum256([]byte(e.Principal + "-token"))
		entries[i].SHA256 = hex.EncodeToString(sum[:])
	}
	data, err := json.Marshal(tokensFile{Tokens: entries, Tenants: map[string]tenantEntry{"small": {InFlightBytes: 64 << 10}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func entry(principal, tenant, namespaces string, allow ...string) tokenEntry {
	return tokenEntry{Principal: principal, Tenant: tenant, Scopes: []scopeEntry{{Namespaces: namespaces, Allow: allow}}}
}

func withTokens(file string) func(*Config) { return func(c *Config) { c.TokensFile = file } }

func bearer(principal string, more ...string) http.Header {
	return with(append([]string{"Authorization", "Bearer " + principal + "-token"}, more...)...)
}

// TestRouteWalk demands a token on every route that there is, whoever registered it, and on those there are
// not. Only health answers strangers.
func TestRouteWalk(t *testing.T) {
	v := start(t, noDisk, withTokens(tokens(t, entry("a", "t", "*", "read"))))
	c := v.client()
	type call struct{ method, path string }
	calls := []call{{"GET", "/nothing"}, {"GET", "/debug/pprof/"}, {"OPTIONS", "/"}, {"POST", "/livez"}, {"GET", "/livez/"}}
	for _, r := range v.echo.Routes() {
		path := strings.NewReplacer(":ns", "ns", ":key", "k", ":claim", "c-0", ":pin", "p-0").Replace(r.Path)
		calls = append(calls, call{r.Method, path})
	}
	if len(calls) < 25 {
		t.Fatalf("only %d calls", len(calls))
	}
	if resp := raw(t, v, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"); resp.StatusCode != 401 {
		t.Errorf("OPTIONS * is answered %d", resp.StatusCode)
	}
	for _, call := range calls {
		for name, h := range map[string]http.Header{
			"no token":      nil,
			"unknown token": with("Authorization", "Bearer b-token"),
			"empty token":   with("Authorization", "Bearer "),
			"other scheme":  with("Authorization", "Basic YTphLXRva2Vu"),
			"two tokens":    {"Authorization": {"Bearer a-token", "Bearer a-token"}},
		} {
			want := 401
			if call.path == "/livez" || call.path == "/readyz" {
				want = 200
				if call.method != "GET" {
					want = 405
				}
			}
			if got := (shot{method: call.method, path: call.path, header: h}).do(t, c, v, want); want == 401 && got.resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %s does not say how to authenticate", call.method, call.path, name)
			}
		}
	}
}

// TestRoutes keeps the table of rights, the router and the contract together.
func TestRoutes(t *testing.T) {
	v := start(t, noDisk)
	registered := map[string]bool{}
	for _, r := range v.echo.Routes() {
		registered[r.Method+" "+r.Path] = true
	}
	n := 0
	for _, route := range api.Routes() {
		for _, method := range route.Methods() {
			n++
			if _, known := rightOf(route, method); !known {
				t.Errorf("%s %s has no right and is denied", method, route)
			}
			if !registered[method+" "+echoPattern(route)] {
				t.Errorf("%s %s has no handler", method, route)
			}
		}
	}
	if n != len(registered) {
		t.Errorf("%d routes are registered, the contract has %d", len(registered), n)
	}
}

// TestScopes tries every verb of every role in namespaces it has and has not.
func TestScopes(t *testing.T) {
	v := start(t, withTokens(tokens(t,
		entry("reader", "t", "qwen-*", "read"),
		entry("encoder", "t", "qwen-*", "read", "write"),
		entry("janitor", "t", "qwen-7b", "delete"),
		entry("operator", "t", "*", "admin"),
		entry("stranger", "u", "*", "read", "write", "delete", "admin"),
	)))
	c := v.client()
	verbs := []struct {
		verb, method, path, body string
		ok                       int
	}{
		{"write", "PUT", "/v1/namespaces/%s/embeddings/k", "x", 0}, // 201, then 200
		{"read", "GET", "/v1/namespaces/%s/embeddings/k", "", 0},   // 200 or 404
		{"read", "HEAD", "/v1/namespaces/%s/embeddings/k", "", 0},
		{"read", "POST", "/v1/namespaces/%s/lookup", `{"keys":["k"]}`, 200},
		{"read+write", "POST", "/v1/namespaces/%s/lookup", `{"keys":["k"],"claim":{"owner":"o"}}`, 200},
		{"read", "POST", "/v1/namespaces/%s/fetch", `{"keys":["k"]}`, 200},
		{"read", "GET", "/v1/namespaces/%s", "", 200},
		{"read", "GET", "/v1/namespaces/%s/epoch", "", 200},
		{"delete", "DELETE", "/v1/namespaces/%s/embeddings/k", "", 204},
		{"admin", "PUT", "/v1/namespaces/%s/epoch", `{"epoch":0}`, 200},
	}
	may := map[string]map[string]string{
		"reader":   {"qwen-7b": "read", "qwen-2b": "read"},
		"encoder":  {"qwen-7b": "read,write", "qwen-2b": "read,write"},
		"janitor":  {"qwen-7b": "delete"},
		"operator": {"qwen-7b": "admin", "qwen-2b": "admin", "llava": "admin"},
		"stranger": {"qwen-7b": "read,write,delete,admin", "qwen-2b": "read,write,delete,admin", "llava": "read,write,delete,admin"},
	}
	for who, namespaces := range may {
		for _, ns := range []string{"qwen-7b", "qwen-2b", "llava"} {
			for _, call := range verbs {
				allowed := true
				for need := range strings.SplitSeq(call.verb, "+") {
					allowed = allowed && strings.Contains(namespaces[ns], need)
				}
				t.Run(fmt.Sprintf("%s %s %s %s", who, call.verb, call.method, ns), func(t *testing.T) {
					r, err := http.NewRequest(call.method, v.url(fmt.Sprintf(call.path, ns)), strings.NewReader(call.body))
					if err != nil {
						t.Fatal(err)
					}
					r.Header = bearer(who)
					if strings.HasPrefix(call.body, "{") {
						r.Header.Set("Content-Type", "application/json")
					}
					resp, err := c.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if (resp.StatusCode == 403) == allowed || call.ok != 0 && allowed && resp.StatusCode != call.ok {
						t.Errorf("status %d, allowed %t", resp.StatusCode, allowed)
					}
				})
			}
		}
	}
}

// TestTenants shows that one tenant's embeddings, claims and pins do not exist for another.
func TestTenants(t *testing.T) {
	all := []string{"read", "write", "delete", "admin"}
	v := start(t, noDisk, withTokens(tokens(t, entry("a", "t", "*", all...), entry("b", "u", "*", all...), entry("c", "small", "*", all...))))
	c := v.client()
	path := embeddingPath("k")
	shot{method: "PUT", path: path, header: bearer("a"), body: []byte("of a")}.do(t, c, v, 201)
	shot{method: "GET", path: path, header: bearer("b")}.do(t, c, v, 404)
	shot{method: "DELETE", path: path, header: bearer("b")}.do(t, c, v, 204)
	shot{method: "PUT", path: path, header: bearer("b"), body: []byte("of b")}.do(t, c, v, 201)
	if got := (shot{method: "GET", path: path, header: bearer("a")}).do(t, c, v, 200); string(got.got) != "of a" {
		t.Errorf("a reads %q", got.got)
	}
	lookup := shot{method: "POST", path: "/v1/namespaces/ns/lookup", header: bearer("a", "Content-Type", "application/json"),
		body: []byte(`{"keys":["k","new"],"claim":{"owner":"o"},"pin_ms":60000}`)}.do(t, c, v, 200)
	var answer api.LookupResponse
	if err := json.Unmarshal(lookup.got, &answer); err != nil {
		t.Fatal(err)
	}
	shot{method: "DELETE", path: "/v1/pins/" + *answer.Pin, header: bearer("b")}.do(t, c, v, 404)
	shot{method: "DELETE", path: "/v1/claims/" + *answer.Claim, header: bearer("b")}.do(t, c, v, 404)
	shot{method: "DELETE", path: "/v1/claims/" + *answer.Claim, header: bearer("a")}.do(t, c, v, 204)

	over := shot{method: "PUT", path: path, header: bearer("c"), body: make([]byte, 64<<10+1)}.do(t, c, v, 429)
	if over.code() != api.TenantOverLimit || over.resp.Header.Get("Retry-After") == "" {
		t.Errorf("code %q", over.code())
	}
	shot{method: "PUT", path: path, header: bearer("c"), body: make([]byte, 64<<10)}.do(t, c, v, 201)
}

// TestNamespaces lists what a principal may read, and nothing else.
func TestNamespaces(t *testing.T) {
	v := start(t, withTokens(tokens(t, entry("a", "t", "*", "read", "write"), entry("b", "t", "n1", "read"), entry("c", "u", "*", "read"))))
	c := v.client()
	for _, ns := range []string{"n2", "n1"} {
		shot{method: "PUT", path: "/v1/namespaces/" + ns + "/embeddings/k", header: bearer("a"), body: []byte("12345")}.do(t, c, v, 201)
	}
	for who, want := range map[string]string{"a": "n1 n2", "b": "n1", "c": ""} {
		got := shot{method: "GET", path: "/v1/namespaces", header: bearer(who)}.do(t, c, v, 200)
		var list api.NamespacesResponse
		if err := json.Unmarshal(got.got, &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, n := range list.Namespaces {
			names = append(names, n.Name)
			if n.Tiers["host"] != (api.Usage{Entries: 1, Bytes: 5}) {
				t.Errorf("%s holds %+v", n.Name, n.Tiers)
			}
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s sees %v, want %s", who, names, want)
		}
	}
	empty := shot{method: "GET", path: "/v1/namespaces/none", header: bearer("a")}.do(t, c, v, 200)
	if !strings.Contains(string(empty.got), `"tiers":{}`) {
		t.Errorf("an empty namespace is %s", empty.got)
	}
}

// TestTokensReload replaces the tokens file under traffic: no good request fails, a bad file changes nothing,
// and a token that is gone is refused.
func TestTokensReload(t *testing.T) {
	a, b := entry("a", "t", "*", "admin"), entry("b", "t", "*", "admin")
	file := tokens(t, a)
	v := start(t, noDisk, withTokens(file))
	c := v.client()
	status := func(who string) int {
		r, err := http.NewRequest("GET", v.url("/v1/status"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = bearer(who)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if status("a") != 200 || status("b") != 401 {
		t.Fatal("the first list is not in force")
	}
	writeTokens(t, file, a, b)
	eventually(t, "the reload", func() bool {
		if status("a") != 200 {
			t.Error("a good request failed during the reload")
		}
		return status("b") == 200
	})
	if err := os.WriteFile(file, []byte(`{"tokens":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.Reload(); err == nil {
		t.Error("a list without tokens was taken")
	}
	metrics := shot{method: "GET", path: "/metrics", header: bearer("a")}.do(t, c, v, 200)
	if !strings.Contains(string(metrics.got), "keepsight_config_reload_success 0") {
		t.Error("the failed reload is not in the metrics")
	}
	writeTokens(t, file, b)
	if err := v.Reload(); err != nil {
		t.Fatal(err)
	}
	if status("a") != 401 || status("b") != 200 {
		t.Error("the last list is not in force")
	}
}

// TestChangeDuringStart replaces tokens and certificate when they have been read and nobody watches them yet.
func TestChangeDuringStart(t *testing.T) {
	file := tokens(t, entry("old", "t", "*", "admin"))
	cert, key := certificatePair(t, "old")
	c := testConfig(t)
	c.TokensFile, c.TLSCert, c.TLSKey = file, cert, key
	v := run(t, c, func(*Server) {
		writeTokens(t, file, entry("a newer one", "t", "*", "admin"))
		writePair(t, cert, key, "new")
	})
	eventually(t, "the new tokens", func() bool {
		_, err := v.access.authenticate(bearer("a newer one"))
		return err == nil
	})
	eventually(t, "the new certificate", func() bool { return v.certificate.current.Load().Leaf.Subject.CommonName == "new" })
}

// TestOperation shows what tells of all tenants to those only who administer something.
func TestOperation(t *testing.T) {
	v := start(t, noDisk, withTokens(tokens(t, entry("engine", "t", "*", "read", "write", "delete"), entry("operator", "t", "none", "admin"))))
	c := v.client()
	for path, engine := range map[string]int{"/v1/status": 403, "/metrics": 403, "/": 200, "/openapi.yaml": 200, "/v1/namespaces": 200} {
		shot{method: "GET", path: path, header: bearer("engine")}.do(t, c, v, engine)
		shot{method: "GET", path: path, header: bearer("operator")}.do(t, c, v, 200)
	}
	shot{method: "GET", path: "/v1/namespaces/ns/epoch", header: bearer("operator")}.do(t, c, v, 403)
}

// TestTokensFile is the table of tokens files that the service does not start with.
func TestTokensFile(t *testing.T) {
	const good = `"principal":"p","tenant":"t","scopes":[{"namespaces":"*","allow":["read"]}]`
	sum := strings.Repeat("ab", 32)
	empty := sha256.Sum256(nil)
	entry := func(rest string) string { return `{"tokens":[{` + rest + `}]}` }
	for name, tc := range map[string]struct{ file, says string }{
		"empty file":               {"", "line 1"},
		"no tokens":                {`{"tokens":[]}`, "no tokens"},
		"not JSON":                 {"{\n \"tokens\": [,]}", "line 2, column"},
		"unknown field":            {entry(`"sha256":"` + sum + `","sope":1,` + good), `unknown field "sope"`},
		"unknown field says where": {"{\"tokens\":[],\n\"x\":1}", "line 2"},
		"field of another type":    {`{"tokens":[{"principal":7}]}`, "line 1, column 2"},
		"something behind":         {entry(`"sha256":"`+sum+`",`+good) + "{}", "follows"},
		"no secret":                {entry(good), "64 hex digits"},
		"short secret":             {entry(`"sha256":"abcd",` + good), "64 hex digits"},
		"secret in plain text":     {entry(`"sha256":"` + strings.Repeat("x", 64) + `",` + good), "64 hex digits"},
		"empty secret":             {entry(`"sha256":"` + hex.EncodeToString(empty[:]) + `",` + good), "empty token"},
		"no principal":             {entry(`"sha256":"` + sum + `","tenant":"t","scopes":[{"namespaces":"*","allow":["read"]}]`), "principal"},
		"no tenant":                {entry(`"sha256":"` + sum + `","principal":"p","scopes":[{"namespaces":"*","allow":["read"]}]`), "tenant"},
		"no scopes":                {entry(`"sha256":"` + sum + `","principal":"p","tenant":"t"`), "no scopes"},
		"unknown verb":             {entry(`"sha256":"` + sum + `","principal":"p","tenant":"t","scopes":[{"namespaces":"*","allow":["root"]}]`), `"root"`},
		"no verb":                  {entry(`"sha256":"` + sum + `","principal":"p","tenant":"t","scopes":[{"namespaces":"*"}]`), "allow is empty"},
		"pattern of another kind":  {entry(`"sha256":"` + sum + `","principal":"p","tenant":"t","scopes":[{"namespaces":"[a-z]","allow":["read"]}]`), "namespaces"},
		"one secret twice":         {`{"tokens":[{"sha256":"` + sum + `",` + good + `},{"sha256":"` + sum + `",` + good + `}]}`, "twice"},
		"limit below zero":         {`{"tokens":[{"sha256":"` + sum + `",` + good + `}],"tenants":{"t":{"pinned_bytes":-1}}}`, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseTokens([]byte(tc.file))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want one that says %q", err, tc.says)
			}
		})
	}
	if _, err := parseTokens([]byte(entry(`"sha256":"` + sum + `",` + good))); err != nil {
		t.Errorf("a good file: %v", err)
	}
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte(`{"tokens":[{"principal":"p","sha256":"` + strings.Repeat("ab", 32) + `","tenant":"t","scopes":[{"namespaces":"*","allow":["read"]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseTokens(data)
		if err == nil && len(list.tokens) == 0 {
			t.Error("a list without tokens")
		}
	})
}

// TestTokensWarning wants to hear of a tokens file that others can read.
func TestTokensWarning(t *testing.T) {
	file := tokens(t, entry("a", "t", "*", "read"))
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	v := start(t, noDisk, withTokens(file))
	if !strings.Contains(v.log.String(), "chmod 600") {
		t.Error("no warning")
	}
}
