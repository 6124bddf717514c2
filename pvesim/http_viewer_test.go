package pvesim

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pve/apischema/viewer"
)

// A node shows its API to everybody: every endpoint of its version, with words of pvesim's own.
func TestViewer(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.5"} {
		m := Lab()
		m.PVE = version
		s, err := NewSim(m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Do(t.Context(), Request{Method: http.MethodGet, Path: viewerPath})
		if err != nil || resp.Status != http.StatusOK {
			t.Fatalf("%v, %d", err, resp.Status)
		}
		shown, err := viewer.Read(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.apis[s.nodes[0].version.schema()].Endpoints(), shown.Endpoints); diff != "" {
			t.Errorf("%s (-known +shown):\n%s", version, diff)
		}
		for key, text := range viewerTexts {
			if ep := shown.Texts[key]; ep.Endpoint != text {
				t.Errorf("%s: %q, want %q", key, ep.Endpoint, text)
			}
		}
	}
	m := Lab()
	m.NoViewer = true
	s, err := NewSim(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.Do(t.Context(), Request{Method: http.MethodGet, Path: viewerPath}); err != nil || resp.Status == http.StatusOK {
		t.Errorf("%v, %d without a viewer", err, resp.Status)
	}
}
