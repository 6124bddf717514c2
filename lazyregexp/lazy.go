//go:build !race

package lazyregexp

// New returns an expression that panics at its first use where it cannot be parsed, and at
// once in a program built with -race. It is short enough for the compiler to do its work.
func New(expr string) *Regexp { return &Regexp{expr: expr} }
