// Package render writes values the way a person would: sizes, durations, times,
// and text that came from a guest.
package render

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bytes writes a size in binary units with up to two decimals: 31.25 GiB.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	size, unit := float64(n), 0
	for math.Abs(size) >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	return decimals(size, 2) + " " + units[unit]
}

// Percent writes a share of 1 as a number of percent with one decimal.
func Percent(share float64) float64 { return math.Round(share*1000) / 10 }

// Duration writes the two largest units: 3d 4h, 12m 5s, 0.8s.
func Duration(d time.Duration) string {
	if d < time.Minute {
		return decimals(d.Seconds(), 1) + "s"
	}
	units := []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	var parts []string
	for _, u := range units {
		if n := d / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, strconv.FormatInt(int64(n), 10)+u.name)
		} else if len(parts) > 0 {
			break
		}
		d %= u.size
	}
	return strings.Join(parts, " ")
}

// Time writes ISO 8601 with the zone, to the second.
func Time(t time.Time) string { return t.Format(time.RFC3339) }

func decimals(f float64, n int) string {
	s := strconv.FormatFloat(f, 'f', n, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Text makes text from a guest or a log safe to show, on one line: without what is not
// seen, such as control, escape and bidirectional characters, and with at most limit
// characters, of which the last then say how many were cut.
func Text(s string, limit int) string {
	if len(s) <= limit && isPlain(s) { // as most is
		return strings.TrimSpace(s)
	}
	return cut(line(s), limit)
}

// Lines is Text for what may have several lines.
func Lines(s string, limit int) string { return cut(clean(s), limit) }

// isPlain reports whether a text has only printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// line is a text on one line, without what is not seen.
func line(s string) string {
	return strings.TrimSpace(strings.NewReplacer("\n", " ", "\t", " ").Replace(clean(s)))
}

// clean is a text without what is not seen. What ends a line in Unicode ends one, and
// any space is one.
func clean(s string) string {
	const drop = -1
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\u0085', unicode.In(r, unicode.Zl, unicode.Zp):
			return '\n'
		case unicode.Is(unicode.Zs, r):
			return ' '
		case !unicode.IsPrint(r), r == unicode.ReplacementChar, isBlank(r):
			return drop
		}
		return r
	}, stripEscapes(s))
}

// isBlank reports whether a printable character shows nothing: a filler, a selector of a
// variant, a joiner, or the empty pattern of Braille.
func isBlank(r rune) bool {
	return r > unicode.MaxASCII && (r == '\u2800' || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// cut is a text with at most limit characters, and how many more there were.
func cut(s string, limit int) string {
	over := utf8.RuneCountInString(s) - limit
	if over <= 0 {
		return s
	}
	return string([]rune(s)[:limit]) + "…(+" + strconv.Itoa(over) + ")"
}

// stripEscapes removes ANSI escape sequences, which are more than the control
// character that they begin with.
func stripEscapes(s string) string {
	if !strings.Contains(s, "\x1b") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = rest
		if !strings.HasPrefix(rest, "[") {
			continue
		}
		end := strings.IndexFunc(rest[1:], func(r rune) bool { return r >= '@' && r <= '~' })
		s = ""
		if end >= 0 {
			s = rest[end+2:]
		}
	}
}

// mostListed is how many words a sentence has of a list.
const mostListed = 40

// List joins words as a sentence does: a, b and c. An empty list is "", and of a long one
// the last words are a number: a, b and 12 more.
func List(words []string) string {
	if over := len(words) - mostListed; over > 0 {
		words = append(slices.Clone(words[:mostListed]), strconv.Itoa(over)+" more")
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// Few returns the first lines of a list. If there are more than most, the last line says
// how many are left out.
func Few(lines []string, most int) []string {
	over := len(lines) - most
	if over <= 0 {
		return lines
	}
	return append(slices.Clone(lines[:most]), fmt.Sprintf("and %d more like these", over))
}
