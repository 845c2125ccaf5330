package api_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// codeOf returns the code of an error of package api.
func codeOf(t rapid.TB, err error) api.Code {
	t.Helper()
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		t.Fatalf("error %v is not an *api.Error", err)
	}
	return e.Code
}

func TestPathsAreParsed(t *testing.T) {
	for escaped, want := range map[string]api.Path{
		"/v1/namespaces/qwen/embeddings/123":              {Route: api.RouteEmbedding, Namespace: "qwen", Key: "123"},
		"/v1/namespaces/qwen/embeddings/sku%2F1%20a":      {Route: api.RouteEmbedding, Namespace: "qwen", Key: "sku/1 a"},
		"/v1/namespaces/qwen/embeddings/lora:3b6a":        {Route: api.RouteEmbedding, Namespace: "qwen", Key: "lora:3b6a"},
		"/v1/namespaces/qwen/embeddings/a+b":              {Route: api.RouteEmbedding, Namespace: "qwen", Key: "a+b"},
		"/v1/namespaces/qwen/embeddings/%E7%8C%AB":        {Route: api.RouteEmbedding, Namespace: "qwen", Key: "猫"},
		"/v1/namespaces/qwen/embeddings/%252F":            {Route: api.RouteEmbedding, Namespace: "qwen", Key: "%2F"},
		"/v1/namespaces/qwen/embeddings/..":               {Route: api.RouteEmbedding, Namespace: "qwen", Key: ".."},
		"/v1/namespaces/qwen/embeddings/%2e%2e%2Fetc":     {Route: api.RouteEmbedding, Namespace: "qwen", Key: "../etc"},
		"/v1/namespaces/%71wen/lookup":                    {Route: api.RouteLookup, Namespace: "qwen"},
		"/v1/namespaces/qwen/fetch":                       {Route: api.RouteFetch, Namespace: "qwen"},
		"/v1/namespaces/qwen/epoch":                       {Route: api.RouteEpoch, Namespace: "qwen"},
		"/v1/namespaces/qwen/events":                      {Route: api.RouteEvents, Namespace: "qwen"},
		"/v1/namespaces/qwen":                             {Route: api.RouteNamespace, Namespace: "qwen"},
		"/v1/namespaces":                                  {Route: api.RouteNamespaces},
		"/v1/claims/Zm9v-_":                               {Route: api.RouteClaim, Token: "Zm9v-_"},
		"/v1/pins/Zm9v":                                   {Route: api.RoutePin, Token: "Zm9v"},
		"/v1/status":                                      {Route: api.RouteStatus},
		"/":                                               {Route: api.RoutePage},
		"/v1/namespaces/embeddings/embeddings/embeddings": {Route: api.RouteEmbedding, Namespace: "embeddings", Key: "embeddings"},
	} {
		got, err := api.ParsePath(escaped)
		if err != nil || got != want {
			t.Errorf("ParsePath(%q) = %+v, %v; want %+v", escaped, got, err, want)
		}
	}
}

