// Package jsonscan cuts JSON into its parts where they stand, without copies of them.
//
// An answer is read once for whether it is JSON, by a library ([Parse]). The other functions
// rely on that, so that the parts of parts are not read again and again: a cluster's resources
// may be ten thousand objects of thirty fields.
package jsonscan

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"

	segmentio "github.com/segmentio/encoding/json"
)

// Parse reads data into v, whose raw parts are parts of data then, and reports whether it
// is JSON and of the shape of v. It takes a third of encoding/json's time. That refuses more
// than 10,000 levels, however; the library has no bound, and is not given what may need a
// deep stack.
func Parse(data []byte, v any) bool {
	const shallow = 100_000 // brackets
	if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > shallow && !json.Valid(data) {
		return false
	}
	rest, err := segmentio.Parse(data, v, segmentio.DontCopyRawMessage|segmentio.DontMatchCaseInsensitiveStructFields)
	return err == nil && len(rest) == 0
}

// Members goes over the members of an object that is known to be valid JSON: their names,
// and their values as they stand there.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := Inside(object, 0); object[i] != '}'; {
			m := MemberAt(object, i)
			if !yield(m.Name(object), object[m.From:m.To]) {
				return
			}
			i = Following(object, m.To)
		}
	}
}

// Elements goes over the elements of a list that is known to be valid JSON.
func Elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := Inside(list, 0); list[i] != ']'; {
			end := ValueEnd(list, i)
			if !yield(list[i:end]) {
				return
			}
			i = Following(list, end)
		}
	}
}

// Member says where a member of an object stands: the quotes around its name, and its value.
type Member struct{ open, closed, From, To int }

// MemberAt is the member that begins at i.
func MemberAt(b []byte, i int) Member {
	closed := stringEnd(b, i)
	from := unspaced(b, unspaced(b, closed+1)+1) // after the colon
	return Member{i, closed, from, ValueEnd(b, from)}
}

// Key is the name of a member of b, good for comparing it with names that are ASCII.
func (m Member) Key(b []byte) []byte {
	name := b[m.open+1 : m.closed]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = unescaped(b[m.open : m.closed+1])
	}
	return name
}

// Name is the name of a member of b.
func (m Member) Name(b []byte) []byte {
	if name := m.Key(b); utf8.Valid(name) {
		return name
	}
	return unescaped(b[m.open : m.closed+1])
}

// Inside is where the first thing is in the object or the list that begins at or after i: a
// member or an element, or the bracket at its end.
func Inside(b []byte, i int) int { return unspaced(b, unspaced(b, i)+1) }

// Following is where the next thing stands after one that ends at i.
func Following(b []byte, i int) int {
	if i = unspaced(b, i); b[i] == ',' {
		i = unspaced(b, i+1)
	}
	return i
}

// unspaced is the first place from i on that has no space.
func unspaced(b []byte, i int) int {
	for b[i] <= ' ' {
		i++
	}
	return i
}

// Trim is b without the white space of JSON around it.
func Trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// ValueEnd is where the value ends that begins at i.
func ValueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i) + 1
	case '{', '[':
		return nestedEnd(b, i)
	}
	for i < len(b) && b[i] > ' ' && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++ // a number, true, false or null
	}
	return i
}

// nestedEnd is where the object or the list ends that begins at i.
func nestedEnd(b []byte, i int) int {
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// stringEnd is where the closing quote is of the string that begins at start.
func stringEnd(b []byte, start int) int {
	for i := start + 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
}

// unescaped is the text of a string that is known to be valid JSON.
func unescaped(quoted []byte) []byte {
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return []byte(text)
}
