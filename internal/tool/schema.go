package tool

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// inputSchema infers the schema of a tool's arguments from a struct. Beside
// jsonschema ("what it is"), fields take the tags enum ("a,b"), min, max and
// default, and line (the argument that takes this list of words as one text).
func inputSchema(t reflect.Type) *jsonschema.Schema {
	s := infer(t)
	s.AdditionalProperties = nil // what is not an argument is refused all the same
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if p := s.Properties[name]; p != nil && !f.Anonymous {
			if isNamed(f) {
				p.Type, p.Types = "", []string{"integer", "string"}
				p.Description = cmp.Or(p.Description, "id or name")
			}
			if err := constrain(p, f.Tag); err != nil {
				panic(fmt.Sprintf("%v.%s: %v", t, f.Name, err))
			}
		}
	}
	return s
}

// lazily returns the schema of T, made when it is first asked for.
func lazily[T any](make func(reflect.Type) *jsonschema.Schema) func() *jsonschema.Schema {
	return sync.OnceValue(func() *jsonschema.Schema { return make(reflect.TypeFor[T]()) })
}

// infer panics on a type that has no schema: a mistake in a declaration, which
// every test meets.
func infer(t reflect.Type) *jsonschema.Schema {
	least := float64(pve.MinVMID)
	text, outcome := &jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "string"}
	for _, o := range Outcomes() {
		outcome.Enum = append(outcome.Enum, string(o))
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[pve.VMID]():     {Type: "integer", Minimum: &least},
		reflect.TypeFor[proxmox.UPID](): text,
		reflect.TypeFor[pve.VolID]():    text,
		reflect.TypeFor[Values]():       {Type: "object"},
		reflect.TypeFor[Settings]():     {Type: "object"},
		reflect.TypeFor[Outcome]():      outcome,
	}})
	if err != nil {
		panic(err)
	}
	if s.Type != "object" {
		panic(fmt.Sprintf("%v is not a struct", t))
	}
	plain(s)
	return s
}

// plain removes null from unions: our encoder writes no nulls, and some clients
// take no unions. Items of any kind are an object, since some clients take no bare true.
func plain(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	for _, p := range s.Properties {
		plain(p)
	}
	if s.Items != nil && reflect.DeepEqual(*s.Items, jsonschema.Schema{}) {
		s.Items.Description = "any JSON value"
	}
	plain(s.Items)
	plain(s.AdditionalProperties)
}

func constrain(p *jsonschema.Schema, tag reflect.StructTag) error {
	if words := tag.Get("enum"); words != "" {
		target := p
		if p.Type == "array" {
			target = p.Items
		}
		for w := range strings.SplitSeq(words, ",") {
			target.Enum = append(target.Enum, w)
		}
	}
	for _, b := range []struct {
		key string
		set func(*float64)
	}{
		{"min", func(f *float64) { p.Minimum = f }},
		{"max", func(f *float64) { p.Maximum = f }},
	} {
		text := tag.Get(b.key)
		if text == "" {
			continue
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		b.set(&f)
	}
	if text := tag.Get("default"); text != "" {
		p.Default = []byte(text)
	}
	return nil
}
