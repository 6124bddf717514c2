package cluster_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// refusal sends a request through the guard of a world, as its token, and returns why it was
// not sent, "" if it was.
func refusal(w *sim.World, token, method, target string) string {
	w.Helper()
	path, query, _ := strings.Cut(target, "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		w.Fatal(err)
	}
	address := w.Sim.URL() + "/api2/json" + path
	var body *strings.Reader
	if method == http.MethodDelete {
		body = strings.NewReader("")
		address += "?" + form.Encode()
	} else {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(w.Context(), method, address, body)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken="+token+"="+w.Model.Token(token).Secret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := w.Host.Guard.Transport(w.Sim.Transport()).RoundTrip(req)
	var refused *policy.RefusedError
	switch {
	case errors.As(err, &refused):
		return refused.Reason
	case err != nil:
		w.Fatal(err)
	}
	resp.Body.Close()
	return ""
}

// What a change of something else means for protected guests is read from the cluster.
func TestDependentsOnACluster(t *testing.T) {
	t.Parallel()
	const full, cannotTell = "root@pam!full", "which guests depend on "
	jobs := func(m *pvesim.Model) {
		m.Jobs = []pvesim.BackupJob{
			{ID: "listed", Options: map[string]string{"vmid": "100,103", "storage": "nfs"}},
			{ID: "pooled", Options: map[string]string{"pool": "db", "storage": "nfs"}},
			{ID: "excludes", Options: map[string]string{"all": "1", "exclude": "103,105", "storage": "nfs"}},
			{ID: "on-pve3", Options: map[string]string{"all": "1", "node": "pve3", "storage": "nfs"}},
		}
	}
	cd := sim.Set(103, "ide2=local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom")
	const consent = "it would lose data, and nobody has consented"
	for _, tt := range []struct {
		protect, token, request, want string
		change                        func(*pvesim.Model)
	}{
		{"103", full, "PUT /storage/local-zfs?disable=1", "guest 103 has local-zfs:vm-103-disk-0 as scsi0: guest 103 is protected", nil},
		{"tag:db", full, "DELETE /storage/local-zfs", "guest 102 has local-zfs:vm-102-disk-0 as scsi0: guest 102 is protected (PVE_MCP_PROTECT: tag:db); guest 103", nil},
		{"103", full, "DELETE /storage/pbs", "pbs:backup/vm/103/", nil},
		{"105", full, "DELETE /storage/pbs", consent, nil},
		{"105", full, "DELETE /storage/old-nas", cannotTell + "storage old-nas is unknown: no node has it at present", nil},
		{"105", full, "DELETE /storage/local", cannotTell + "storage local is unknown: ", sim.Offline("pve2")},
		{"105", "ops@pve!mcp", "DELETE /storage/pbs", cannotTell + "storage pbs is unknown: ", nil},
		{"103", full, "DELETE /nodes/pve1/storage/local/content/local:iso%2Fdebian-12.11.0-amd64-netinst.iso", "guest 103 has local:iso/debian-12.11.0-amd64-netinst.iso as ide2", cd},
		{"103", full, "DELETE /nodes/pve1/storage/local/content/local:iso%2Fdebian-12.11.0-amd64-netinst.iso", consent, nil},

		{"103", full, "POST /nodes/pve3/status?command=reboot", "guest 103 is on node pve3: guest 103 is protected", nil},
		{"103", full, "POST /nodes/pve1/status?command=reboot", consent, nil},
		{"103", full, "POST /nodes/pve9/status?command=reboot", cannotTell + "node pve9 is unknown: there is no node pve9", nil},
		{"pool:db", full, "POST /nodes/pve2/status?command=shutdown", "guest 102 is on node pve2: guest 102 is protected (PVE_MCP_PROTECT: pool:db)", nil},
		{"103", full, "POST /nodes/pve3/stopall", "guest 103 is protected", nil},
		{"103", full, "POST /nodes/pve3/stopall?vms=202", "", nil},
		{"103", full, "POST /nodes/pve3/migrateall?target=pve2&vms=202", "", nil},
		{"103", full, "POST /cluster/bulk-action/guest/shutdown", "guest 103 is protected", nil},
		{"103", "none@pve!mcp", "POST /nodes/pve3/stopall", "which guests it changes is unknown: the token may not see every guest (VM.Audit on /vms)", nil},
		{"103", "none@pve!mcp", "POST /nodes/pve1/status?command=reboot", cannotTell + "node pve1 is unknown: the token may not see every guest", nil},

		{"103", full, "PUT /cluster/backup/listed?enabled=0", "guest 103 is backed up by job listed", jobs},
		{"104", full, "PUT /cluster/backup/listed?enabled=0", "", jobs},
		{"103", full, "DELETE /cluster/backup/pooled", "guest 103 is backed up by job pooled", jobs},
		{"103", full, "DELETE /cluster/backup/excludes", consent, jobs},
		{"104", full, "DELETE /cluster/backup/excludes", "guest 104 is backed up by job excludes", jobs},
		{"104", full, "DELETE /cluster/backup/on-pve3", consent, jobs},
		{"103", full, "DELETE /cluster/backup/on-pve3", "guest 103 is backed up by job on-pve3", jobs},
		{"103", full, "DELETE /cluster/backup/nosuch", cannotTell + "job nosuch is unknown: ", jobs},

		{"103", full, "PUT /pools/db?comment=x", "guest 103 is in pool db", nil},
		{"103", full, "PUT /pools/web?comment=x", "", nil},
		{"103", full, "PUT /pools/web?vms=103&allow-move=1", "guest 103 is protected", nil},

		{"103", full, "DELETE /cluster/ha/rules/db-2-home", "guest 103 is in ha-rule db-2-home", nil},
		{"104", full, "DELETE /cluster/ha/rules/db-2-home", consent, nil},
		{"201", full, "POST /cluster/ha/status/disarm-ha?resource-mode=freeze", "guest 201 is managed by HA", nil},
		{"104", full, "POST /cluster/ha/status/disarm-ha?resource-mode=freeze", consent, nil},
		{"103", "none@pve!mcp", "DELETE /cluster/ha/rules/db-2-home", cannotTell + "ha-rule db-2-home is unknown: ", nil},
	} {
		rules, err := policy.ParseRules(tt.protect)
		if err != nil {
			t.Fatal(err)
		}
		var changes []func(*pvesim.Model)
		if tt.change != nil {
			changes = append(changes, tt.change)
		}
		w := sim.New(t, sim.Options{Model: sim.Cluster(changes...), Token: tt.token, Policy: policy.Policy{Protect: rules}})
		method, path, _ := strings.Cut(tt.request, " ")
		got := refusal(w, tt.token, method, path)
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("protect %q, %s: %s: %q, want %q", tt.protect, tt.token, tt.request, got, tt.want)
		}
	}
}

