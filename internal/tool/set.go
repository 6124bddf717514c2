package tool

import "slices"

// Set is a toolset: what a folder of internal/toolsets offers. Its folder declares it, and
// a line in the registry of internal/toolset makes it known; everything else derives from
// it.
type Set struct {
	// Name is the set's name in PVE_MCP_TOOLSETS.
	Name string
	// Title says to a human what the set is about, in a few words.
	Title string
	// Doc says to a human what the set is for, in a sentence.
	Doc string
	// Instructions tell a model how to use the set, in lines. A line that names a tool is
	// sent if every tool that it names is offered; one that names none, if a tool of the
	// set is.
	Instructions string
	// Core are the tools that are offered by default. Standard are those that the choice
	// "standard" adds. Tools are the others, which are offered if the set is named.
	Core, Standard, Tools []Tool
	// Parts are calls of which the changes of others consist. No client sees them.
	Parts []Tool
}

// All returns all tools of the set that a client can have.
func (s Set) All() []Tool { return slices.Concat(s.Core, s.Standard, s.Tools) }
