package jsonscan

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is JSON is what encoding/json says is, and what is cut out of it is what encoding/json finds there.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ` { } `, ` [ ] `, `{"a":1}`, "{ \"a\" :\t1.5e3 ,\n\"b\" : \"x\\\"}\" }", `{"":null,"\u0061\"":{"b":[{},[]]}}`,
		`[1,-2.0,true,null,"]",{"a":"[{"}]`, "[ 1 , [ 2 ] , \"\\\\\" ]", `{"a":"\\","b":2,"a":3}`,
		"{\"a\":\"\n\"}", `{"a":01}`, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a" 1}`, `"\u12g4"`, `"\x"`, `"\`, `"`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `nul`, `truex`, `{}x`, "",
		"\"\xff\"", `"\ud800"`, "\x00", "\ufeff{}", `NaN`, `[`, `{"a"`, `{1:2}`, `"é"`, "\"\x7f\"", "\v1", "\f1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		is := json.Valid(data)
		if Parse(data, new(json.RawMessage)) != is {
			t.Fatalf("%q is valid: %v", data, is)
		}
		if !is {
			return
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) == nil && object != nil {
			got := map[string]json.RawMessage{}
			for name, value := range Members(data) {
				got[string(name)] = value
			}
			if diff := cmp.Diff(object, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", data, diff)
			}
		}
		var list []json.RawMessage
		if json.Unmarshal(data, &list) == nil && list != nil {
			got := []json.RawMessage{}
			for value := range Elements(data) {
				got = append(got, value)
			}
			if diff := cmp.Diff(list, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", data, diff)
			}
		}
	})
}
