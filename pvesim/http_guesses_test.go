package pvesim_test

import (
	"slices"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What is guessed is about endpoints that are simulated.
func TestGuesses(t *testing.T) {
	for endpoint, what := range pvesim.Guesses() {
		if what == "" || !slices.Contains(pvesim.Endpoints(), endpoint) {
			t.Errorf("%q is guessed of %s", what, endpoint)
		}
	}
}
