package pvesim

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// A route of an endpoint that PVE does not have is a mistake.
func TestRoutesExist(t *testing.T) {
	known := map[string]bool{}
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range api.Endpoints() {
			known[ep.Method+" "+ep.Path] = true
		}
	}
	for key := range simulated() {
		if !known[key] {
			t.Errorf("%s: PVE has no such endpoint", key)
		}
	}
}

// Where PVE's description lets every user write, PVE checks in code; so must a route.
func TestOpenWritesAreChecked(t *testing.T) {
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range api.Endpoints() {
			key := ep.Method + " " + ep.Path
			open := ep.Method != "GET" && ep.Permissions != nil && ep.Permissions.User == "all"
			if open && simulated()[key].serve != nil && simulated()[key].check == nil {
				t.Errorf("PVE %d: %s is served without a check", major, key)
			}
		}
	}
}

// Every format of a parameter of a served endpoint is known, so that no value is
// accepted unchecked.
func TestServedFormatsAreKnown(t *testing.T) {
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for key := range simulated() {
			method, path, _ := strings.Cut(key, " ")
			ep := api.Endpoint(method, path)
			if ep == nil {
				continue // of the other version
			}
			for name, s := range ep.Params {
				if s.Format != nil && s.Format.Name != "" {
					_, _ = api.Validate(ep, apischema.Values{name: "1"})
				}
			}
		}
		if unknown := api.Unchecked(); len(unknown) > 0 {
			t.Errorf("PVE %d: formats without a check: %v", major, unknown)
		}
	}
}
