package mcpserver

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
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

// plainWords are descriptions that the types of a guest, or the name of the argument, make plain.
var plainWords = []string{"id or name", "default: none", "a note", "what to do"}

// listed is the schema of a tool's arguments as a model is to read it, over and over: without
// bounds, which the refusal of a value outside names, and without words that say no more than
// name and type do.
func listed(s *jsonschema.Schema) *jsonschema.Schema {
	out := s.CloneSchemas()
	for name, p := range out.Properties {
		p.Minimum, p.Maximum = nil, nil
		if name == "limit" || name == "offset" || slices.Contains(plainWords, p.Description) {
			p.Description = ""
		}
		if p.Type == "object" && len(p.Properties) == 0 {
			p.AdditionalProperties = nil
		}
	}
	return out
}
