package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// argument is one that a tool takes.
type argument struct {
	schema   *jsonschema.Schema
	required bool
	// id says that it is the id of a guest: 0 is none. named says that the guest exists, so
	// that its name will do, too.
	id, named bool
	// line names the argument that takes as one text what this one takes as a list of words.
	line string
}

// argumentsOf returns the arguments of a tool by name; in is a pointer to its input.
func argumentsOf(s *jsonschema.Schema, in any) map[string]argument {
	out := map[string]argument{}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(in).Elem()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if p := s.Properties[name]; p != nil && !f.Anonymous {
			if isNamed(f) { // names are replaced before it is read
				p = &jsonschema.Schema{Type: "integer", Minimum: p.Minimum}
			}
			out[name] = argument{
				schema: p, required: slices.Contains(s.Required, name), line: f.Tag.Get("line"),
				id: f.Type == reflect.TypeFor[pve.VMID](), named: isNamed(f),
			}
		}
	}
	return out
}

// isNamed reports whether a field is the id of a guest that is there.
func isNamed(f reflect.StructField) bool {
	return f.Type == reflect.TypeFor[pve.VMID]() && f.Tag.Get("guest") != "new"
}

// absent reports whether a value says that an optional argument is left out.
func (a argument) absent(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case json.Number:
		return !a.required && a.id && v == "0"
	case string:
		if a.schema.Type != "string" { // in a text, white space may be meant
			v = strings.TrimSpace(v)
		}
		return !a.required && (v == "" || a.id && v == "0")
	}
	return false
}

// ParseArguments reads the arguments of a call, which are an object, null or nothing.
func ParseArguments(args json.RawMessage) (map[string]any, error) {
	if len(bytes.TrimSpace(args)) == 0 {
		return map[string]any{}, nil
	}
	value, err := exactjson.Decode(args)
	var repeated *exactjson.RepeatedKeyError
	if errors.As(err, &repeated) {
		return nil, invalid("The arguments have %q twice; give it once.", render.Text(repeated.Key, 60))
	}
	all, ok := value.(map[string]any)
	if value == nil && err == nil {
		return map[string]any{}, nil
	}
	if !ok {
		return nil, invalid("The arguments are not a JSON object.")
	}
	return all, nil
}

// addedByClients are the keys that some clients, n8n above all, add to the arguments of
// every tool.
var addedByClients = []string{"action", "chatInput", "sessionId", "toolCallId"}

// withoutAdded takes out what the client has added and the tool does not take, and
// returns the names. An action that stands alone may be meant for the tool, unless it is
// the one that n8n's chat always has.
func withoutAdded(all map[string]any, takes map[string]argument) (added []string) {
	for _, name := range addedByClients {
		if _, is := takes[name]; is {
			continue
		}
		if _, given := all[name]; given {
			added = append(added, name)
		}
	}
	if slices.Equal(added, []string{"action"}) && all["action"] != "sendMessage" {
		return nil
	}
	for _, name := range added {
		delete(all, name)
	}
	return added
}

// IgnoredArguments remembers of which arguments the log of a process says already that they
// are ignored. If it is nil, it remembers nothing.
type IgnoredArguments struct{ names sync.Map }

// log logs each argument that was ignored, once.
func (a *IgnoredArguments) log(ctx context.Context, to *slog.Logger, tool string, names []string) {
	for _, name := range names {
		if a != nil {
			if _, before := a.names.LoadOrStore(name, true); before {
				continue
			}
		}
		to.InfoContext(ctx, "argument ignored", "argument", name, "tool", tool, "reason", "clients add it to every call")
	}
}
