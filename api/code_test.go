package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/api"
)

func TestCodesAreComplete(t *testing.T) {
	seen := map[api.Code]bool{}
	for _, code := range api.Codes() {
		if seen[code] {
			t.Errorf("%s is in the table twice", code)
		}
		seen[code] = true
		if !code.Known() || code.Status() < 400 || code.Status() > 599 || code.Title() == "" || code.Outcome() == "" {
			t.Errorf("%s has status %d, title %q and outcome %q", code, code.Status(), code.Title(), code.Outcome())
		}
		if strings.Trim(string(code), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%q is not lower case with underscores", code)
		}
	}
}

// What an engine does about a code decides whether it encodes, so each outcome but Fail is spelled out.
func TestOutcomes(t *testing.T) {
	want := map[api.Outcome][]api.Code{
		api.Miss: {api.NotFound, api.ContractMismatch},
		api.Done: {api.ExistsDifferent, api.AlreadyExists},
		api.Retry: {
			api.TruncatedBody, api.BodyTooSlow, api.DigestMismatch, api.TenantOverLimit,
			api.NoMemory, api.NotDurable, api.Draining, api.Unavailable,
		},
	}
	got := map[api.Outcome][]api.Code{}
	for _, code := range api.Codes() {
		if code.Outcome() != api.Fail {
			got[code.Outcome()] = append(got[code.Outcome()], code)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestUnknownCodeReadsAsInternal(t *testing.T) {
	code := api.Code("from_the_future")
	if code.Known() || code.Status() != 500 || code.Outcome() != api.Fail {
		t.Errorf("known %v, status %d, outcome %s", code.Known(), code.Status(), code.Outcome())
	}
}

func TestErrorsReadWell(t *testing.T) {
	for want, err := range map[string]*api.Error{
		"No such embedding":                       {Code: api.NotFound},
		"The key is not valid: it has a line end": {Code: api.InvalidKey, Detail: "it has a line end"},
	} {
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}

func TestProblemIsJSON(t *testing.T) {
	got, err := json.Marshal(api.NewProblem(api.NotFound, "abc", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"urn:keepsight:not_found","title":"No such embedding","status":404,"code":"not_found","request_id":"abc"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
