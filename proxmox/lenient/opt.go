package lenient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Opt is a value that PVE may leave out of an answer. The zero Opt is absent.
//
// It decodes what PVE writes for the same value in one version or another: a
// number or a string with a number, true, 1, "1" or "". It encodes as the plain
// value; give its field the option omitzero, so that an absent one stays so.
type Opt[T string | int64 | float64 | bool] struct {
	Value T
	Set   bool
}

// Some returns a value that is there.
func Some[T string | int64 | float64 | bool](v T) Opt[T] { return Opt[T]{v, true} }

// Or returns the value, or other if it is absent.
func (o Opt[T]) Or(other T) T {
	if !o.Set {
		return other
	}
	return o.Value
}

// IsZero reports whether the value is absent.
func (o Opt[T]) IsZero() bool { return !o.Set }

// MarshalJSON writes the value, null if it is absent.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.Set {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// UnmarshalJSON reads a number, a string or a boolean as T.
func (o *Opt[T]) UnmarshalJSON(data []byte) error {
	*o = Opt[T]{}
	switch {
	case string(data) == "null":
		return nil
	case data[0] == '{', data[0] == '[':
		return fmt.Errorf("a list or object where one value was expected")
	}
	text, err := textOf(data)
	if err != nil {
		return err
	}
	switch v := any(&o.Value).(type) {
	case *string:
		*v = string(text)
	case *int64:
		*v, err = parseInt(text)
	case *float64:
		*v, err = ParseFloat(text)
	case *bool:
		*v, err = parseBool(text)
	}
	o.Set = err == nil
	return err
}

// textOf is the text of a string, and anything else as it is written: a part of data
// if possible.
func textOf(data []byte) ([]byte, error) {
	if data[0] != '"' {
		return data, nil
	}
	if inner := data[1 : len(data)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner, nil
	}
	var text string
	err := json.Unmarshal(data, &text)
	return []byte(text), err
}

// parseInt also takes 1e3 and 5.0, which Perl writes for large or computed
// numbers, and rounds.
func parseInt(s []byte) (int64, error) {
	if n, err := strconv.ParseInt(string(s), 10, 64); err == nil {
		return n, nil
	}
	f, err := ParseFloat(s)
	if err != nil || math.Abs(f) >= 1<<63 {
		return 0, fmt.Errorf("%q is not a whole number of 64 bits", s)
	}
	return int64(math.Round(f)), nil
}

// ParseFloat refuses what Perl writes for a number that is none, and JSON cannot.
func ParseFloat(s []byte) (float64, error) {
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return f, nil
}

func parseBool(s []byte) (bool, error) {
	switch string(s) {
	case "1", "true":
		return true, nil
	case "0", "", "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither 1 nor 0", s)
}
