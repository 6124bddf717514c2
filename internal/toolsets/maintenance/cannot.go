package maintenance

import (
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
)

// cannot is a guest to which it cannot be done.
type cannot struct {
	Guest string `json:"guest"`
	Why   string `json:"why"`
	Next  string `json:"next,omitzero"`
}

// mostRefused is how many guests a refusal names.
const mostRefused = 5

// refuseSome refuses the whole of a change because it cannot be done to some of the guests that
// were asked for. What helps several of them that follow one another is said once.
func refuseSome(what, verb string, all []cannot, asked int, next string) error {
	var lines []string
	few := all[:min(len(all), mostRefused)]
	for i, one := range few {
		line := one.Guest + ": " + one.Why
		if i == len(few)-1 || few[i+1].Next != one.Next {
			line = strings.TrimSpace(line + " " + one.Next)
		}
		lines = append(lines, line)
	}
	more := ""
	if n := len(all) - len(few); n > 0 {
		more = fmt.Sprintf(" And %d more.", n)
	}
	return explain.Refusal(next, "%s: %d of %d guests cannot%s. %s%s Nothing was sent.", what, len(all), asked, verb, strings.Join(lines, " "), more)
}
