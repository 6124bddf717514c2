// Package archtest holds the code to its architecture: which package may import
// which, what the module depends on, how long a file or a function may be, and the style
// of comments, pages and messages.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// modules are what go.mod requires, with the reason.
var modules = map[string]string{
	"github.com/cenkalti/backoff/v5":                    "pauses between attempts",
	"github.com/coder/websocket":                        "consoles: frames of the client, with a context for each read and write; the only one that is kept",
	"github.com/gofrs/flock":                            "locks of files, on every system: several processes write one audit log",
	"github.com/creack/pty":                             "tests: a terminal, for what is shown and asked on one",
	"github.com/coreos/go-oidc/v3":                      "access tokens of an issuer: discovery, keys, signatures",
	"github.com/gomodule/redigo":                        "a store that replicas share, in a server of Redis: a tenth of the size of its own client",
	"github.com/alicebob/miniredis/v2":                  "tests: a server of Redis",
	"github.com/google/go-cmp":                          "tests: differences that can be read",
	"github.com/google/jsonschema-go":                   "schemas of tools, from Go types",
	"github.com/joho/godotenv":                          "reads .env",
	"github.com/kdomanski/iso9660":                      "writes the CD from which cloud-init reads; it has no dependencies",
	"github.com/modelcontextprotocol/go-sdk":            "the protocol",
	"github.com/pelletier/go-toml/v2":                   "where a client's file in TOML has what",
	"github.com/tailscale/hujson":                       "changes JSON and leaves comments and layout as they are",
	"github.com/zalando/go-keyring":                     "the keyring of each system, without cgo",
	"github.com/prometheus/client_model":                "tests: what Prometheus reads of our metrics",
	"github.com/prometheus/common":                      "tests: reads metrics as Prometheus does",
	"github.com/rogpeppe/go-internal":                   "tests: stories of the command line",
	"pgregory.net/rapid":                                "tests: random operations",
	"github.com/segmentio/encoding":                     "is an answer JSON: three times as fast as encoding/json; the protocol's SDK has it already",
	"github.com/spf13/cobra":                            "commands, and flags that are made from a tool's schema",
	"github.com/spf13/pflag":                            "cobra's flags",
	"mvdan.cc/sh/v3":                                    "the simulator's shell: parser and expansions; without its interpreter, and without dependencies",
	"golang.org/x/image":                                "pictures of screens, scaled",
	"golang.org/x/crypto":                               "is this an SSH public key",
	"golang.org/x/sys":                                  "a terminal's size, set without waiting for its reads",
	"golang.org/x/term":                                 "is this a terminal",
	"golang.org/x/mod":                                  "tests: the module as a proxy serves it",
	"golang.org/x/sync":                                 "who waits for what is limited",
	"golang.org/x/time":                                 "how many requests a second",
	"github.com/coreos/go-systemd/v22":                  "tells systemd that the server is ready, alive, stopping",
	"github.com/go-analyze/charts":                      "charts: axes, labels, lines; the one that is kept of those that need no cgo, and small beside gonum/plot",
	"github.com/go-logr/logr":                           "the logger that OpenTelemetry wants",
	"go.yaml.in/yaml/v3":                                "the user-data that cloud-init reads",
	"go.opentelemetry.io/otel":                          "traces: names, propagation",
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace": "tests: how the SDK itself writes traces",
	"go.opentelemetry.io/otel/sdk":                      "traces",
	"go.opentelemetry.io/otel/trace":                    "traces",
	"go.opentelemetry.io/proto/otlp":                    "tests: what a collector reads",
	"google.golang.org/protobuf":                        "tests: what a collector reads",
}

// support are packages that only tests and what runs tests import.
var support = []string{"internal/testkit/effort", "internal/testkit/live", "internal/testkit/recorded", "internal/testkit/sim", "test/live", "test/simproc"}

// pkg is a package of ours.
type pkg struct {
	dir   string // below the module
	files map[string]*ast.File
}

func load(t *testing.T) (pkgs []*pkg, set *token.FileSet, root string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	set = token.NewFileSet()
	byDir := map[string]*pkg{}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		if err == nil && d.IsDir() && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if _, none := os.Stat(filepath.Join(file, "go.mod")); err == nil && d.IsDir() && file != root && none == nil {
			return filepath.SkipDir // a module of its own
		}
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		parsed, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir, files: map[string]*ast.File{}}
			pkgs = append(pkgs, byDir[dir])
		}
		byDir[dir].files[name] = parsed
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs, set, root
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// outside returns what is imported, as the table names it: a package of ours, a
// module of others, or "" for the standard library.
func outside(spec *ast.ImportSpec) string {
	name, _ := strconv.Unquote(spec.Path.Value)
	if own, ok := strings.CutPrefix(name, "github.com/pve-mcp/pve-mcp/"); ok {
		return own
	}
	longest := "" // modules may lie in one another
	for module := range modules {
		if (name == module || strings.HasPrefix(name, module+"/")) && len(module) > len(longest) {
			longest = module
		}
	}
	if longest != "" {
		return longest
	}
	if strings.Contains(strings.Split(name, "/")[0], ".") {
		return name
	}
	return ""
}

func TestModules(t *testing.T) {
	_, _, root := load(t)
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if fields[0] == "replace" || fields[0] == "exclude" {
			t.Errorf("go.mod: %s: it breaks go install", strings.TrimSpace(line))
		}
		if len(fields) == 2 && strings.Contains(fields[0], ".") && modules[fields[0]] == "" {
			t.Errorf("go.mod requires %s, which is not in the table", fields[0])
		}
	}
}

