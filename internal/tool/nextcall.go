package tool

// NextCall is what to do now, ready to be done: the call of a tool, or a command for an
// administrator where no tool can do it.
type NextCall struct {
	Tool      string         `json:"tool,omitzero"`
	Arguments map[string]any `json:"arguments,omitzero"`
	Setting   string         `json:"setting,omitzero" jsonschema:"why the tool is not offered here"`
	Command   string         `json:"command,omitzero" jsonschema:"for root; relay it word by word"`
	Where     string         `json:"where,omitzero" jsonschema:"of the command"`
	Do        string         `json:"do,omitzero" jsonschema:"what a person does"`
}

// LeftOut is why a tool is off that the configuration leaves out by its name. No other tool does
// what it does either.
const LeftOut = "it is left out (PVE_MCP_TOOLS)"

// Offered is a call as the host offers it: of a tool that is off, it says which setting offers
// it.
func (h Host) Offered(n NextCall) NextCall {
	if n.Tool != "" && h.Off != nil {
		n.Setting = h.Off(n.Tool)
	}
	return n
}
