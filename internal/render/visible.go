package render

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// VisibleJSON writes JSON so that a reader sees every character of it: one that does not
// show, or that changes how others are shown, is escaped as \u202e. It stays the same JSON.
func VisibleJSON(data []byte) string {
	var b strings.Builder
	for _, r := range string(data) {
		if isSeen(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// braillePatternBlank is a symbol that looks like a space.
const braillePatternBlank = '\u2800'

// isSeen reports whether a character shows as itself.
func isSeen(r rune) bool {
	return strconv.IsPrint(r) && r != braillePatternBlank &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
