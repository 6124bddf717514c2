package tool

// NextCall is what to do now, ready to be done: the call of a tool, or a command for an
// administrator where no tool can do it.
type NextCall struct {
	Tool      string         `json:"tool,omitzero"`
	Arguments map[string]any `json:"arguments,omitzero"`
	Command   string         `json:"command,omitzero" jsonschema:"for root; relay it word by word"`
	Where     string         `json:"where,omitzero" jsonschema:"on which node"`
}