func TestPathsAreRefused(t *testing.T) {
	for escaped, want := range map[string]api.Code{
		"":                                api.NoSuchRoute,
		"v1/status":                       api.NoSuchRoute,
		"/v1/status/":                     api.NoSuchRoute,
		"/V1/status":                      api.NoSuchRoute,
		"/v1/st%61tus":                    api.NoSuchRoute,
		"//v1/status":                     api.NoSuchRoute,
		"/v1/namespaces/a/embeddings":     api.NoSuchRoute,
		"/v1/namespaces/a/embeddings/b/c": api.NoSuchRoute, // a slash inside a key is %2F
		"/v1/namespaces/a/embeddings/b/":  api.NoSuchRoute,
		"/v1/namespaces/":                 api.InvalidNamespace,
		"/v1/namespaces/A/epoch":          api.InvalidNamespace,
		"/v1/namespaces/../epoch":         api.InvalidNamespace,
		"/v1/namespaces/a%2Fb/epoch":      api.InvalidNamespace,
		"/v1/namespaces/a%/epoch":         api.InvalidNamespace,
		"/v1/namespaces/" + strings.Repeat("a", 129) + "/epoch":   api.InvalidNamespace,
		"/v1/namespaces/a/embeddings/":                            api.InvalidKey,
		"/v1/namespaces/a/embeddings/%00":                         api.InvalidKey,
		"/v1/namespaces/a/embeddings/%0A":                         api.InvalidKey,
		"/v1/namespaces/a/embeddings/%7F":                         api.InvalidKey,
		"/v1/namespaces/a/embeddings/%C2%85":                      api.InvalidKey, // a C1 control character
		"/v1/namespaces/a/embeddings/%FF":                         api.InvalidKey,
		"/v1/namespaces/a/embeddings/%zz":                         api.InvalidKey,
		"/v1/namespaces/a/embeddings/" + strings.Repeat("k", 513): api.InvalidKey,
		"/v1/namespaces/A/embeddings/%00":                         api.InvalidNamespace,
		"/v1/claims/":                                             api.NoSuchClaim,
		"/v1/claims/a.b":                                          api.NoSuchClaim,
		"/v1/pins/" + strings.Repeat("p", 129):                    api.NoSuchPin,
	} {
		path, err := api.ParsePath(escaped)
		if err == nil {
			t.Errorf("ParsePath(%q) = %+v, want %s", escaped, path, want)
		} else if code := codeOf(t, err); code != want {
			t.Errorf("ParsePath(%q): code %s, want %s", escaped, code, want)
		}
	}
}

// keys draws from the keys that the contract allows, odd ones more often than chance would.
func keys() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{".", "..", "/", "%2F", "%", "?", "#", "a b", "lora:0f", "猫/犬", "\u00a0", "\uFFFD"}),
		rapid.StringOfN(rapid.Rune(), 1, 100, 512),
	).Filter(func(s string) bool { return api.ValidateKey(s) == nil })
}

func TestPathsSurviveFormatting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.StringMatching(`[A-Za-z0-9_-]{1,128}`).Draw(t, "token")
		namespace := rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,127}`).Draw(t, "namespace")
		path := api.Path{Route: rapid.SampledFrom(api.Routes()).Draw(t, "route")}
		if strings.Contains(string(path.Route), "{ns}") {
			path.Namespace = namespace
		}
		switch path.Route {
		case api.RouteEmbedding:
			path.Key = keys().Draw(t, "key")
		case api.RouteClaim, api.RoutePin:
			path.Token = token
		}
		escaped := path.String()
		if i := strings.IndexAny(escaped, "?#: \x7f"); i >= 0 {
			t.Fatalf("%q holds a character that must be escaped at %d", escaped, i)
		}
		got, err := api.ParsePath(escaped)
		if err != nil || got != path {
			t.Fatalf("ParsePath(%q) = %+v, %v; want %+v", escaped, got, err, path)
		}
	})
}

// Names have their rules in package tiers too, which must not import this one. The rules are the same.
func TestNamesAgreeWithTiers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[a-z0-9._-]{0,130}`),
			rapid.StringOfN(rapid.RuneFrom([]rune{'a', 0x1f, 0x7f, 0x9f, 0xa0, '猫', 0xFFFD}), 0, 600, -1),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
		).Draw(t, "name")
		if here, there := api.ValidateNamespace(s), tiers.ValidateNamespace(s); (here == nil) != (there == nil) {
			t.Fatalf("namespace %q: api says %v, tiers says %v", s, here, there)
		}
		if here, there := api.ValidateKey(s), tiers.ValidateKey(s); (here == nil) != (there == nil) {
			t.Fatalf("key %q: api says %v, tiers says %v", s, here, there)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	f.Add("/v1/namespaces/qwen/embeddings/sku%2F1%20a")
	f.Add("/v1/namespaces/a/embeddings/%2e%2E")
	f.Add("/v1/claims/Zm9v")
	f.Fuzz(func(t *testing.T, escaped string) {
		path, err := api.ParsePath(escaped)
		if err != nil {
			codeOf(t, err)
			return
		}
		again, err := api.ParsePath(path.String())
		if err != nil || again != path {
			t.Fatalf("%q parsed to %+v, formatted to %q, which parsed to %+v, %v", escaped, path, path.String(), again, err)
		}
	})
}
