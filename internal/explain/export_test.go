package explain

// Roles is for tests.
var Roles = roles
