//go:build race

package lazyregexp

// New returns an expression that panics where it cannot be parsed: at once, so that a
// mistake in one that no test uses is found all the same.
func New(expr string) *Regexp {
	r := &Regexp{expr: expr}
	r.re()
	return r
}