// Which modules only tests want is true: the program has none of them, and all others.
func TestWhichModulesAreForTests(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "../../cmd/pve-mcp").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	for module, why := range modules {
		if in := slices.Contains(linked, module); in == strings.HasPrefix(why, "tests: ") {
			t.Errorf("%s: in the program is %v, and its reason is %q", module, in, why)
		}
	}
}

// State that belongs to nobody: init functions, and variables of a package that
// begin empty and so are there to be changed. The exceptions are caches whose
// content depends on the program alone.
func TestNoHiddenState(t *testing.T) {
	exceptions := []string{"internal/cli.release", "proxmox/lenient.plans", "pve/apischema.embedded8", "pve/apischema.embedded9", "pvesim.recordedJSON", "pvesim.recorded2JSON", "pvesim/internal/rfb.font", "internal/mcpserver.schemasFile", "internal/toolset.written", "internal/toolsets/api.wordsFile", "internal/images.builtIn", "internal/secretpage.pageFile", "internal/screen.vgaGlyphs", "internal/ctshell.helper", "internal/policy.fileProgram"}
	pkgs, set, root := load(t)
	for _, p := range pkgs {
		for name, file := range p.files {
			for _, decl := range file.Decls {
				switch d := decl.(type) {
				case *ast.FuncDecl:
					if d.Name.Name == "init" && d.Recv == nil {
						t.Errorf("%s: an init function", where(set, root, d.Pos()))
					}
				case *ast.GenDecl:
					if isTest(name) || d.Tok != token.VAR {
						continue
					}
					for _, spec := range d.Specs {
						v := spec.(*ast.ValueSpec)
						if full := p.dir + "." + v.Names[0].Name; len(v.Values) == 0 && !slices.Contains(exceptions, full) {
							t.Errorf("%s: the variable %s", where(set, root, v.Pos()), full)
						}
					}
				}
			}
		}
	}
}

// Files that settings name, or that a folder from anywhere may hold, are opened by
// internal/files alone, which follows no link out of their folder and waits for no pipe.
func TestFilesAreOpenedInOnePlace(t *testing.T) {
	opens := map[string][]string{
		"os":  {"Open", "OpenFile", "OpenInRoot", "OpenRoot", "Create", "CreateTemp", "ReadFile", "WriteFile", "Chmod", "Chown", "Link", "Symlink", "Rename", "Truncate", "DirFS", "CopyFS"},
		"tls": {"LoadX509KeyPair"}, "ioutil": {"ReadFile", "WriteFile"}, "syscall": {"Open"},
	}
	exceptions := map[string]string{
		"internal/files":            "is the place",
		"internal/cli.Open":         "audit verify reads what a command names, which may be a pipe",
		"internal/docs/gen":         "writes this repository",
		"internal/testkit/recorded": "is for tests",
		"build/owner":               "writes this repository",
		"evals/agent":               "runs agents for developers",
		"packaging":                 "makes releases",
		"pve/apischema/gen":         "writes this repository",
	}
	pkgs, set, root := load(t)
	for _, p := range pkgs {
		if strings.HasPrefix(p.dir, "test/") || strings.HasPrefix(p.dir, "bench") || slices.Contains(support, p.dir) {
			continue
		}
		for name, file := range p.files {
			if isTest(name) {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				from, ok := sel.X.(*ast.Ident)
				if ok && from.Obj == nil && slices.Contains(opens[from.Name], sel.Sel.Name) && exceptions[p.dir] == "" && exceptions[p.dir+"."+sel.Sel.Name] == "" {
					t.Errorf("%s: %s.%s: take internal/files", where(set, root, sel.Pos()), from.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}

// A program that starts compiles no expression that it may not need.
func TestNothingIsCompiledAtStart(t *testing.T) {
	pkgs, set, root := load(t)
	for _, p := range pkgs {
		for name, file := range p.files {
			if isTest(name) || p.dir == "pve/apischema/gen" {
				continue
			}
			for _, decl := range file.Decls {
				if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
					ast.Inspect(d, func(n ast.Node) bool {
						if _, later := n.(*ast.FuncLit); later {
							return false
						}
						if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "MustCompile" {
							t.Errorf("%s: take lazyregexp.New", where(set, root, sel.Pos()))
						}
						return true
					})
				}
			}
		}
	}
}

// What others can use says what it promises.
func TestExportedNamesAreDocumented(t *testing.T) {
	pkgs, set, root := load(t)
	for _, p := range pkgs {
		documented := false
		for name, file := range p.files {
			documented = documented || file.Doc != nil
			if isTest(name) {
				continue
			}
			for _, decl := range file.Decls {
				for _, problem := range undocumented(decl) {
					t.Errorf("%s: %s has no comment", where(set, root, decl.Pos()), problem)
				}
			}
		}
		if !documented {
			t.Errorf("%s: the package has no comment", p.dir)
		}
	}
}

func undocumented(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && !isStandardMethod(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var out []string
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					out = append(out, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					out = append(out, s.Names[0].Name)
				}
			}
		}
		return out
	}
	return nil
}

// isStandardMethod reports whether a method does what its name says everywhere.
func isStandardMethod(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{
		"Error", "Unwrap", "String", "RoundTrip", "Close", "Read", "Write", "Connect", "Set", "Type", "Now", "Sleep", "Reset",
	}, d.Name.Name)
}

func where(set *token.FileSet, root string, pos token.Pos) string {
	p := set.Position(pos)
	rel, err := filepath.Rel(root, p.Filename)
	if err != nil {
		rel = p.Filename
	}
	return fmt.Sprintf("%s:%d", filepath.ToSlash(rel), p.Line)
}
