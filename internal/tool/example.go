package tool

import "github.com/pve-mcp/pve-mcp/pve"

// Example is a call that works on the cluster of pve-mcp demo. The page of its tool shows
// the first one; the tests of privileges, requests and arguments make them all, so that
// the examples of a tool together meet every privilege that it needs.
type Example struct {
	// Arguments are JSON. A word such as $UPID is replaced by what Given finds.
	Arguments string
	Given     []Given
	// Since is the first version of PVE that can do it, such as 9.2; "" for any.
	Since string
}

// Works reports whether a version of PVE can do what the example asks for.
func (e Example) Works(version string) bool {
	return pve.CompareNames(version, e.Since) >= 0
}

// Given says where a word in the arguments of an example comes from: a call of another tool
// that is made before.
type Given struct {
	Word, Tool, Arguments string
	// Field is where the answer has it, such as backups.0.volid.
	Field string
	// ByAnother says that another token makes the call.
	ByAnother bool
}
