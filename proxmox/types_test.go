package proxmox

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

func TestTaskStatusMeaning(t *testing.T) {
	for exit, want := range map[string]bool{"OK": true, "WARNINGS: 1": true, "WARNINGS: 0": false, "ok": false, "": false, "job errors": false, "unexpected status": false} {
		s := TaskStatus{Status: "stopped", ExitStatus: lenient.Some(exit)}
		if s.Succeeded() != want {
			t.Errorf("%q: succeeded %v", exit, s.Succeeded())
		}
	}
	if (TaskStatus{Status: "running", ExitStatus: lenient.Some("OK")}).Succeeded() {
		t.Error("a running task has succeeded")
	}
}

// The reads with a short timeout are those that no other process of PVE answers.
func TestReadsAtOnce(t *testing.T) {
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range atOnce {
			if ep := api.Endpoint("GET", path); ep == nil || ep.Protected || ep.ProxyTo != "" {
				t.Errorf("PVE %d: GET %s is not answered by the proxy itself", major, path)
			}
		}
	}
}

// Each product has its own form of tokens.
func TestTokenHeader(t *testing.T) {
	for product, want := range map[Product]string{VE: "PVEAPIToken=a@pbs!b=c", BackupServer: "PBSAPIToken=a@pbs!b:c"} {
		got, err := Token{ID: "a@pbs!b", Secret: NewSecret("c"), Product: product}.header(t.Context())
		if err != nil || got != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
}
