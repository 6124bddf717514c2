package docs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// Subject is the argument that a person may give without its name, and how its place is
// labelled: the guest, or else the only one that a tool requires, or a node that comes first;
// "" for none.
func Subject(in *jsonschema.Schema) (name, label string) {
	switch {
	case in.Properties["vmid"] != nil:
		return "vmid", "[GUEST]"
	case len(in.Required) == 1:
		return in.Required[0], "[" + strings.ToUpper(in.Required[0]) + "]"
	case len(in.Required) == 0 && len(in.PropertyOrder) > 0 && in.PropertyOrder[0] == "node":
		return "node", "[NODE]"
	}
	return "", ""
}

// Command returns what a person types in a shell to make the call of an example.
func Command(t tool.Tool, e tool.Example) string {
	words := []string{"pve-mcp"}
	s := toolset.Selection{Policy: policy.Policy{Exec: t.Risk == policy.Exec}}
	if s.Policy.Exec {
		words = append(words, "--enable-exec")
	}
	if _, off := toolset.Offered(s); off[t.Name] != "" {
		words = append(words, "--toolsets", t.Toolset)
	}
	words = append(words, "call", t.Name)
	var args map[string]any
	if err := exactjson.Unmarshal([]byte(e.Arguments), &args); err != nil {
		panic(fmt.Sprintf("an example of %s: %v", t.Name, err)) // every test meets it
	}
	subject, _ := Subject(t.Input())
	if args[subject] != nil {
		words = append(words, quoted(args[subject]))
	}
	for _, name := range t.Input().PropertyOrder {
		if name != subject {
			words = append(words, flags("--"+name, args[name])...)
		}
	}
	return strings.Join(words, " ")
}

// flags are the words that give an argument its value; none if it has none.
func flags(flag string, value any) []string {
	var words []string
	switch v := value.(type) {
	case nil:
	case bool:
		if v {
			return []string{flag}
		}
		return []string{flag + "=false"}
	case []any:
		for _, item := range v {
			words = append(words, flag, quoted(item))
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			words = append(words, flag, quoted(fmt.Sprintf("%s=%v", key, v[key])))
		}
	default:
		return []string{flag, quoted(v)}
	}
	return words
}

var (
	wordRE  = lazyregexp.New(`^[A-Za-z0-9_./:=,+@-]+$`)
	givenRE = lazyregexp.New(`^\$[A-Z]+$`)
)

// quoted writes a value as a word of a shell.
func quoted(value any) string {
	text := fmt.Sprint(value)
	switch {
	case wordRE.MatchString(text):
		return text
	case givenRE.MatchString(text):
		return `"` + text + `"`
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
