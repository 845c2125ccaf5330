package load

import (
	"context"
	"errors"
	"testing"
)

func TestTargetsThatMayBeAimedAt(t *testing.T) {
	for _, row := range []struct {
		url    string
		token  string
		local  bool // allowed
		remote bool // allowed with --allow-remote
	}{
		{"http://127.0.0.1:7070", "", true, true},
		{"http://127.0.0.1:7070/", "secret", true, true},
		{"http://localhost:7070", "secret", true, true},
		{"http://[::1]:7070", "", true, true},
		{"http://127.8.9.10:7070", "", true, true},
		{"https://localhost:7070", "secret", true, true},
		{"unix:///run/keepsight/socket", "secret", true, true},
		{"redis://127.0.0.1:6379", "", true, true},
		{"memcached://127.0.0.1:11211", "", true, true},
		{"files+http://127.0.0.1:80/some/where", "", true, true},

		{"http://10.0.0.1:7070", "", false, true},
		{"http://0.0.0.0:7070", "", false, true},
		{"http://cache.example:7070", "", false, true},
		{"https://cache.example:7070", "secret", false, true},
		{"redis://10.0.0.1:6379", "", false, true},
		{"http://localhost.example:7070", "", false, true},
		{"http://10.0.0.1:7070", "secret", false, false}, // in clear text

		{"http://127.0.0.1", "", false, false},
		{"http://127.0.0.1:7070/v1", "", false, false},
		{"http://127.0.0.1:7070?ns=x", "", false, false},
		{"http://user@127.0.0.1:7070", "", false, false},
		{"http://127.0.0.1:7070", "two words", false, false},
		{"http://127.0.0.1:7070", "evil\r\nHost: x", false, false},
		{"redis://127.0.0.1:6379/1", "", false, false},
		{"unix://run/socket", "", false, false},
		{"unix:", "", false, false},
		{"raw://127.0.0.1:1", "", false, false},
		{"127.0.0.1:7070", "", false, false},
		{"://", "", false, false},
		{"", "", false, false},
	} {
		target := Target{URL: row.url, Token: row.token, Namespace: "loadtest"}
		for remote, allowed := range map[bool]bool{false: row.local, true: row.remote} {
			err := target.Validate(remote)
			if (err == nil) != allowed {
				t.Errorf("%q, remote %v: %v", row.url, remote, err)
			}
			if err != nil && !errors.Is(err, ErrTarget) {
				t.Errorf("%q: %v is no ErrTarget", row.url, err)
			}
		}
	}
}

func TestNamespacesOfKeepsightAreChecked(t *testing.T) {
	for url, refused := range map[string]bool{"http://127.0.0.1:1": true, "unix:///socket": true, "redis://127.0.0.1:1": false} {
		err := Target{URL: url, Namespace: "No Such"}.Validate(false)
		if (err != nil) != refused {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestWhoLooksUpManyKeys(t *testing.T) {
	for url, looks := range map[string]bool{
		"http://127.0.0.1:1": true, "unix:///socket": true, "redis://127.0.0.1:1": true,
		"memcached://127.0.0.1:1": false, "files+http://127.0.0.1:1/": false,
	} {
		target := Target{URL: url, Namespace: "loadtest"}
		if target.Looks() != looks {
			t.Errorf("%s: %v", url, !looks)
		}
	}
	if _, claims := (Target{URL: "unix:///socket", Namespace: "loadtest"}).Dial(context.Background()).(Claimer); !claims {
		t.Error("keepsight makes no claims")
	}
}
