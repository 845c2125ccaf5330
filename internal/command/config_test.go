package command

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keepsight/keepsight/internal/bytesize"
)

// parseServe parses a command line of serve without running it.
func parseServe(t *testing.T, args ...string) (serveCommand, error) {
	t.Helper()
	var line commandLine
	parser, err := newParser(t.Context(), &line, Streams{Out: io.Discard, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(append([]string{"serve"}, args...))
	return line.Serve, err
}

func writeConfig(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keepsight.json")
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	file := writeConfig(t, `{"memory": "1GiB", "disk-size": "2GiB", "max-object-size": 67108864, "drain-delay": "1s",
		"hosts": ["a.example", "b.example"], "socket-mode": "0600", "log-level": "warn"}`)
	t.Setenv("KEEPSIGHT_MEMORY", "3GiB")
	t.Setenv("KEEPSIGHT_DISK_SIZE", "4GiB")
	got, err := parseServe(t, "--config", file, "--memory", "5GiB")
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{
		"the flag wins":                  {got.Memory.String(), "5GiB"},
		"the environment wins over file": {got.DiskSize.String(), "4GiB"},
		"a number in the file":           {got.MaxObjectSize.String(), "64MiB"},
		"a duration in the file":         {got.DrainDelay.String(), "1s"},
		"a list in the file":             {strings.Join(got.Hosts, " "), "a.example b.example"},
		"a mode in the file":             {os.FileMode(got.SocketMode).String(), "-rw-------"},
		"a level in the file":            {got.LogLevel.String(), "WARN"},
		"a default":                      {got.DrainTimeout.String(), "25s"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
}

func TestDefaultsAreDistinguishable(t *testing.T) {
	got, err := parseServe(t)
	if err != nil {
		t.Fatal(err)
	}
	if got.Memory != nil || got.DiskSize != nil || !slices.Equal(got.Listen, []string{defaultListen}) {
		t.Errorf("got %+v", got)
	}
	if got, err = parseServe(t, "--disk-size", "0"); err != nil || got.DiskSize == nil || *got.DiskSize != (bytesize.Size{}) {
		t.Errorf("--disk-size 0: %v, %v", got.DiskSize, err)
	}
}

func TestConfigurationMistakes(t *testing.T) {
	for _, tc := range []struct{ content, want string }{
		{`{"memroy": "1GiB"}`, `unknown configuration key "memroy"`},
		{`{"Memory": "1GiB"}`, `unknown configuration key "Memory"`},
		{`{"config": "other.json"}`, `unknown configuration key "config"`},
		{`{"memory": "lots"}`, `write it like 8GiB`},
		{`{"memory": null}`, `needs a string, number or list`},
		{`{"memory": {"host": 1}}`, `needs a string, number or list`},
		{`{"drain-delay": "soon"}`, `drain-delay`},
		{`{"socket-mode": "0999"}`, `octal`},
		{`{"log-format": "xml"}`, `log-format`},
		{`["memory"]`, `not a JSON object`},
		{`{"memory": "1GiB"`, `not a JSON object`},
		{`{"memory": "1GiB"} {}`, `goes on after`},
		{``, `not a JSON object`},
	} {
		if _, err := parseServe(t, "--config", writeConfig(t, tc.content)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", tc.content, err, tc.want)
		}
	}
	if _, err := parseServe(t, "--config", filepath.Join(t.TempDir(), "absent.json")); err == nil {
		t.Error("an absent configuration file was taken")
	}
}
