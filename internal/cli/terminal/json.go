package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// object is an object of JSON with its fields in order. Any other value is a []any, a
// string, a json.Number, a bool or nil.
type object []field

type field struct {
	name  string
	value any
}

func (o object) get(name string) any {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

func decode(data json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return next(dec)
}

func next(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := next(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	case json.Delim('{'):
		var o object
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := next(dec)
			if err != nil {
				return nil, err
			}
			o = append(o, field{name.(string), v})
		}
		_, err = dec.Token()
		return o.humane(), err
	}
	if _, isDelim := token.(json.Delim); isDelim {
		return nil, errors.New("JSON that ends too early")
	}
	return token, nil
}

// humane leaves out the numbers that stand there for people, too: mem if there is
// mem_human, and uptime_seconds if there is uptime.
func (o object) humane() object {
	var out object
	for _, f := range o {
		base, isHuman := strings.CutSuffix(f.name, "_human")
		seconds, isSeconds := strings.CutSuffix(f.name, "_seconds")
		switch {
		case o.get(f.name+"_human") != nil, isSeconds && o.get(seconds) != nil:
		case isHuman:
			out = append(out, field{base, f.value})
		default:
			out = append(out, f)
		}
	}
	return out
}
