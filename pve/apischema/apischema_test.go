package apischema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, major int) *API {
	t.Helper()
	api, err := Load(major)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestLoadUnknownMajor(t *testing.T) {
	if _, err := Load(6); err == nil || !strings.Contains(err.Error(), "PVE 6") {
		t.Errorf("Load(6): %v, want an error that names PVE 6", err)
	}
}

func TestFind(t *testing.T) {
	api := load(t, 9)
	for _, tt := range []struct {
		method, path, template string
		params                 Values
	}{
		{"GET", "/version", "/version", Values{}},
		{"GET", "//nodes/pve1/qemu/100/config/", "/nodes/{node}/qemu/{vmid}/config", Values{"node": "pve1", "vmid": "100"}},
		{"GET", "/nodes/a/storage/s/content/s:iso/x.iso", "/nodes/{node}/storage/{storage}/content/{volume}",
			Values{"node": "a", "storage": "s", "volume": "s:iso/x.iso"}},
		{"GET", "/nodes/a b/qemu", "", nil},
		{"GET", "/nope", "", nil},
		{"PATCH", "/version", "", nil},
		{"GET", "/nodes/a/qemu/100/config/more", "", nil},
	} {
		ep, params, ok := api.Find(tt.method, tt.path)
		if !ok {
			if tt.template != "" {
				t.Errorf("%s %s: not found", tt.method, tt.path)
			}
			continue
		}
		if ep.Path != tt.template {
			t.Errorf("%s %s: found %s, want %q", tt.method, tt.path, ep.Path, tt.template)
		}
		if diff := cmp.Diff(tt.params, params); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.path, diff)
		}
	}
}
