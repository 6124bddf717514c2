package telemetry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/telemetry"
)

func TestEndpoint(t *testing.T) {
	for path, want := range map[string]string{
		"/api2/json/version":                                          "/version",
		"/api2/json/nodes/pve1/qemu/100/status/current":               "/nodes/*/qemu/*/status/current",
		"/api2/json/nodes/pve1/lxc/100/snapshot/daily/rollback":       "/nodes/*/lxc/*/snapshot/*/rollback",
		"/api2/json/nodes/a/storage/b/content/b:backup%2Fc.vma.zst":   "/nodes/*/storage/*/content/*",
		"/proxied/api2/json/nodes/pve1/tasks/UPID:pve1:0:0:0::@:/log": "/nodes/*/tasks/*/log",
	} {
		u, err := url.Parse("https://pve1:8006" + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := telemetry.Endpoint(u); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// Every word of which package pve makes a path is one, and not a name.
func TestEveryWordIsKnown(t *testing.T) {
	files, err := filepath.Glob("../../pve/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			for _, word := range wordsOf(n) {
				seen++
				u := &url.URL{Path: "/api2/json/" + word}
				if got := telemetry.Endpoint(u); got != "/"+word {
					t.Errorf("%s: the word %q is not known", filepath.Base(file), word)
				}
			}
			return true
		})
	}
	if seen < 40 {
		t.Errorf("%d words", seen)
	}
}

// wordsOf are the words in a call of one of the functions that make paths.
func wordsOf(n ast.Node) (words []string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	name := ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		if pkg, ok := f.X.(*ast.Ident); ok && pkg.Name == "proxmox" {
			name = f.Sel.Name
		}
	}
	if name != "join" && name != "Join" && name != "path" && name != "taskPath" {
		return nil
	}
	ast.Inspect(call, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			word, _ := strconv.Unquote(lit.Value)
			words = append(words, word)
		}
		return true
	})
	return words
}
