package coverage

import (
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// chosenRE finds by which selection the guests of a job were chosen, at the end of its comment.
var chosenRE = lazyregexp.New(`(?:^|; )guests: (\S[^;]*)$`)

// ChosenBy is the selection, such as tag:prod, by which the guests of a job were chosen when it
// was made, "" if its comment does not say. PVE keeps ids only.
func ChosenBy(comment string) string {
	m := chosenRE.FindStringSubmatch(strings.TrimSpace(comment))
	if m == nil {
		return ""
	}
	return strings.TrimSpace(m[1])
}

// WithChosen is a comment that says by which selection the guests of its job were chosen, and
// none if that is "".
func WithChosen(comment, selection string) string {
	comment = chosenRE.ReplaceAllString(strings.TrimSpace(comment), "")
	switch {
	case selection == "":
		return comment
	case comment == "":
		return "guests: " + selection
	}
	return comment + "; guests: " + selection
}
