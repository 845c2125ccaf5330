package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/keepsight/keepsight"

// A pkg is one directory of Go files, below the repository root.
type pkg struct {
	dir   string // "." for the root, else such as "tiers/arena"
	files []*source
}

type source struct {
	path string // below the root, with slashes
	test bool
	ast  *ast.File
}

// house is the parsed repository.
type house struct {
	root     string
	fset     *token.FileSet
	packages []*pkg
}

// imports returns the import paths of the package's own files, or of its tests.
func (p *pkg) imports(tests bool) map[string]string {
	imports := make(map[string]string) // path to the file that imports it
	for _, f := range p.files {
		if f.test == tests {
			for _, spec := range f.ast.Imports {
				imports[strings.Trim(spec.Path.Value, `"`)] = f.path
			}
		}
	}
	return imports
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.sum")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.sum above the test: run it inside the repository")
		}
		dir = filepath.Dir(dir)
	}
}

func load(t *testing.T) *house {
	t.Helper()
	h := &house{root: repositoryRoot(t), fset: token.NewFileSet()}
	byDir := make(map[string]*pkg)
	h.walk(t, func(name string) {
		if path.Ext(name) != ".go" {
			return
		}
		parsed, err := parser.ParseFile(h.fset, filepath.Join(h.root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir}
			h.packages = append(h.packages, byDir[dir])
		}
		byDir[dir].files = append(byDir[dir].files, &source{name, strings.HasSuffix(name, "_test.go"), parsed})
	})
	return h
}

// walk calls visit with every file that belongs to the repository, below its root.
func (h *house) walk(t *testing.T, visit func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(h.root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.Type().IsRegular():
			visit(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
