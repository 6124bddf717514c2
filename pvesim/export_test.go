package pvesim

// BuiltinRoles is for tests.
var BuiltinRoles = builtinRoles
