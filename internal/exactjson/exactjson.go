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

// Decode reads a value. Numbers are [json.Number], as they were written. The error is a
// [RepeatedKeyError] if an object has a key twice.
func Decode(data []byte) (value any, err error) {
	if !json.Valid(data) { // it bounds the depth, too
		return nil, errors.New("it is not JSON")
	}
	if key, ok := repeatedKey(data); ok {
		return nil, &RepeatedKeyError{key}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err = dec.Decode(&value)
	return value, err
}

// repeatedKey returns a key that an object in valid JSON has twice.
func repeatedKey(data []byte) (key string, ok bool) {
	type level struct {
		keys  map[string]bool // nil for a list
		value bool            // the next text is a value, and no key
	}
	var open []level
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := dec.Token()
		if err != nil {
			return "", false
		}
		switch delim, _ := token.(json.Delim); delim {
		case '{':
			open = append(open, level{keys: map[string]bool{}})
			continue
		case '[':
			open = append(open, level{})
			continue
		case '}', ']':
			open = open[:len(open)-1]
		}
		if len(open) == 0 || open[len(open)-1].keys == nil {
			continue
		}
		at := &open[len(open)-1]
		if text, isText := token.(string); isText && !at.value {
			if at.keys[text] {
				return text, true
			}
			at.keys[text], at.value = true, true
			continue
		}
		at.value = false // a value has ended
	}
}
