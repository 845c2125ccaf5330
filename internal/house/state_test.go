package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"strings"
	"testing"
)

// Package-level variables may hold errors, tables and compiled patterns, but nothing may write to them.
func testNoMutablePackageState(t *testing.T, h *house) {
	for _, p := range h.packages {
		for _, complaint := range mutableState(h.fset, p) {
			t.Error(complaint)
		}
	}
}

// mutableState finds package-level variables of types made to be changed, and writes to any other. It
// type-checks each package alone: imports stay unresolved, which leaves the package's own names right.
func mutableState(fset *token.FileSet, p *pkg) []string {
	var complaints []string
	byName := make(map[string][]*ast.File) // tests may form a package of their own
	for _, f := range p.files {
		if !f.test {
			byName[f.ast.Name.Name] = append(byName[f.ast.Name.Name], f.ast)
		}
	}
	for name, files := range byName {
		info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
		config := types.Config{Importer: noImports{}, Error: func(error) {}}
		checked, _ := config.Check(name, fset, files, info) // errors of unresolved imports are expected
		complain := func(node ast.Node, what string) {
			complaints = append(complaints, fset.Position(node.Pos()).String()+": "+what)
		}
		for _, file := range files {
			ast.Inspect(file, func(node ast.Node) bool {
				switch n := node.(type) {
				case *ast.AssignStmt:
					for _, target := range n.Lhs {
						if v := packageVar(checked, info, target); v != "" {
							complain(n, "writes to package variable "+v)
						}
					}
				case *ast.IncDecStmt:
					if v := packageVar(checked, info, n.X); v != "" {
						complain(n, "writes to package variable "+v)
					}
				case *ast.UnaryExpr:
					if v := packageVar(checked, info, n.X); v != "" && n.Op == token.AND {
						complain(n, "takes the address of package variable "+v)
					}
				}
				return true
			})
			for _, decl := range file.Decls {
				if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.VAR && madeToChange(gen) {
					complain(gen, "package variable of a type that is made to change")
				}
			}
		}
	}
	return complaints
}

type noImports struct{}

func (noImports) Import(importPath string) (*types.Package, error) {
	fake := types.NewPackage(importPath, path.Base(importPath))
	fake.MarkComplete()
	return fake, nil
}

// packageVar returns the name of the package-level variable that an expression such as v, v.f or v[i] starts from.
func packageVar(checked *types.Package, info *types.Info, expr ast.Expr) string {
	for {
		switch e := expr.(type) {
		case *ast.Ident:
			if v, ok := info.Uses[e].(*types.Var); ok && v.Parent() == checked.Scope() {
				return v.Name()
			}
			return ""
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		default:
			return ""
		}
	}
}

// madeToChange reports declarations such as "var mu sync.Mutex" and "var ch = make(chan int)".
func madeToChange(gen *ast.GenDecl) bool {
	found := false
	for _, spec := range gen.Specs {
		value := spec.(*ast.ValueSpec)
		for _, expr := range append([]ast.Expr{value.Type}, value.Values...) {
			if expr == nil {
				continue
			}
			ast.Inspect(expr, func(node ast.Node) bool {
				switch n := node.(type) {
				case *ast.FuncLit:
					return false
				case *ast.ChanType:
					found = true
				case *ast.SelectorExpr:
					if from, ok := n.X.(*ast.Ident); ok && (from.Name == "sync" || from.Name == "atomic") {
						found = true
					}
				}
				return true
			})
		}
	}
	return found
}

func TestMutablePackageStateIsFound(t *testing.T) {
	for code, found := range map[string]bool{
		"var ErrGone = errors.New(`gone`)":                                       false,
		"var table = map[string]int{`a`: 1}\nfunc f() int { return table[`a`] }": false,
		"var n int\nfunc f() { n := 1; n++ }":                                    false,
		"var n int\nfunc f() { n = 1 }":                                          true,
		"var n int\nfunc f() { n++ }":                                            true,
		"var n int\nfunc f() *int { return &n }":                                 true,
		"var table = map[string]int{}\nfunc f() { table[`a`] = 1 }":              true,
		"var point struct{ x int }\nfunc f() { point.x = 1 }":                    true,
		"var mu sync.Mutex":                                                      true,
		"var count atomic.Int64":                                                 true,
		"var wake = make(chan struct{})":                                         true,
		"var once = sync.OnceValue(func() int { return 1 })":                     true,
	} {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, "x.go", "package x\nimport (\"errors\"; \"sync\"; \"sync/atomic\")\n"+code, 0)
		if err != nil {
			t.Fatal(err)
		}
		complaints := mutableState(fset, &pkg{dir: "x", files: []*source{{path: "x.go", ast: parsed}}})
		if (len(complaints) > 0) != found {
			t.Errorf("%s: complaints %q", strings.ReplaceAll(code, "\n", "; "), complaints)
		}
	}
}
