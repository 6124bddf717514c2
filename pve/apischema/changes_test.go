package apischema_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// What PVE 9 changed in the endpoints that the simulator has, for a review to see when
// the facts or the endpoints change.
func TestChangesFrom8To9(t *testing.T) {
	eight, nine := embedded(t, 8), embedded(t, 9)
	var out strings.Builder
	for _, name := range pvesim.Endpoints() {
		method, template, _ := strings.Cut(name, " ")
		a, b := apischema.New(eight).Endpoint(method, template), apischema.New(nine).Endpoint(method, template)
		switch {
		case a == nil && b == nil:
			t.Errorf("%s is in no version", name)
		case a == nil || b == nil:
			fmt.Fprintf(&out, "%s\n  only in PVE %d\n", name, map[bool]int{true: 9, false: 8}[a == nil])
		default:
			if lines := changes(attributes(eight, a), attributes(nine, b)); len(lines) > 0 {
				fmt.Fprintf(&out, "%s\n  %s\n", name, strings.Join(lines, "\n  "))
			}
		}
	}
	golden := filepath.Join("testdata", "changes-8-9.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("%s is not what the facts say; make generate writes it (-file +facts):\n%s", golden, diff)
	}
	t.Logf("from PVE 8 to 9, in %d endpoints:\n%s", len(pvesim.Endpoints()), out.String())
}

func embedded(t *testing.T, major int) *apischema.Facts {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("facts-%d.json.gz", major))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	facts, err := apischema.ReadFacts(f)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// changes compares attributes by name: + is new, - is gone, ~ is different.
func changes(from, to map[string][]string) []string {
	all := maps.Clone(from)
	maps.Copy(all, to)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a, inA := from[name]
		b, inB := to[name]
		switch {
		case !inA:
			out = append(out, "+ "+name+": "+strings.Join(b, ", "))
		case !inB:
			out = append(out, "- "+name+": "+strings.Join(a, ", "))
		case !slices.Equal(a, b):
			out = append(out, "~ "+name+": "+strings.Join(without(a, b), ", ")+" -> "+strings.Join(without(b, a), ", "))
		}
	}
	return out
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}

// attributes are what a caller must know of an endpoint: of each parameter, and of each
// key of one that is a property string.
func attributes(facts *apischema.Facts, ep *apischema.Endpoint) map[string][]string {
	out := map[string][]string{"(permissions)": {text(ep.Permissions)}}
	for flag, on := range map[string]bool{"open to unknown parameters": !ep.Closed, "refuses tokens": ep.NoToken} {
		if on {
			out["("+flag+")"] = []string{"yes"}
		}
	}
	for name, s := range ep.Params {
		describe(facts, out, name, s)
	}
	return out
}

func describe(facts *apischema.Facts, out map[string][]string, name string, s *apischema.Schema) {
	list := []string{s.Type}
	if s.Optional {
		list = append(list, "optional")
	}
	for _, word := range s.Enum {
		list = append(list, text(word))
	}
	for what, v := range map[string]any{
		"minimum": s.Minimum, "maximum": s.Maximum, "minLength": s.MinLength, "maxLength": s.MaxLength,
		"requires": s.Requires, "alias of": s.Alias, "default": s.Default, "items": s.Items,
		"pattern": strings.ReplaceAll(s.Pattern, "(?^u:", "(?^:"), // the same, of text that Perl holds as Unicode
	} {
		if value := text(v); value != "null" && value != `""` {
			list = append(list, what+" "+value)
		}
	}
	if s.Format != nil && s.Format.Keys == nil {
		list = append(list, "format "+s.Format.Name)
	}
	base, indexed := strings.CutSuffix(name, "[n]")
	if indexed {
		list = append(list, fmt.Sprintf("up to %d", facts.Highest[base]))
	}
	slices.Sort(list)
	out[name] = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	for key, inner := range keysOf(facts, s.Format) {
		describe(facts, out, name+"."+key, inner)
	}
}

func keysOf(facts *apischema.Facts, f *apischema.Format) map[string]*apischema.Schema {
	if f == nil {
		return nil
	}
	if named := facts.Formats[f.Name]; named != nil {
		return named.Keys
	}
	return f.Keys
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // facts were read as JSON
	}
	return string(data)
}
