package archtest

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// layer is a group of packages that may import those of the layers before it, and of its
// own those that belong to the same whole ([inOneFolder]).
type layer struct {
	name     string
	packages []string // a folder, or with /... all that lies below it, too
}

// layers, from the bottom.
var layers = []layer{
	{"JSON in parts", []string{"internal/jsonscan"}},
	{"what is public and small", []string{"lazyregexp", "proxmox/lenient"}},
	{"PVE's description of itself, the engine of clients", []string{"pve/apischema", "pve/apischema/viewer", "proxmox"}},
	{"what a simulated guest has", []string{"pvesim/internal/memfs", "pvesim/internal/tty"}},
	{"what needs no simulated cluster", []string{"pvesim/internal/..."}},
	{"clients and simulator", []string{"pve", "pvesim", "pve/apischema/gen"}},
	{"text, seals, files and series", []string{"internal/render", "internal/seal", "internal/files", "internal/schedule", "internal/exactjson", "internal/forecast", "internal/ctshell"}},
	{"consoles", []string{"internal/duplex", "internal/keyboard"}},
	{"what consoles show", []string{"internal/rfb", "internal/screen", "internal/terminal"}},
	{"values shown, claims kept, images known", []string{"internal/show", "internal/once", "internal/images"}},
	{"policy and record", []string{"internal/policy", "internal/audit"}},
	{"words for errors", []string{"internal/explain"}},
	{"one cluster", []string{"internal/cluster"}},
	{"reading much, choosing many, placing", []string{"internal/survey", "internal/selection", "internal/placement/..."}},
	{"what protects guests", []string{"internal/coverage"}},
	{"tools", []string{"internal/tool"}},
	{"changes, settings of guests", []string{"internal/change", "internal/guestconfig"}},
	{"what toolsets share", []string{"internal/newguest", "internal/guestexec", "internal/localfiles", "internal/storedbackups"}},
	{"toolsets", []string{"internal/toolsets/..."}},
	{"registry", []string{"internal/toolset"}},
	{"settings and callers", []string{"internal/config/...", "internal/install/...", "internal/callers", "internal/secretpage"}},
	{"MCP", []string{"internal/mcpserver/..."}},
	{"telemetry", []string{"internal/telemetry"}},
	{"HTTP", []string{"internal/mcphttp"}},
	{"checks and pages", []string{"internal/doctor", "internal/docs", "internal/testkit/capture", "internal/testkit/effort", "internal/testkit/live", "internal/testkit/recorded"}},
	{"commands", []string{"internal/cli/..."}},
	{"stories", []string{"internal/testkit/sim"}},
	{"programs and tests", []string{"cmd/...", "internal/docs/gen", "internal/archtest", "bench/...", "test/...", "packaging", "build/...", "evals/..."}},
}

// denied are imports that the layers allow and that are wrong all the same. A module may be
// imported by those that are named, and by no others.
var denied = []struct {
	to     string
	but    []string // for which it is right
	reason string
}{
	{"pve", []string{"!pvesim/..."}, "a mistake in a type that client and simulator share would cancel out in the tests: write the JSON out instead"},
	{"proxmox", []string{"!pvesim/..."}, "a mistake in a type that client and simulator share would cancel out in the tests: write the JSON out instead"},
	{"proxmox/lenient", []string{"!pvesim/..."}, "a mistake in a type that client and simulator share would cancel out in the tests: write the JSON out instead"},
	{"github.com/modelcontextprotocol/go-sdk", []string{"internal/mcpserver/...", "internal/mcphttp", "internal/telemetry", "internal/install/remote", "internal/cli/demo", "bench/...", "test/..."},
		"a tool knows nothing of MCP: return plain values, and let internal/mcpserver translate them"},
	{"github.com/spf13/cobra", []string{"internal/cli", "internal/docs/gen"}, "commands are made in internal/cli"},
	{"go.opentelemetry.io/otel", []string{"internal/telemetry", "internal/mcphttp"}, "traces are made in internal/telemetry: take its hooks"},
	{"github.com/gomodule/redigo", []string{"internal/once"}, "the process keeps no other state that replicas would share"},
	{"github.com/google/jsonschema-go", []string{"internal/tool", "internal/docs", "internal/cli", "internal/mcpserver"}, "schemas are derived from a tool's declaration in internal/tool"},
}

// below reports whether a package is one that a pattern names.
func below(pattern, dir string) bool {
	folder, all := strings.CutSuffix(pattern, "/...")
	return dir == folder || all && strings.HasPrefix(dir, folder+"/")
}

// layerOf returns the place of a package among the layers: that of its longest pattern.
func layerOf(dir string) int {
	at, longest := -1, ""
	for i, l := range layers {
		for _, pattern := range l.packages {
			if below(pattern, dir) && len(pattern) > len(longest) {
				at, longest = i, pattern
			}
		}
	}
	return at
}

// Imports go down the layers, and none is denied.
func TestImports(t *testing.T) {
	pkgs, _, _ := load(t)
	for _, p := range pkgs {
		at := layerOf(p.dir)
		if at < 0 {
			t.Errorf("%s is in no layer: add it to layers in internal/archtest", p.dir)
			continue
		}
		for _, imported := range importsOf(p) {
			if slices.Contains(support, imported) && !slices.Contains(support, p.dir) {
				t.Errorf("%s imports %s, which is for tests: import it from a file _test.go", p.dir, imported)
			}
			if to := layerOf(imported); to > at || to == at && !inOneFolder(p.dir, imported) {
				t.Errorf("%s (%s) imports %s (%s): what both need belongs into a package further down; what only the lower one needs, it takes as a parameter",
					p.dir, layers[at].name, imported, layers[to].name)
			}
			for _, d := range denied {
				if imported == d.to && !right(d.but, p.dir) {
					t.Errorf("%s imports %s: %s", p.dir, imported, d.reason)
				}
			}
		}
	}
}

// right reports whether an import is right for a package: it is among those that are named,
// or not among those that are named with a !.
func right(but []string, dir string) bool {
	for _, pattern := range but {
		if wrong, ok := strings.CutPrefix(pattern, "!"); ok {
			return !below(wrong, dir)
		}
	}
	return slices.ContainsFunc(but, func(pattern string) bool { return below(pattern, dir) })
}

// inOneFolder reports whether two packages of a layer belong together: one lies in the
// other's folder, or both lie in one that is a whole. Toolsets never import each other.
func inOneFolder(a, b string) bool {
	wholes := []string{"bench", "internal/mcpserver"}
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") ||
		path.Dir(a) == path.Dir(b) && slices.Contains(wholes, path.Dir(a))
}

// Each pattern is of some package.
func TestLayersAreOfPackages(t *testing.T) {
	pkgs, _, _ := load(t)
	for _, l := range layers {
		for _, pattern := range l.packages {
			if !slices.ContainsFunc(pkgs, func(p *pkg) bool { return below(pattern, p.dir) }) {
				t.Errorf("%s: there is no package of the layer %q", pattern, l.name)
			}
		}
	}
}

// importsOf are the packages and modules that a package imports, its tests apart.
func importsOf(p *pkg) []string {
	var out []string
	for name, file := range p.files {
		if isTest(name) {
			continue
		}
		for _, spec := range file.Imports {
			if imported := outside(spec); imported != "" && !slices.Contains(out, imported) {
				out = append(out, imported)
			}
		}
	}
	slices.Sort(out)
	return out
}
