package exactjson_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
)

// Numbers and text come out as they went in, and what readers take in two ways is refused.
func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":[{"b":9007199254740993,"c":1.10}],"d":"<&>"}`: ``,
		`{"a":{"b":"a"},"b":"a"}`:                           ``, // a value is no key
		`["a","a",{"a":1},{"a":2}]`:                         ``,
		`{"A":2,"a":1}`:                                     ``,
		`null`:                                              ``,
		`{"a":1,"a":1}`:                                     `it has the key "a" twice`,
		`{"a":1,"\u0061":1}`:                                `it has the key "a" twice`,
		`[{"x":{"a":[1,{}],"b":[],"a":2}}]`:                 `it has the key "a" twice`,
		`{"a":1}{"a":1}`:                                    `it is not JSON`,
		``:                                                  `it is not JSON`,
	} {
		value, err := exactjson.Decode([]byte(text))
		if got := fmt.Sprint(err); err != nil && got != want || err == nil && want != "" {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(text, string(exactjson.Encode(value))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		limits     exactjson.Limits
	}{
		{`{"a":1,"A":2}`, `it has the key "A" twice`, exactjson.Limits{FoldCase: true}},
		{"{\"k\":1,\"\u212a\":2}", "it has the key \"\u212a\" twice", exactjson.Limits{FoldCase: true}}, // the sign for kelvin
		{`[[[]]]`, `<nil>`, exactjson.Limits{Depth: 3}},
		{`[[[]]]`, `is nested more than 2 deep`, exactjson.Limits{Depth: 2}},
		{`[1,2]`, `<nil>`, exactjson.Limits{Tokens: 4}},
		{`[` + strings.Repeat(`1,`, 5) + `1]`, `has more than 4 values`, exactjson.Limits{Tokens: 4}},
	} {
		if got := fmt.Sprint(exactjson.Check([]byte(tt.text), tt.limits)); got != tt.want {
			t.Errorf("%s, %+v: %s, want %s", tt.text, tt.limits, got, tt.want)
		}
	}
}
