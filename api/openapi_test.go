package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/api"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(api.OpenAPI)
	if err != nil {
		t.Fatalf("load openapi.yaml: %v", err)
	}
	if err := doc.Validate(loader.Context, openapi3.EnableExamplesValidation()); err != nil {
		t.Fatalf("openapi.yaml is not valid: %v", err)
	}
	return doc
}

func TestDocumentHasEveryCall(t *testing.T) {
	want := map[string][]string{}
	for _, route := range api.Routes() {
		want[string(route)] = slices.Sorted(slices.Values(route.Methods()))
	}
	got := map[string][]string{}
	for path, item := range loadDocument(t).Paths.Map() {
		got[path] = slices.Sorted(maps.Keys(item.Operations()))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-Go +YAML):\n%s", diff)
	}
	if api.Route("/v2").Methods() != nil {
		t.Error("a route that is not ours has methods")
	}
}

func texts(values []any) []string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = v.(string)
	}
	return s
}

func TestDocumentHasEveryCode(t *testing.T) {
	doc := loadDocument(t)
	want := map[string][]string{} // by status
	var all []string
	for _, code := range api.Codes() {
		status := strconv.Itoa(code.Status())
		want[status] = append(want[status], string(code))
		all = append(all, string(code))
	}
	if diff := cmp.Diff(all, texts(doc.Components.Schemas["Code"].Value.Enum)); diff != "" {
		t.Errorf("codes (-Go +YAML):\n%s", diff)
	}
	got := map[string][]string{}
	for name, response := range doc.Components.Responses {
		content := response.Value.Content[api.MediaProblem]
		if len(content.Schema.Value.AllOf) == 0 {
			continue // any other error
		}
		properties := content.Schema.Value.AllOf[1].Value.Properties
		status := strconv.FormatFloat(properties["status"].Value.Const.(float64), 'f', 0, 64)
		if got[status] != nil {
			t.Errorf("%s is another response of status %s", name, status)
		}
		got[status] = texts(properties["code"].Value.Enum)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("codes by status (-Go +YAML):\n%s", diff)
	}
}

// A call that names the response to an error names the one of that status.
func TestDocumentJoinsStatusAndResponse(t *testing.T) {
	doc := loadDocument(t)
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				content := response.Value.Content[api.MediaProblem]
				if status == "default" || content == nil {
					continue
				}
				named := content.Schema.Value.AllOf[1].Value.Properties["status"].Value.Const
				if code, err := strconv.ParseFloat(status, 64); err != nil || named != code {
					t.Errorf("%s %s answers %s with the response of %v", method, path, status, named)
				}
			}
		}
	}
}

func TestDocumentHasEveryHeader(t *testing.T) {
	got := map[string]bool{}
	doc := loadDocument(t)
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			for _, p := range operation.Parameters {
				if p.Value.In == openapi3.ParameterInHeader {
					got[http.CanonicalHeaderKey(p.Value.Name)] = true
				}
			}
			for _, response := range operation.Responses.Map() {
				for name := range response.Value.Headers {
					got[http.CanonicalHeaderKey(name)] = true
				}
			}
		}
	}
	for _, name := range append(api.Headers(), api.HeaderReprDigest, api.HeaderRequestID, api.HeaderLastEventID) {
		if name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s is not how http.Header holds it", name)
		}
		if !got[name] {
			t.Errorf("%s is not in openapi.yaml", name)
		}
		delete(got, name)
	}
	for name := range got {
		if strings.HasPrefix(name, api.HeaderPrefix) {
			t.Errorf("%s is not in package api", name)
		}
	}
}

func TestDocumentHasTheSameLimits(t *testing.T) {
	schemas := loadDocument(t).Components.Schemas
	lookup := schemas["LookupRequest"].Value.Properties
	for name, pair := range map[string][2]float64{
		"keys":           {api.MaxKeys, float64(*schemas["Keys"].Value.MaxItems)},
		"key":            {api.MaxKeyLen, float64(*schemas["Key"].Value.MaxLength)},
		"meta":           {api.MaxMetaLen, float64(*schemas["MetaText"].Value.MaxLength)},
		"epoch":          {api.MaxEpoch, *schemas["Epoch"].Value.Max},
		"wait_ms":        {milliseconds(api.MaxWait), *lookup["wait_ms"].Value.Max},
		"pin_ms":         {milliseconds(api.MaxPin), *lookup["pin_ms"].Value.Max},
		"claim.ttl_ms":   {milliseconds(api.MaxClaimTTL), *lookup["claim"].Value.Properties["ttl_ms"].Value.Max},
		"claim.owner":    {api.MaxOwnerLen, float64(*lookup["claim"].Value.Properties["owner"].Value.MaxLength)},
		"default ttl_ms": {milliseconds(api.DefaultClaimTTL), schemas["RenewRequest"].Value.Properties["ttl_ms"].Value.Default.(float64)},
		"renew ttl_ms":   {milliseconds(api.MaxClaimTTL), *schemas["RenewRequest"].Value.Properties["ttl_ms"].Value.Max},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: Go says %v, YAML says %v", name, pair[0], pair[1])
		}
	}
	if diff := cmp.Diff(dtypes, texts(schemas["DType"].Value.Enum)); diff != "" {
		t.Errorf("dtypes (-Go +YAML):\n%s", diff)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Milliseconds()) }

