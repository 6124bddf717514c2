package apischema

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Every pattern of both versions compiles and every check evaluates.
func TestFactsAreUnderstood(t *testing.T) {
	for _, major := range []int{8, 9} {
		api := load(t, major)
		var visit func(*Schema)
		visit = func(s *Schema) {
			if s.Pattern != "" {
				api.facts.matchPerl(s.Pattern, "")
			}
			if s.Items != nil {
				visit(s.Items)
			}
			for _, sub := range s.Properties {
				visit(sub)
			}
			if s.Format != nil {
				for _, sub := range s.Format.Keys {
					visit(sub)
				}
			}
		}
		for _, f := range api.facts.Formats {
			if f != nil {
				visit(&Schema{Format: f})
			}
		}
		caller := Caller{User: "a@pve", Privs: func(string) map[string]bool { return nil },
			Groups: func(string) ([]string, bool) { return nil, false }}
		for _, ep := range api.Endpoints() {
			for _, s := range ep.Params {
				visit(s)
			}
			err := ep.Permissions.Allow(caller, Values{})
			if err != nil && strings.Contains(err.Error(), "unknown") {
				t.Errorf("%s %s: %v", ep.Method, ep.Path, err)
			}
		}
	}
}

func TestFactsRoundTrip(t *testing.T) {
	for major, data := range map[int][]byte{8: embedded8, 9: embedded9} {
		facts, err := ReadFacts(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if err := facts.Write(&buf); err != nil {
			t.Fatal(err)
		}
		again, err := ReadFacts(&buf)
		if err != nil {
			t.Fatal(err)
		}
		first, err := json.Marshal(facts)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) || facts.Major != major {
			t.Errorf("PVE %d: writing and reading changes the facts (%v)", major, err)
		}
		if !slices.IsSortedFunc(facts.Endpoints, func(a, b *Endpoint) int {
			return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
		}) {
			t.Errorf("PVE %d: endpoints are not sorted", major)
		}
	}
}
