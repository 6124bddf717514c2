package tool

import (
	"fmt"

	"pve-mcp/internal/render"
)

// Page cuts a part out of a list, and says how many are not in it and, where there are
// later ones, how to get them.
func Page[T any](all []T, limit, offset int) (part []T, leftOut int, more string) {
	first := min(offset, len(all))
	last := min(first+limit, len(all))
	if last < len(all) {
		more = fmt.Sprintf("offset: %d, or a filter", last)
	}
	return all[first:last], len(all) - (last - first), more
}

// FewNotes returns the notes of an answer as far as it has room for them: there may be some
// for each storage and node.
func FewNotes(notes []string) []string { return render.Few(notes, 10) }
