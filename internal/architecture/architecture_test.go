// Package architecture holds the house to its plan: who may import whom, who may start programs, how long a function may be.
package architecture

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "appliance"

// listed is a package as `go list` describes it; only its non-test files count.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func ours(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages are listed", len(all))
	}
	return all
}

// path is the import path within the module, "" for a package of somebody else.
func path(importPath string) string {
	rest, _ := strings.CutPrefix(importPath, module+"/")
	if rest == importPath {
		return ""
	}
	return rest
}

// rank is the floor of the house that a package lives on; imports lead down or stay among those who share a floor.
func rank(path string) int {
	switch top, _, _ := strings.Cut(path, "/"); top {
	case "cmd", "bench":
		return 3
	case "phases":
		return 2
	case "internal":
		return 0
	}
	return 1 // env, storage, update, units, salt-compat
}

// forTests are packages that exist only to test others: they may use whatever they test.
var forTests = []string{"internal/rig", "internal/testbed", "internal/architecture", "internal/sweeping", "internal/cert/acme/acmetest"}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range ours(t) {
		from := path(p.ImportPath)
		for _, imported := range p.Imports {
			to := path(imported)
			if to == "" {
				continue
			}
			switch {
			case slices.Contains(forTests, to) && !slices.Contains(forTests, from):
				t.Errorf("%s imports %s, which is there for tests", from, to)
			case slices.Contains(forTests, from):
			case rank(to) > rank(from):
				t.Errorf("%s imports %s, which is above it", from, to)
			case rank(from) == rank(to) && rank(from) > 1:
				t.Errorf("%s imports %s beside it", from, to)
			}
		}
		if rank(from) < 3 && slices.Contains(p.Deps, module+"/phases") && !slices.Contains(forTests, from) {
			t.Errorf("%s depends on phases", from)
		}
	}
}

func TestTheSmallestStandAlone(t *testing.T) {
	for _, p := range ours(t) {
		if from := path(p.ImportPath); from == "internal/remedy" || from == "internal/system" || from == "internal/systemd" {
			for _, imported := range p.Imports {
				if path(imported) != "" {
					t.Errorf("%s imports %s", from, imported)
				}
			}
		}
	}
}

// homes are the only importers of libraries that are heavy, or whose job belongs to one package.
var homes = map[string][]string{
	"github.com/looplab/fsm":              {"internal/machine"},
	"github.com/docker/compose/":          {"internal/compose"},
	"github.com/docker/cli/":              {"internal/compose"},
	"github.com/moby/moby/":               {"internal/compose"},
	"github.com/compose-spec/compose-go/": {"internal/compose"},
	"github.com/coreos/go-systemd/":       {"internal/systemd"},
	"github.com/google/renameio/":         {"internal/system"},
	"github.com/fsnotify/fsnotify":        {"phases"},
	"github.com/go-acme/lego/":            {"internal/cert/acme"},
	"github.com/letsencrypt/":             {"internal/cert/acme/acmetest"},
	"github.com/miekg/dns":                {"internal/cert/acme", "internal/cert/acme/acmetest"},
	"github.com/santhosh-tekuri/":         {"env"},
	"github.com/spf13/":                   {"cmd/appliance"},
	"github.com/ProtonMail/":              {"env/create", "env/pack", "storage/vault"},
	"github.com/wneessen/":                {"env/pack"},
	"codeberg.org/go-pdf/":                {"env/pack/paper"},
	"github.com/makiuchi-d/":              {"env/pack/paper"},
	"golang.org/x/image/":                 {"env/pack/paper"},
	"go.yaml.in/yaml/":                    {"env", "env/yaml11", "env/create", "internal/compose"},
	"os/exec":                             {"internal/system", "internal/rig", "internal/testbed", "internal/sweeping"},
}

func TestLibrariesHaveOneHome(t *testing.T) {
	used := map[string]bool{}
	for _, p := range ours(t) {
		from := path(p.ImportPath)
		for _, imported := range p.Imports {
			for library, home := range homes {
				if !strings.HasPrefix(imported, library) || rank(from) == 3 && !strings.HasPrefix(from, "cmd/") {
					continue
				}
				used[library] = true
				if !slices.Contains(home, from) {
					t.Errorf("%s imports %s; only %s may", from, imported, strings.Join(home, ", "))
				}
			}
		}
	}
	for library := range homes {
		if !used[library] {
			t.Errorf("nobody imports %s any more: this test says nothing about it", library)
		}
	}
}

const longest = 64 // lines, from func to the closing brace

func TestFunctionsFitAScreen(t *testing.T) {
	seen := 0
	for _, p := range ours(t) {
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				seen++
				if lines := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; lines > longest {
					t.Errorf("%s/%s: %s has %d lines", path(p.ImportPath), name, f.Name.Name, lines)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d functions were looked at", seen)
	}
}

func TestMainIsShort(t *testing.T) {
	data, err := os.ReadFile("../../cmd/appliance/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(data), "\n"); lines > 15 {
		t.Errorf("main.go has %d lines", lines)
	}
}

// Names that say nothing of what is inside.
func TestFilesSayWhatIsInside(t *testing.T) {
	for _, p := range ours(t) {
		for _, name := range append(p.GoFiles, filepath.Base(p.ImportPath)) {
			switch strings.TrimSuffix(name, ".go") {
			case "utils", "util", "common", "misc":
				t.Errorf("%s/%s: the name says nothing", path(p.ImportPath), name)
			}
		}
	}
}
