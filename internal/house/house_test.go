// Package house holds no code, only tests of how the repository is built: who may import whom, and the
// habits that reviews would otherwise repeat.
package house

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

func TestHouse(t *testing.T) {
	h := load(t)
	for name, test := range map[string]func(*testing.T, *house){
		"imports follow the rules":                 testImportRules,
		"packages have docs":                       testPackagesHaveDocs,
		"a file holds one idea":                    testFilesHoldOneIdea,
		"nothing happens before main":              testNoInit,
		"no package has mutable state":             testNoMutablePackageState,
		"the repository stands alone":              testStandsAlone,
		"links of the documentation lead to files": testDocumentationLinks,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

func testPackagesHaveDocs(t *testing.T, h *house) {
	for _, p := range h.packages {
		documented := false
		for _, f := range p.files {
			if f.ast.Doc == nil || f.test && hasOwnFiles(p) {
				continue
			}
			doc := f.ast.Doc.Text()
			documented = documented || strings.HasPrefix(doc, "Package "+f.ast.Name.Name+" ") ||
				f.ast.Name.Name == "main" && strings.HasPrefix(doc, "Command ")
		}
		if !documented {
			t.Errorf("%s: no package comment that starts with \"Package <name>\" or \"Command <name>\"", p.dir)
		}
	}
}

func hasOwnFiles(p *pkg) bool {
	return slices.ContainsFunc(p.files, func(f *source) bool { return !f.test })
}

// Past 400 lines a file usually holds a second idea. The slack keeps the test from arguing about the last comment.
const (
	maxLines     = 500
	maxTestLines = 800
)

func testFilesHoldOneIdea(t *testing.T, h *house) {
	for _, p := range h.packages {
		for _, f := range p.files {
			limit := maxLines
			if f.test {
				limit = maxTestLines
			}
			if lines := h.fset.Position(f.ast.FileEnd).Line - 1; lines > limit {
				t.Errorf("%s has %d lines: look for the second idea (limit %d)", f.path, lines, limit)
			}
		}
	}
}

func testNoInit(t *testing.T, h *house) {
	for _, p := range h.packages {
		for _, f := range p.files {
			for _, decl := range f.ast.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: func init: construct what you need where it is needed", f.path)
				}
			}
		}
	}
}
