// Package exactjson reads and writes JSON so that every reader understands the same:
// numbers keep their digits, text keeps its characters, and an object that has a key
// twice is refused, because readers differ in which of the two they take.
package exactjson

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Encode writes a value without white space, and leaves <, > and & as they are, since the
// text is not put into HTML. It panics if the value cannot be written as JSON: that is a
// mistake in its type.
func Encode(v any) json.RawMessage {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("%T cannot be written as JSON: %v", v, err))
	}
	return bytes.TrimSpace(buf.Bytes())
}

// Digest identifies a value by the SHA-256 of its JSON.
func Digest(v any) string {
	sum := sha256.Sum256(Encode(v))
	return hex.EncodeToString(sum[:])
}

// RepeatedKeyError says that an object has a key twice.
type RepeatedKeyError struct{ Key string }

// Error implements [error].
func (e *RepeatedKeyError) Error() string { return fmt.Sprintf("it has the key %q twice", e.Key) }

// LimitError says that a text is more than a limit allows.
type LimitError struct{ problem string }

// Error implements [error]. It completes a sentence about the text.
func (e *LimitError) Error() string { return e.problem }

// Decode reads a value. Numbers are [json.Number], as they were written. The error is a
// [RepeatedKeyError] if an object has a key twice.
func Decode(data []byte) (value any, err error) {
	if !json.Valid(data) { // it bounds the depth, too
		return nil, errors.New("it is not JSON")
	}
	if err := Check(data, Limits{}); err != nil {
		return nil, err
	}
	err = Unmarshal(data, &value)
	return value, err
}

// Unmarshal reads the first value in data into v. What v does not have a type for gets its
// numbers as [json.Number], as they were written.
func Unmarshal(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}

// Limits are what [Check] holds a text to; 0 is for no limit.
type Limits struct {
	// Depth is of objects and lists in each other.
	Depth int
	// Tokens are objects, lists, their ends, keys and what they have.
	Tokens int
	// FoldCase takes keys for the same that differ only in the case of their letters, as some
	// readers do.
	FoldCase bool
}

// Check returns an error if an object in valid JSON has a key twice ([RepeatedKeyError]) or the
// text is beyond the limits ([LimitError]).
func Check(data []byte, l Limits) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	type level struct {
		keys  map[string]bool // nil of a list
		value bool            // whether a value is next, in an object
	}
	var open []level
	for n := 0; ; n++ {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if l.Tokens > 0 && n > l.Tokens {
			return &LimitError{fmt.Sprintf("has more than %d values", l.Tokens)}
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			if in := &open[len(open)-1]; in.keys != nil {
				if in.value = !in.value; in.value {
					key, _ := token.(string)
					same := key
					if l.FoldCase {
						same = foldCase(key)
					}
					if in.keys[same] {
						return &RepeatedKeyError{key}
					}
					in.keys[same] = true
					continue
				}
			}
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{keys: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		}
		if l.Depth > 0 && len(open) > l.Depth {
			return &LimitError{fmt.Sprintf("is nested more than %d deep", l.Depth)}
		}
	}
}

// foldCase is the same for texts that differ only in the case of their letters.
func foldCase(text string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, text)
}
