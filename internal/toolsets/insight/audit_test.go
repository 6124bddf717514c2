package insight_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

func TestAudit(t *testing.T) {
	sim.Tell(t, "pve_audit", []sim.Story{
		{
			Name: "the worst first, with a fix for each", Args: `{}`, Outcome: tool.OK,
			Says: []string{`"id":"ha.local-storage","severity":"high"`, `"on":["107 erp-old"],"count":1`, `"command":"qm unlock 107","where":"root on pve3"`,
				`"tool":"pve_guest_power","arguments":{"action":"resume","vmid":108}`, `{"check":"updates","on":["pve1","pve2","pve3"],"missing":"Sys.Modify on /nodes"}`},
			Lacks: []string{"109 desktop", `"well":["updates`},
		},
		{
			Name: "only an area", Args: `{"focus":["ha"]}`, Outcome: tool.OK,
			Says: []string{`"ha.local-storage"`}, Lacks: []string{"guest.stale-lock", "Sys.Modify"},
		},
		{
			Name: "only some guests", Args: `{"guests":"108"}`, Outcome: tool.OK,
			Says: []string{`"on":["108 forensics"]`}, Lacks: []string{"107 erp-old", "certificates"},
		},
		{
			Name: "all that a finding concerns", Args: `{"detail":"ha.local-storage"}`, Outcome: tool.OK,
			Says: []string{`"concerns":[{"on":"103 db-2","evidence":"scsi0 on local-zfs"`, `{"on":"201 dns"`},
		},
		{
			Name: "a backup names its storage, and waits for a lock to be freed", Args: `{"focus":["backups"]}`, Outcome: tool.OK,
			Says: []string{`"tool":"pve_create_backup","arguments":{"storage":"nfs","vmid":106}`, `"tool":"pve_diagnose","arguments":{"symptom":"locked","vmid":107}`},
		},
		{Name: "no such finding", Args: `{"detail":"guest.odd"}`, Outcome: tool.Failed, Says: []string{`no kind of finding "guest.odd"`}},
		{Name: "no period", Args: `{"period":"soon"}`, Outcome: tool.Failed, Says: []string{`is "soon", which is no age such as 30d, 24h or 2w`}},
		{
			Name: "a token that may do nothing", Options: sim.Options{Token: "none@pve!mcp"}, Args: `{}`, Outcome: tool.OK,
			Says:  []string{"Nothing was found in what could be checked", "VM.Audit on /vms", "Sys.Audit on /nodes"},
			Lacks: []string{`"id":`, `"well":["nodes"`},
		},
	})
}
