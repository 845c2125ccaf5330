package house

import (
	"strings"
	"testing"
)

// within reports whether an import path is dir of this module or below it.
func within(importPath string, dirs ...string) bool {
	for _, dir := range dirs {
		full := module + "/" + dir
		if importPath == full || strings.HasPrefix(importPath, full+"/") {
			return true
		}
	}
	return false
}

// standard reports whether an import path is of the standard library: those have no dot before the first slash.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// The tiers, the packages that store, and who may join them.
var (
	tierDirs    = []string{"hosttier", "disktier", "gputier", "remotetier"}
	storageDirs = append([]string{"tiers"}, tierDirs...)
	wiringDirs  = []string{"server", "internal/command"}
)

// importRules say what a package's own files may import; allowed is asked about every import.
var importRules = []struct {
	name    string
	applies func(dir string) bool
	allowed func(dir, importPath string) bool
}{
	{
		name:    "package api imports the standard library only",
		applies: func(dir string) bool { return dir == "api" },
		allowed: func(_, imp string) bool { return standard(imp) },
	}, {
		name:    "package tiers imports the standard library, x/sync, x/sys, xxh3 and itself only",
		applies: func(dir string) bool { return under(dir, "tiers") && dir != "tiers/tiertest" },
		allowed: func(_, imp string) bool {
			return standard(imp) || within(imp, "tiers") || strings.HasPrefix(imp, "golang.org/x/sync/") ||
				strings.HasPrefix(imp, "golang.org/x/sys/") || imp == "github.com/zeebo/xxh3"
		},
	}, {
		name:    "no tier imports another tier",
		applies: func(dir string) bool { return under(dir, tierDirs...) },
		allowed: func(dir, imp string) bool {
			own, _, _ := strings.Cut(dir, "/")
			return within(imp, own) || !within(imp, tierDirs...)
		},
	}, {
		name:    "no storage package knows HTTP: neither api nor server nor echo nor promhttp",
		applies: func(dir string) bool { return under(dir, storageDirs...) },
		allowed: func(_, imp string) bool {
			return !within(imp, "api", "server", "internal/command") && imp != "net/http" && !echo(imp) &&
				!strings.HasSuffix(imp, "/prometheus/promhttp")
		},
	}, {
		name:    "only server imports echo",
		applies: func(dir string) bool { return !under(dir, "server") },
		allowed: func(_, imp string) bool { return !echo(imp) },
	}, {
		name:    "only main, its commands and server know which tiers exist",
		applies: func(dir string) bool { return dir != "." && !under(dir, wiringDirs...) && !under(dir, tierDirs...) },
		allowed: func(_, imp string) bool { return !within(imp, tierDirs...) },
	}, {
		name:    "only main and its commands import server",
		applies: func(dir string) bool { return dir != "." && !under(dir, wiringDirs...) },
		allowed: func(_, imp string) bool { return !within(imp, "server") },
	}, {
		name:    "the Go client needs no server",
		applies: func(dir string) bool { return under(dir, "api") },
		allowed: func(_, imp string) bool { return standard(imp) || within(imp, "api") || imp == "github.com/zeebo/xxh3" },
	},
}

func under(dir string, parents ...string) bool {
	return within(module+"/"+dir, parents...)
}

func echo(importPath string) bool { return strings.HasPrefix(importPath, "github.com/labstack/") }

func testImportRules(t *testing.T, h *house) {
	for _, rule := range importRules {
		t.Run(rule.name, func(t *testing.T) {
			for _, p := range h.packages {
				if !rule.applies(p.dir) {
					continue
				}
				for imp, file := range p.imports(false) {
					if !rule.allowed(p.dir, imp) {
						t.Errorf("%s imports %s", file, imp)
					}
				}
			}
		})
	}
}

// A rule that catches nothing would pass forever: each must refuse one import that breaks it.
func TestImportRulesCatch(t *testing.T) {
	broken := map[string][2]string{
		importRules[0].name: {"api", "github.com/zeebo/xxh3"},
		importRules[1].name: {"tiers", "github.com/cockroachdb/pebble/v2"},
		importRules[2].name: {"hosttier", module + "/disktier"},
		importRules[3].name: {"disktier", module + "/api"},
		importRules[4].name: {"internal/command", "github.com/labstack/echo/v4"},
		importRules[5].name: {"api/client", module + "/hosttier"},
		importRules[6].name: {"tiers", module + "/server"},
		importRules[7].name: {"api/client", module + "/tiers"},
	}
	for _, rule := range importRules {
		example, ok := broken[rule.name]
		if !ok {
			t.Errorf("%s: no example", rule.name)
			continue
		}
		if !rule.applies(example[0]) || rule.allowed(example[0], example[1]) {
			t.Errorf("%s: %s may import %s", rule.name, example[0], example[1])
		}
	}
}
