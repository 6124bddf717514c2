package pvesim

import (
	"bytes"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/sparsejson"
)

// BuiltinRoles is for tests.
var BuiltinRoles = builtinRoles

// Sparse is for tests.
func Sparse(v any) []byte {
	var b bytes.Buffer
	sparsejson.Write(&b, v)
	return b.Bytes()
}
