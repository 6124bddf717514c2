package lenient

import (
	"encoding/json"
	"math"
	"testing"
)

func TestOpt(t *testing.T) {
	type all struct {
		I Opt[int64]   `json:"i,omitzero"`
		F Opt[float64] `json:"f,omitzero"`
		S Opt[string]  `json:"s,omitzero"`
		B Opt[bool]    `json:"b,omitzero"`
	}
	for _, tt := range []struct{ give, want string }{
		{`{}`, `{}`},
		{`{"i":null,"f":null,"s":null,"b":null}`, `{}`},
		{`{"i":5,"f":0.5,"s":"x","b":1}`, `{"i":5,"f":0.5,"s":"x","b":true}`},
		{`{"i":"5","f":"0.5","s":7,"b":"1"}`, `{"i":5,"f":0.5,"s":"7","b":true}`},
		{`{"i":9223372036854775807,"f":1e9,"s":"","b":""}`, `{"i":9223372036854775807,"f":1000000000,"s":"","b":false}`},
		{`{"i":1.764e+09,"b":0}`, `{"i":1764000000,"b":false}`},
		{`{"i":0,"f":0,"b":false}`, `{"i":0,"f":0,"b":false}`},
	} {
		var v all
		if err := json.Unmarshal([]byte(tt.give), &v); err != nil {
			t.Errorf("%s: %v", tt.give, err)
			continue
		}
		got, err := json.Marshal(v)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s %v, want %s", tt.give, got, err, tt.want)
		}
	}
	for _, bad := range []string{`{"i":"x"}`, `{"i":1e30}`, `{"b":"yes"}`, `{"f":{}}`, `{"s":[1]}`} {
		if err := json.Unmarshal([]byte(bad), new(all)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if Some("x").Or("y") != "x" || (Opt[string]{}).Or("y") != "y" {
		t.Error("Or")
	}
}

// What was decoded encodes, and decodes as the same again.
func FuzzOpt(f *testing.F) {
	seed(f, `null`, `5`, `"5"`, `1.764e+09`, `"nan"`, `"inf"`, `"-Infinity"`, `true`, `""`, `"0x1p-2"`, `1e30`, `"9223372036854775808"`, `-9223372036854775808`,
		`{}`, `[1]`, `"\ud800"`, `-0`, `"1_000"`, `9007199254740993`)
	f.Fuzz(func(t *testing.T, s string) {
		checkOpt[string](t, s)
		checkOpt[int64](t, s)
		checkOpt[bool](t, s)
		if v := checkOpt[float64](t, s); math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%s is %v", s, v)
		}
	})
}

func checkOpt[T string | int64 | float64 | bool](t *testing.T, s string) T {
	t.Helper()
	var o, again Opt[T]
	if err := json.Unmarshal([]byte(s), &o); err != nil {
		return o.Value
	}
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatalf("%s: %T: %v", s, o, err)
	}
	if err := json.Unmarshal(data, &again); err != nil || again != o {
		t.Errorf("%s: %+v encodes as %s and is %+v then (%v)", s, o, data, again, err)
	}
	return o.Value
}

func seed(f *testing.F, inputs ...string) {
	f.Helper()
	for _, s := range inputs {
		f.Add(s)
	}
}
