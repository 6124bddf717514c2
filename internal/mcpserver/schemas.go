package mcpserver

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// schemas are those of a tool, as they are sent.
type schemas struct {
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output,omitempty"` // none of a tool whose answer may have more than JSON
}

//go:embed schemas.json
var schemasFile []byte

// schemasOf has the schemas by tool. To infer them all and to write them takes several
// times as long as everything else until a client has the list of tools.
var schemasOf = sync.OnceValue(func() (all map[string]schemas) {
	if err := json.Unmarshal(schemasFile, &all); err != nil {
		panic(err) // go generate has made it
	}
	return all
})

// Schemas returns what the file of schemas has to be by the types of the tools, a line for
// each tool.
func Schemas() ([]byte, error) {
	var file bytes.Buffer
	between := "{\n"
	for _, t := range toolset.All() {
		input, err := json.Marshal(listed(t.Input()))
		if err != nil {
			return nil, err
		}
		var output json.RawMessage
		if !t.Attaches {
			if output, err = json.Marshal(t.Output()); err != nil {
				return nil, err
			}
		}
		line, err := json.Marshal(schemas{input, output})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&file, "%s%q:%s", between, t.Name, line)
		between = ",\n"
	}
	file.WriteString("\n}\n")
	return file.Bytes(), nil
}

// plainWords are descriptions that the types of a guest, or the name of the argument, or what it
// is when it is left out, make plain.
var plainWords = []string{
	"id or name", "a note", "what to do", "what to do to each", "its name", "login", "tag", "columns", "kept with it", "a node", "a storage", "a task", "the task",
	"the snapshot", "of the clone", "of the endpoint", "part of the notes", "sums: what fills it", "VMs or containers",
	"only on this node", "only on this storage", "only in this pool", "only with this tag", "only in this state", "only of this guest", "only this",
	"only those under way", "only those that may hold this", "only these areas", "leave milder out", "show these, too",
	"plan only", "do that plan; alone", "start it afterwards", "start the clone", "move local disks of a running VM", "with those not begun", "refuse: nothing begins", "go on without those that cannot",
	"default: none", "default: next free", "default: best", "default: any", "default: most room", "default: all nodes, in short", "default: the same", "default: the original's",
}

// listed is the schema of a tool's arguments as a model is to read it, over and over: without
// bounds, which the refusal of a value outside names, and without words that say no more than
// name, type and default do.
func listed(s *jsonschema.Schema) *jsonschema.Schema {
	out := s.CloneSchemas()
	for name, p := range out.Properties {
		p.Minimum, p.Maximum = nil, nil
		if name == "limit" || name == "offset" || slices.Contains(plainWords, p.Description) {
			p.Description = ""
		}
		if text, ok := strings.CutPrefix(p.Description, "seconds; default "); ok {
			p.Description, p.Default = "", json.RawMessage(text)
		}
		if p.Type == "object" && len(p.Properties) == 0 {
			p.AdditionalProperties = nil
		}
	}
	return out
}
