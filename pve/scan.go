package pve

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"

	segmentio "github.com/segmentio/encoding/json"
)

// An answer is read once for whether it is JSON, by a library. What follows cuts it
// into parts and relies on that, so that the parts of parts are not read again and again:
// a cluster's resources may be ten thousand objects of thirty fields.

// valid reports whether data is JSON, as json.Valid does in three times the time. That
// refuses more than 10,000 levels, however; the other one has no bound, and is not given
// what may need a deep stack.
func valid(data []byte) bool {
	const shallow = 100_000 // brackets
	if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > shallow {
		return json.Valid(data)
	}
	return segmentio.Valid(data)
}

// members goes over the members of an object that is known to be valid JSON: their names,
// and their values as they stand there.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := inside(object); len(rest) > 0; {
			end := valueEnd(rest)
			name := rest[1 : end-1]
			if bytes.IndexByte(name, '\\') >= 0 || !utf8.Valid(name) {
				name = unescaped(rest[:end])
			}
			rest = trimmed(rest[end:])[1:] // the colon
			rest = trimmed(rest)
			end = valueEnd(rest)
			if !yield(name, rest[:end]) {
				return
			}
			rest = afterComma(rest[end:])
		}
	}
}

// elements goes over the elements of a list that is known to be valid JSON.
func elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := inside(list); len(rest) > 0; {
			end := valueEnd(rest)
			if !yield(rest[:end]) {
				return
			}
			rest = afterComma(rest[end:])
		}
	}
}

// inside is what stands between the first and the last bracket of an object or a list.
func inside(value []byte) []byte {
	value = trimmed(value)
	end := bytes.LastIndexAny(value, "]}")
	return bytes.TrimRight(trimmed(value[1:end]), space)
}

// afterComma is what follows the comma that rest begins with, if any.
func afterComma(rest []byte) []byte {
	if rest = trimmed(rest); len(rest) > 0 {
		rest = trimmed(rest[1:])
	}
	return rest
}

const space = " \t\r\n"

func trimmed(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// valueEnd is where the value ends that b begins with.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			return i + wordEnd(b[i:])
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(b)
}

// wordEnd is where a number, true, false or null ends.
func wordEnd(b []byte) int {
	for i, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n', ',', ']', '}':
			return i
		}
	}
	return len(b)
}

// stringEnd is where the closing quote is of the string that begins at start.
func stringEnd(b []byte, start int) int {
	for i := start + 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(b) - 1
}

// unescaped is the text of a string that is known to be valid JSON.
func unescaped(quoted []byte) []byte {
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return []byte(text)
}