// What Go writes is what the document describes, down to the names of the fields.
func TestBodiesFitTheirSchemas(t *testing.T) {
	doc := loadDocument(t)
	token, epoch := "Zm9v", uint64(3)
	tensor := api.Tensor{Size: 12, DType: "BF16", Shape: []int64{2, 3}, Meta: json.RawMessage(`{"a":1}`)}
	limits := api.Limits{MaxObjectBytes: 1, MaxInflightBytes: 1, MaxPinnedBytes: 1, MaxKeys: 1}
	namespace := api.Namespace{Name: "a", Tiers: map[string]api.Usage{"host": {}}, Limits: limits}
	expect := []*api.Expect{{Size: 12, DType: "BF16", Shape: []int64{2, 3}}, nil}
	tier := api.TierStatus{
		Name: "disk", Health: "degraded", Reason: "disk_full", Notes: []string{"buffered_io"},
		Evictions: map[string]uint64{"capacity": 1}, Refusals: map[string]uint64{"full": 1},
	}
	for name, body := range map[string]any{
		"Problem": api.NewProblem(api.NoMemory, "abc", "detail"),
		"LookupRequest": api.LookupRequest{
			Keys: []string{"a", "b"}, Claim: &api.ClaimRequest{Owner: "o", TTLMS: 1}, WaitMS: 1, PinMS: 1,
			Promote: api.PromoteHost, Expect: expect,
		},
		"LookupResponse": api.LookupResponse{Epoch: 1, Claim: &token, Results: []api.LookupResult{
			{State: api.Hit, Tensor: tensor, Tier: "host"},
			{State: api.Missing, Code: api.NoMemory},
			{State: api.Claimed},
			{State: api.Pending, RetryMS: 1},
		}},
		"FetchRequest":       api.FetchRequest{Keys: []string{"a", "b"}, Expect: expect, Pin: token},
		"FrameHeader":        api.FrameHeader{Index: 1, State: api.Hit, Code: api.NoMemory, Tensor: tensor, Sum: api.Sum{1}},
		"LookupResult":       api.LookupResult{State: api.Pending, Code: api.NoMemory, Tensor: tensor, Tier: "host", RetryMS: 1},
		"RenewRequest":       api.RenewRequest{TTLMS: 1},
		"EpochBody":          api.EpochBody{Epoch: &epoch},
		"NamespacesResponse": api.NamespacesResponse{Namespaces: []api.Namespace{namespace}},
		"Namespace":          namespace,
		"Usage":              api.Usage{},
		"Limits":             limits,
		"Memory":             api.Memory{},
		"TierStatus":         tier,
		"Event":              api.Event{Seq: 1, Type: api.EventAdded, Key: "a", Size: 1, Epoch: 1},
		"Status": api.Status{
			Version: "1", Started: time.Unix(0, 0).UTC(), Degraded: []string{"disk: disk_full"}, Tiers: []api.TierStatus{tier}, Limits: limits,
		},
	} {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		var value map[string]any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		schema := doc.Components.Schemas[name].Value
		if err := schema.VisitJSON(value); err != nil {
			t.Errorf("%s %s: %v", name, text, err)
		}
		known := properties(schema)
		for field := range value {
			if !known[field] {
				t.Errorf("%s: the field %s is not in openapi.yaml", name, field)
			}
			delete(known, field)
		}
		for field := range known {
			t.Errorf("%s: the field %s is only in openapi.yaml", name, field)
		}
	}
}

// properties returns the fields of a schema and of the schemas that it is made of.
func properties(schema *openapi3.Schema) map[string]bool {
	fields := map[string]bool{}
	for name := range schema.Properties {
		fields[name] = true
	}
	for _, part := range schema.AllOf {
		maps.Copy(fields, properties(part.Value))
	}
	return fields
}

// The patterns of the document and the parsers accept the same texts.
func TestPatternsAgreeWithParsers(t *testing.T) {
	schemas := loadDocument(t).Components.Schemas
	for name, accepts := range map[string]func(string) bool{
		"NamespaceName": func(s string) bool { return api.ValidateNamespace(s) == nil },
		"Token":         api.ValidToken,
		"Seconds":       func(s string) bool { _, err := api.ParseSeconds(s); return err == nil },
	} {
		rapid.Check(t, func(t *rapid.T) {
			s := rapid.OneOf(
				rapid.String(),
				rapid.StringMatching(`[a-zA-Z0-9._-]{0,130}`),
				rapid.StringMatching(`[0-9]{0,4}[.]?[0-9]{0,10}`),
			).Draw(t, "text")
			if strings.HasSuffix(s, "\n") {
				return // $ of a pattern matches before it
			}
			if whole, _, _ := strings.Cut(s, "."); name == "Seconds" && len(whole) == 10 && whole > "9223372035" {
				return // a bound that a pattern cannot say in few words; the description says it
			}
			if got, want := schemas[name].Value.VisitJSON(s) == nil, accepts(s); got != want {
				t.Fatalf("%s %q: the document says %v, the parser %v", name, s, got, want)
			}
		})
	}
}