// In PVE 8 HA has groups.
func TestDependentsOfAGroup(t *testing.T) {
	w := sim.New(t, sim.Options{Token: "root@pam!full", Policy: policy.Policy{Protect: policy.Rules{{Low: 103, High: 103}}}, Model: sim.Cluster(sim.Version("8.4.1"), func(m *pvesim.Model) {
		m.HARules = nil
		m.HAGroups = []pvesim.HASection{{ID: "prefer", Type: "group", Options: map[string]string{"nodes": "pve3"}}, {ID: "other", Type: "group", Options: map[string]string{"nodes": "pve1"}}}
	}, sim.Guest(103, func(g *pvesim.Guest) { g.HAOptions = map[string]string{"group": "prefer"} }))})
	if got := refusal(w, "root@pam!full", "PUT", "/cluster/ha/groups/prefer?nodes=pve1"); !strings.HasPrefix(got, "guest 103 is in ha-group prefer: guest 103 is protected") {
		t.Errorf("its group: %q", got)
	}
	if got := refusal(w, "root@pam!full", "PUT", "/cluster/ha/groups/other?nodes=pve2"); got != "" {
		t.Errorf("another group: %q", got)
	}
}

// A file reaches the cluster whole, unless it would take the place of one that a protected
// guest has.
func TestUploadsToACluster(t *testing.T) {
	t.Parallel()
	cd := sim.Set(103, "ide2=local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom")
	w := sim.New(t, sim.Options{Token: "root@pam!full", Model: sim.Cluster(cd), Policy: policy.Policy{Protect: policy.Rules{{Low: 103, High: 103}}}})
	for file, want := range map[string]string{
		"new.iso":                          "",
		"debian-12.11.0-amd64-netinst.iso": "guest 103 has local:iso/debian-12.11.0-amd64-netinst.iso as ide2",
	} {
		var form bytes.Buffer
		parts := multipart.NewWriter(&form)
		_ = parts.WriteField("content", "iso")
		part, err := parts.CreateFormFile("filename", file)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(make([]byte, 300<<10))
		_ = parts.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Sim.URL()+"/api2/json/nodes/pve1/storage/local/upload", &form)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "PVEAPIToken=root@pam!full="+w.Model.Token("root@pam!full").Secret)
		req.Header.Set("Content-Type", parts.FormDataContentType())
		resp, err := w.Host.Guard.Transport(w.Sim.Transport()).RoundTrip(req)
		var refused *policy.RefusedError
		switch {
		case errors.As(err, &refused):
			if want == "" || !strings.HasPrefix(refused.Reason, want) {
				t.Errorf("%s: %q, want %q", file, refused.Reason, want)
			}
		case err != nil:
			t.Error(err)
		default:
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want != "" || !strings.Contains(string(answer), ":imgcopy:") {
				t.Errorf("%s: %s %s", file, resp.Status, answer)
			}
		}
	}
}
