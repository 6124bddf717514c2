package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// tomlFile is a file in TOML. No library changes one and leaves the rest as it is, so
// the lines of an entry are found by a parser, and changed as text.
type tomlFile struct {
	container string
	text      []byte
	newline   string
	lines     []expression
}

// expression is the header of a table, or a key with its value.
type expression struct {
	header     bool
	key        []string // from the root on
	start, end int      // its lines, with the last one's end
}

func parseTOML(text []byte, container string) (*tomlFile, error) {
	f := &tomlFile{container: container, text: bytes.Clone(text), newline: "\n"}
	if bytes.Contains(text, []byte("\r\n")) {
		f.newline = "\r\n"
	}
	if _, err := f.data(); err != nil {
		return nil, err
	}
	p := unstable.Parser{}
	p.Reset(f.text)
	var table []string
	for p.NextExpression() {
		node := p.Expression()
		e := expression{header: node.Kind != unstable.KeyValue}
		from, to := int(node.Raw.Offset), int(node.Raw.Offset+node.Raw.Length)
		var key []string
		first := true
		for it := node.Key(); it.Next(); first = false {
			raw := it.Node().Raw
			if e.header && first {
				from = int(raw.Offset)
			}
			if e.header {
				to = int(raw.Offset + raw.Length)
			}
			key = append(key, string(it.Node().Data))
		}
		if e.header {
			table, e.key = key, key
		} else {
			e.key = slices.Concat(table, key)
		}
		e.start = bytes.LastIndexByte(f.text[:from], '\n') + 1
		e.end = len(f.text)
		if i := bytes.IndexByte(f.text[to:], '\n'); i >= 0 {
			e.end = to + i + 1
		}
		f.lines = append(f.lines, e)
	}
	return f, p.Error()
}

func (f *tomlFile) data() (map[string]any, error) {
	out := map[string]any{}
	err := toml.Unmarshal(f.text, &out)
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return nil, fmt.Errorf("it is not TOML: line %d, column %d: %s", line, column, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return out, err
}

// with sets keys of an entry that is a table of its own, and adds the table at the end if
// there is none.
func (f *tomlFile) with(name string, entry []member) ([]byte, error) {
	own := []string{f.container, name}
	at := f.table(own)
	if at < 0 {
		return f.appended(own, entry), nil
	}
	envTable := f.table(append(slices.Clone(own), "env"))
	var out bytes.Buffer
	done := 0
	for i, e := range f.lines {
		if !e.header && len(e.key) > 2 && slices.Equal(e.key[:2], own) &&
			slices.ContainsFunc(entry, func(m member) bool { return m.name == e.key[2] }) {
			out.Write(f.text[done:e.start])
			done = e.end
		}
		if i != at && i != envTable {
			continue
		}
		out.Write(f.text[done:e.end])
		done = e.end
		for _, m := range entry {
			env, isEnv := m.value.(map[string]string)
			switch {
			case m.value == nil:
			case i == envTable && isEnv:
				out.WriteString(f.pairs(env))
			case i == at && (!isEnv || envTable < 0):
				out.WriteString(m.name + " = " + literal(m.value) + f.newline)
			}
		}
	}
	out.Write(f.text[done:])
	return out.Bytes(), nil
}

// table is the place of the header of a table, -1 for none.
func (f *tomlFile) table(key []string) int {
	return slices.IndexFunc(f.lines, func(e expression) bool { return e.header && slices.Equal(e.key, key) })
}

func (f *tomlFile) appended(own []string, entry []member) []byte {
	var out bytes.Buffer
	out.Write(f.text)
	if len(f.text) > 0 && !bytes.HasSuffix(f.text, []byte("\n")) {
		out.WriteString(f.newline)
	}
	if len(f.text) > 0 {
		out.WriteString(f.newline)
	}
	header := "[" + bare(own[0]) + "." + bare(own[1])
	out.WriteString(header + "]" + f.newline)
	for _, m := range entry {
		if m.value == nil {
			continue
		}
		if env, ok := m.value.(map[string]string); ok {
			out.WriteString(f.newline + header + "." + m.name + "]" + f.newline + f.pairs(env))
			continue
		}
		out.WriteString(m.name + " = " + literal(m.value) + f.newline)
	}
	return out.Bytes()
}

// pairs are lines of keys and values, sorted.
func (f *tomlFile) pairs(env map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(env)) {
		b.WriteString(bare(key) + " = " + literal(env[key]) + f.newline)
	}
	return b.String()
}

var bareRE = lazyregexp.New(`^[A-Za-z0-9_-]+$`)

// bare writes a key.
func bare(key string) string {
	if bareRE.MatchString(key) {
		return key
	}
	return literal(key)
}

// literal writes a value: strings are written alike in TOML and in JSON.
func literal(v any) string {
	switch v := v.(type) {
	case []string:
		var parts []string
		for _, text := range v {
			parts = append(parts, literal(text))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]string:
		if len(v) == 0 {
			return "{}"
		}
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, bare(key)+" = "+literal(v[key]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // text always can be
	return strings.TrimSpace(buf.String())
}

// without takes out the tables and the keys of an entry, and the empty line before the
// first one if another one or the end follows.
func (f *tomlFile) without(name string) ([]byte, error) {
	own := []string{f.container, name}
	out := bytes.Clone(f.text)
	for _, e := range slices.Backward(f.lines) {
		if len(e.key) < 2 || !slices.Equal(e.key[:2], own) {
			continue
		}
		before, after := out[:e.start], out[e.end:]
		blank := []byte(f.newline + f.newline)
		if e.header && bytes.HasSuffix(before, blank) && (len(after) == 0 || bytes.HasPrefix(after, []byte(f.newline))) {
			before = before[:len(before)-len(f.newline)]
		}
		out = slices.Concat(before, after)
	}
	return out, nil
}
