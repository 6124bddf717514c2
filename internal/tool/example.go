package tool

// Example is a call that works on the cluster of pve-mcp demo. The page of its tool shows
// the first one; the tests of privileges, requests and arguments make them all, so that
// the examples of a tool together meet every privilege that it needs.
type Example struct {
	// Arguments are JSON. A word such as $UPID is replaced by what Given finds.
	Arguments string
	Given     []Given
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
