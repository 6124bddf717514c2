package pve

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Privileges that are read when they are asked for are those that a map of them has.
func FuzzPermissions(f *testing.F) {
	seed(f, `{"/":{"Sys.Audit":0},"/vms":{"VM.Audit":1,"VM.Console":"0"},"/vms/100":{"VM.PowerMgmt":true}}`,
		`{}`, `null`, `[]`, `5`, ` { "/" : { "a" : 1 , "b":"" } } `, `{"/":null}`, `{"/":{}}`, `{"/":5}`, `{"/":[]}`, `{"/":"{}"}`,
		`{"/":{"a":2}}`, `{"/":{"a":{}}}`, `{"/":{"a":[1]}}`, `{"/":{"a":"x"}}`, `{"/":{"a":null}}`, `{"/":{"a":1,"a":null}}`, `{"/":{"a":0,"a":1}}`,
		`{"/":{"a":1},"/":{"b":1}}`, `{"/":{"a":1},"\u002f":null}`, `{"/":{"\u0061":1,"é":0,"\ud800":1}}`, "{\"/\xff\":{\"a\xff\":1}}")
	f.Fuzz(func(t *testing.T, s string) {
		var want map[string]map[string]lenient.Opt[bool]
		var got Permissions
		wantErr, err := json.Unmarshal([]byte(s), &want), json.Unmarshal([]byte(s), &got)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%s: %v, want %v", s, err, wantErr)
		}
		if err != nil {
			return
		}
		if paths := slices.Sorted(maps.Keys(got)); !slices.Equal(paths, slices.Sorted(maps.Keys(want))) || (got == nil) != (want == nil) {
			t.Errorf("%s: paths %q", s, paths)
		}
		for path, privs := range want {
			if names := got[path].Names(); !slices.Equal(names, slices.Sorted(maps.Keys(privs))) {
				t.Errorf("%s: %s has %q", s, path, names)
			}
			for name, value := range privs {
				if propagates, held := got[path].Get(name); !held || propagates != value.Value {
					t.Errorf("%s: %s on %s: held %v, propagates %v", s, name, path, held, propagates)
				}
			}
		}
		var again Permissions
		data, err := json.Marshal(got)
		if err == nil {
			err = json.Unmarshal(data, &again)
		}
		if diff := cmp.Diff(names(got), names(again)); err != nil || diff != "" {
			t.Errorf("%s became %s (%v):\n%s", s, data, err, diff)
		}
	})
}

func names(p Permissions) map[string][]string {
	out := map[string][]string{}
	for path, held := range p {
		out[path] = held.Names()
	}
	return out
}
