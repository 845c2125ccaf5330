package house

import (
	"bytes"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// textFiles are the kinds of file that people read and programs run.
var textFiles = []string{".go", ".md", ".yaml", ".yml", ".json", ".html", ".css", ".js", ".svg", ".sh", ".mod", ".py", ".toml", ""}

// Where a link may lead: to the places that readers of documentation and specifications expect.
var linkHosts = []string{
	"github.com", "go.dev", "pkg.go.dev", "www.w3.org", "www.rfc-editor.org", "spec.openapis.org", "json-schema.org",
	"huggingface.co", "docs.vllm.ai", "prometheus.io", "www.apache.org", "keepsight.dev",
}

var link = regexp.MustCompile(`https?://([A-Za-z0-9.-]+\.[A-Za-z]{2,})`)

// The repository stands alone: it names neither the machine it was written on nor hosts that nobody expects.
func testStandsAlone(t *testing.T, h *house) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = h.root
	}
	h.walk(t, func(name string) {
		if !slices.Contains(textFiles, path.Ext(name)) {
			return
		}
		content, err := os.ReadFile(filepath.Join(h.root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{h.root, home} {
			if len(private) > 1 && bytes.Contains(content, []byte(private+"/")) {
				t.Errorf("%s names a directory of this machine, %s", name, private)
			}
		}
		for _, match := range link.FindAllSubmatch(content, -1) {
			if host := string(match[1]); !slices.Contains(linkHosts, host) && !reserved(host) {
				t.Errorf("%s links to %s", name, host)
			}
		}
	})
}

// reserved reports hosts that RFC 2606 sets aside for examples and tests.
func reserved(host string) bool {
	for _, suffix := range []string{"example.com", "example.org", "example.net", ".example", ".test", ".invalid", ".localhost"} {
		if host == strings.TrimPrefix(suffix, ".") || strings.HasSuffix(host, "."+strings.TrimPrefix(suffix, ".")) {
			return true
		}
	}
	return false
}

var markdownLink = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)|<img[^>]+src="([^"]+)"|srcset="([^"]+)"`)

// A link of the documentation to a file leads to one that exists.
func testDocumentationLinks(t *testing.T, h *house) {
	h.walk(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		content, err := os.ReadFile(filepath.Join(h.root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range markdownLink.FindAllStringSubmatch(string(content), -1) {
			target := match[1] + match[2] + match[3]
			if u, err := url.Parse(target); err != nil || u.Scheme != "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(h.root, path.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, target)
			}
		}
	})
}
