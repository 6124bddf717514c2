package proxmox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// A file for everybody is read without the token, from the next endpoint where one does not
// have it, and no further than the bound.
func TestPublic(t *testing.T) {
	answer := func(status int, body string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" || r.URL.Path != proxmox.ViewerPath {
				t.Errorf("%s with %q", r.URL, r.Header)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s
	}
	none, some := answer(http.StatusNotFound, "no"), answer(http.StatusOK, "12345")
	c, err := proxmox.New(proxmox.Options{
		Endpoints: []string{none.URL, some.URL}, Transport: http.DefaultTransport,
		Token: proxmox.Token{ID: "a@pve!b", Secret: proxmox.NewSecret("00000000-0000-4000-8000-000000000001")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := c.Public(t.Context(), proxmox.ViewerPath, 5); err != nil || string(data) != "12345" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := c.Public(t.Context(), proxmox.ViewerPath, 4); err == nil || !strings.Contains(err.Error(), "over 4 bytes") {
		t.Errorf("%v", err)
	}
}
