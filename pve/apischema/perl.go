package apischema

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var (
	integerRE = lazyregexp.New(`^[+-]?\d+\n?$`)
	numberRE  = lazyregexp.New(`^[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?\n?$`)
)

func isInteger(s string) bool { return integerRE.MatchString(s) }
func isNumber(s string) bool  { return numberRE.MatchString(s) }

// matchPerl reports whether Perl's m/^PATTERN$/ matches. As in PVE nothing
// groups the pattern: an alternative binds looser than the anchors.
func (f *Facts) matchPerl(pattern, s string) bool {
	re, ok := f.compiled.Load(pattern)
	if !ok {
		re, _ = f.compiled.LoadOrStore(pattern, regexp.MustCompile(perlPattern(pattern)))
	}
	return re.(*regexp.Regexp).MatchString(s)
}

// perlPattern writes a Perl pattern of the API description for Go: the printed
// form (?^i:...) of a compiled one, {,n}, \0, and $, which in Perl also stands
// before a final line break. The one bound that Go cannot express, 4,096 of a
// recovery key, is dropped.
func perlPattern(pattern string) string {
	var b strings.Builder
	b.WriteByte('^')
	inClass := false
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, `\0`) && !strings.HasPrefix(rest, `\00`):
			b.WriteString(`\x00`)
			i++
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(rest[:2])
			i++
		case inClass:
			inClass = rest[0] != ']'
			b.WriteByte(rest[0])
		case rest[0] == '[':
			inClass = true
			b.WriteByte('[')
		case strings.HasPrefix(rest, "(?^i:"):
			b.WriteString("(?i:")
			i += len("(?^i:") - 1
		case strings.HasPrefix(rest, "(?^u:"):
			b.WriteString("(?-i:")
			i += len("(?^u:") - 1
		case strings.HasPrefix(rest, "(?^:"):
			b.WriteString("(?-i:")
			i += len("(?^:") - 1
		case strings.HasPrefix(rest, "{,"):
			b.WriteString("{0,")
			i++
		case strings.HasPrefix(rest, "{0,4096}"): // Go repeats at most 1,000 times
			b.WriteByte('*')
			i += len("{0,4096}") - 1
		case rest[0] == '$':
			b.WriteString(`\n?$`)
		default:
			b.WriteByte(rest[0])
		}
	}
	b.WriteString(`\n?$`)
	return b.String()
}

// SplitList splits a list as PVE::Tools::split_list does: at every NUL if it has one,
// else at commas, semicolons and white space of any kind.
func SplitList(s string) []string {
	if strings.Contains(s, "\x00") {
		return strings.Split(strings.TrimRight(s, "\x00"), "\x00") // Perl drops what is empty at the end
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) })
}
