package pvesim

import "bytes"

// BuiltinRoles is for tests.
var BuiltinRoles = builtinRoles

// Sparse is for tests.
func Sparse(v any) []byte {
	var b bytes.Buffer
	writeSparse(&b, v)
	return b.Bytes()
}
