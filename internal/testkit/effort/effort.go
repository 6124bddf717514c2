// Package effort says how much a test does of what it could do for hours.
package effort

import (
	"os"
	"testing"
)

// Of returns the amount for this run: short under go test -short, which make race uses
// because the race detector makes everything several times slower; soak under make soak,
// which may take hours; usual otherwise.
func Of[T any](short, usual, soak T) T {
	switch {
	case testing.Short():
		return short
	case os.Getenv("PVE_MCP_SOAK") != "":
		return soak
	}
	return usual
}

// SkipShort skips a test of data rather than of concurrency under go test -short. Its usual
// run, without the race detector, shows all that there is to see.
func SkipShort(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("it is about data: go test without -short runs it")
	}
}
