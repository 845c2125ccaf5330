package command

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/api"
)

const repository = "../.."

// The examples of the README work when pasted, and when pasted again.
func TestReadmeExamples(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	script := shellBlock(t, "README.md", "Talk to it")
	service := serve(t, t.TempDir())
	for range 3 { // the second one stores in the epoch that the first one raised, the third finds it there
		dir := t.TempDir()
		out := shell(t, dir, strings.ReplaceAll(script, "http://"+defaultListen, service.address))
		for _, want := range []string{`"hit"`, `"claimed"`, `"tiers"`} {
			if !strings.Contains(out, want) {
				t.Errorf("the examples print no %s:\n%s", want, out)
			}
		}
		if file := readFile(t, filepath.Join(dir, "cat.safetensors")); !strings.Contains(string(file[:200]), "BF16") {
			t.Error("cat.safetensors is no safetensors file of BF16")
		}
	}
}

// The tokens file that docs/security.md makes lets its owner do what it says and nobody else anything.
func TestTokensExample(t *testing.T) {
	dir := t.TempDir()
	shell(t, dir, shellBlock(t, "docs/security.md", "Across machines"))
	service := serve(t, t.TempDir(), "--tokens", filepath.Join(dir, "tokens.json"))
	t.Setenv("KEEPSIGHT_SERVER", service.address)
	token := filepath.Join(dir, "engine.token")
	image := writeFile(t, "image", randomBytes(4096))

	wantFailure(t, keepsight(t, "put", image, "-n", "qwen2.5-vl-7b"), exitFailed, "wants a token")
	must(t, keepsight(t, "put", image, "-k", "k", "-n", "qwen2.5-vl-7b", "--token-file", token))
	must(t, keepsight(t, "get", "k", "-n", "qwen2.5-vl-7b", "--token-file", token))
	wantFailure(t, keepsight(t, "get", "k", "-n", "llava", "--token-file", token), exitFailed, "forbidden")
	wantFailure(t, keepsight(t, "rm", "k", "-n", "qwen2.5-vl-7b", "--token-file", token), exitFailed, "forbidden")
	must(t, keepsight(t, "health")) // probes have no token
}

// shell runs a script as somebody would who pastes it into a terminal, but stops at the first failure.
func shell(t *testing.T, dir, script string) string {
	t.Helper()
	bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	bash.Dir = dir
	out, err := bash.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return string(out)
}

// shellBlock returns the sh block of a section of a document.
func shellBlock(t *testing.T, document, section string) string {
	t.Helper()
	content := string(readFile(t, filepath.Join(repository, document)))
	_, rest, found := strings.Cut(content, "\n## "+section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	_, rest, opened := strings.Cut(rest, "```sh\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !opened || !closed {
		t.Fatalf("%s has no section %q with a block of sh", document, section)
	}
	return block
}

// The README names every call of the API and no other.
func TestReadmeNamesEveryRoute(t *testing.T) {
	readme := string(readFile(t, filepath.Join(repository, "README.md")))
	table := regexp.MustCompile("(?m)^\\| `.*$").FindAllString(readme, -1)
	named := strings.Join(table, "\n")
	for _, route := range api.Routes() {
		if route != api.RouteEmbedding && !strings.Contains(named, string(route)+"`") {
			t.Errorf("the README does not name %s", route)
		}
	}
}

// The table of docs/config.md is the help of serve, so that it can be read without running anything.
func TestConfigReference(t *testing.T) {
	reference := string(readFile(t, filepath.Join(repository, "docs", "config.md")))
	rows := regexp.MustCompile("(?m)^\\| `--.*$").FindAllString(reference, -1)
	if diff := cmp.Diff(configRows(t), rows); diff != "" {
		t.Errorf("docs/config.md differs from the flags (-flags +file):\n%s", diff)
	}
}

func configRows(t *testing.T) (rows []string) {
	t.Helper()
	var line commandLine
	parser, err := newParser(t.Context(), &line, Streams{Out: io.Discard, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			if len(flag.Envs) > 0 { // all but --help and --config
				rows = append(rows, fmt.Sprintf("| `--%s %s` | `%s` | %s |", flag.Name, flag.PlaceHolder, flag.Envs[0], flag.Help))
			}
		}
	}
	return rows
}
