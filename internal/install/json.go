package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
)

var bom = []byte("\ufeff")

// jsonFile is a file in JSON, with comments and trailing commas if it has any.
type jsonFile struct {
	container string
	root      hujson.Value
	bom       []byte
	newline   string
	unit      string // of indentation; "" for a file on one line
}

func parseJSON(text []byte, c Client) (*jsonFile, error) {
	f := &jsonFile{container: c.container, newline: "\n", unit: "  "}
	if c.tabs {
		f.unit = "\t"
	}
	if bytes.HasPrefix(text, bom) {
		f.bom, text = bom, text[len(bom):]
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	root, err := hujson.Parse(bytes.Clone(text))
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %s", strings.TrimPrefix(err.Error(), "hujson: "))
	}
	if c.strict && !root.IsStandard() {
		return nil, fmt.Errorf("it has comments or a comma too many, which %s does not read", c.Title)
	}
	obj, ok := root.Value.(*hujson.Object)
	if !ok {
		return nil, errors.New("it is not a JSON object")
	}
	f.root = root
	if bytes.Contains(text, []byte("\r\n")) {
		f.newline = "\r\n"
	}
	if len(obj.Members) > 0 {
		_, f.unit = lastLine(obj.Members[0].Name.BeforeExtra)
	}
	return f, nil
}

func (f *jsonFile) data() (map[string]any, error) {
	root := f.root.Clone()
	root.Standardize()
	var out map[string]any
	err := exactjson.Unmarshal(root.Pack(), &out)
	return out, err
}

func (f *jsonFile) pack() []byte { return append(slices.Clone(f.bom), f.root.Pack()...) }

func (f *jsonFile) with(name string, entry []member) ([]byte, error) {
	root := f.root.Value.(*hujson.Object)
	servers, err := f.object(root, f.container, 1)
	if err != nil {
		return nil, err
	}
	server, err := f.object(servers, name, 2)
	if err != nil {
		return nil, err
	}
	for _, m := range entry {
		if m.value == nil {
			if at := find(server, m.name); at >= 0 {
				f.cut(server, at)
			}
			continue
		}
		value, err := f.value(m.value, 3)
		if err != nil {
			return nil, err
		}
		if at := find(server, m.name); at >= 0 {
			if !same(server.Members[at].Value, value) {
				server.Members[at].Value.Value = value
			}
			continue
		}
		f.add(server, m.name, value, 3)
	}
	return f.pack(), nil
}

// same reports whether a value says the same as another one.
func same(a hujson.Value, b hujson.ValueTrimmed) bool {
	x, y := a.Clone(), hujson.Value{Value: b}.Clone()
	x.Minimize()
	y.Minimize()
	return bytes.Equal(x.Pack(), y.Pack())
}

// object returns the object that is a member of another one, and creates it if needed.
func (f *jsonFile) object(in *hujson.Object, name string, depth int) (*hujson.Object, error) {
	if at := find(in, name); at >= 0 {
		obj, ok := in.Members[at].Value.Value.(*hujson.Object)
		if !ok {
			return nil, fmt.Errorf("its %s is not an object", name)
		}
		return obj, nil
	}
	obj := &hujson.Object{}
	f.add(in, name, obj, depth)
	return obj, nil
}

func find(obj *hujson.Object, name string) int {
	return slices.IndexFunc(obj.Members, func(m hujson.ObjectMember) bool {
		lit, ok := m.Name.Value.(hujson.Literal)
		return ok && lit.String() == name
	})
}

// line begins a line at a depth.
func (f *jsonFile) line(depth int) []byte {
	if f.unit == "" {
		return nil
	}
	return []byte(f.newline + strings.Repeat(f.unit, depth))
}

// add adds a member at the end of an object whose members stand at a depth. What stands
// between the last one and the end of its line stays there.
func (f *jsonFile) add(obj *hujson.Object, name string, value hujson.ValueTrimmed, depth int) {
	before, after := f.line(depth), f.line(depth-1)
	trailing := false
	if n := len(obj.Members); n > 0 {
		before = f.beside(obj.Members[n-1].Name.BeforeExtra)
		trailing = obj.Members[n-1].Value.AfterExtra != nil
	}
	if len(bytes.TrimSpace(obj.AfterExtra)) > 0 || len(obj.Members) > 0 {
		kept, _ := lastLine(obj.AfterExtra)
		before = append(slices.Clone(kept), before...)
		after = obj.AfterExtra[len(kept):]
	}
	m := hujson.ObjectMember{
		Name:  hujson.Value{BeforeExtra: before, Value: hujson.String(name)},
		Value: hujson.Value{Value: value},
	}
	if f.unit != "" {
		m.Value.BeforeExtra = []byte(" ")
	}
	if trailing {
		m.Value.AfterExtra = hujson.Extra{}
	}
	obj.Members, obj.AfterExtra = append(obj.Members, m), after
}

// beside is what stands before a member whose neighbour has something before it.
func (f *jsonFile) beside(neighbour []byte) []byte {
	switch _, indent := lastLine(neighbour); {
	case bytes.Contains(neighbour, []byte("\n")):
		return []byte(f.newline + indent)
	case len(bytes.TrimSpace(neighbour)) > 0:
		return []byte(" ")
	}
	return slices.Clone(neighbour)
}

// lastLine cuts a text before its last end of line: what stands before it, and the white
// space after it.
func lastLine(extra []byte) (kept []byte, indent string) {
	i := bytes.LastIndexByte(extra, '\n')
	if i < 0 {
		return nil, ""
	}
	kept = bytes.TrimSuffix(extra[:i], []byte("\r"))
	rest := extra[i+1:]
	return kept, string(rest[:len(rest)-len(bytes.TrimLeft(rest, " \t"))])
}

// value makes a value whose members stand at depth+1.
func (f *jsonFile) value(v any, depth int) (hujson.ValueTrimmed, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if f.unit != "" {
		enc.SetIndent(strings.Repeat(f.unit, depth), f.unit)
	}
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(buf.Bytes())
	parsed, err := hujson.Parse(bytes.ReplaceAll(text, []byte("\n"), []byte(f.newline)))
	return parsed.Value, err
}

func (f *jsonFile) without(name string) ([]byte, error) {
	root := f.root.Value.(*hujson.Object)
	at := find(root, f.container)
	servers, ok := root.Members[at].Value.Value.(*hujson.Object)
	if !ok {
		return nil, errForm
	}
	f.cut(servers, find(servers, name))
	return f.pack(), nil
}

// cut takes a member out of an object, and leaves the comments around it.
func (f *jsonFile) cut(obj *hujson.Object, at int) {
	gone := obj.Members[at]
	kept, _ := lastLine(gone.Name.BeforeExtra)
	obj.Members = slices.Delete(obj.Members, at, at+1)
	follows := &obj.AfterExtra
	if at < len(obj.Members) {
		follows = &obj.Members[at].Name.BeforeExtra
	} else if at > 0 { // the one before is the last now, and has a comma if this one had
		last := &obj.Members[at-1].Value
		switch {
		case gone.Value.AfterExtra == nil:
			kept, last.AfterExtra = append(slices.Clone(last.AfterExtra), kept...), nil
		case last.AfterExtra == nil:
			last.AfterExtra = hujson.Extra{}
		}
	}
	if len(kept) > 0 && !bytes.Contains(*follows, []byte("\n")) {
		kept = append(slices.Clone(kept), f.newline...) // a comment to the end of the line
	}
	*follows = append(slices.Clone(kept), *follows...)
}
