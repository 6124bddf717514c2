package pvesim_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What differs between versions, asked of each: "" means that the answer is not
// looked at.
func TestVersions(t *testing.T) {
	const audit, ops = "audit@pve!mcp", "ops@pve!mcp"
	for _, tt := range []struct {
		name, as, ask string
		want          map[string]string
	}{
		{"the version", "", "GET /version#release", map[string]string{"7.4-3": "7.4", "8.3.5": "8.3", "8.4.1": "8.4", "9.0.11": "9.0"}},
		{"who may ask the agent", audit, "GET /nodes/pve1/qemu/100/agent/get-host-name", map[string]string{
			"7.4-3": "403 Permission check failed (/vms/100, VM.Monitor)", "8.4.1": "403 Permission check failed (/vms/100, VM.Monitor)",
			"9.0.11": "map[result:map[host-name:web-1]]",
		}},
		{"the size of a disk", "", "PUT /nodes/pve1/qemu/104/resize?disk=scsi0&size=%2B1G", map[string]string{"7.4-3": "null", "8.0.4": "OK", "9.0.11": "OK"}},
		{"and what is refused of it", "", "PUT /nodes/pve1/qemu/104/resize?disk=scsi0&size=1G", map[string]string{
			"7.4-3": "500 shrinking disks is not supported", "8.0.4": "shrinking disks is not supported", "9.0.11": "shrinking disks is not supported",
		}},
		{"one word to run", "", "POST /nodes/pve1/qemu/100/agent/exec?command=echo+a,b", map[string]string{
			"7.4-3": "map[pid:120]", "8.4.1": "500 Agent error: Failed to execute child process “echo a,b” (No such file or directory)",
		}},
		{"a bridge", ops, "PUT /nodes/pve1/qemu/100/config?net1=virtio,bridge=vmbr1", map[string]string{"7.4-3": "null", "8.4.1": "null", "9.0.11": "null"}},
		{"a container's addresses", "", "GET /nodes/pve1/lxc/200/interfaces", map[string]string{
			"7.4-3": "501 Method 'GET /nodes/pve1/lxc/200/interfaces' not implemented", "8.0.4": "501 Method 'GET /nodes/pve1/lxc/200/interfaces' not implemented", "8.1.3": "",
		}},
		{"a stop that overrules", "", "POST /nodes/pve1/qemu/104/status/stop?overrule-shutdown=1", map[string]string{
			"8.1.3":  "400 Parameter verification failed. overrule-shutdown: property is not defined in schema and the schema does not allow additional properties",
			"8.2.2":  "OK",
			"9.0.11": "OK",
		}},
		{"memory of the host", "", "GET /nodes/pve1/qemu/104/status/current#memhost", map[string]string{"8.4.1": "null"}},
		{"where a running VM can go", "", "GET /nodes/pve1/qemu/100/migrate#allowed_nodes", map[string]string{"7.4-3": "null", "8.4.1": "[pve2 pve3]", "9.0.11": "[pve2 pve3]"}},
		{"HA groups", "", "GET /cluster/ha/groups", map[string]string{
			"7.4-3": "[]", "8.4.1": "[]", "9.0.11": "500 cannot index groups: ha groups have been migrated to rules",
		}},
		{"HA rules", "", "GET /cluster/ha/rules/db-2-home#type", map[string]string{
			"8.4.1": "501 Method 'GET /cluster/ha/rules/db-2-home' not implemented", "9.0.11": "node-affinity",
		}},
		{"the kernel of a node", "", "GET /nodes/pve1/status#current-kernel#release", map[string]string{"7.4-3": "null", "8.4.1": "6.8.12-9-pve", "9.0.11": "6.14.11-2-pve"}},
		{"a pool by a parameter", "", "GET /pools?poolid=web#web#poolid", map[string]string{"8.4.1": "web", "9.0.11": "web"}},
	} {
		for pve, want := range tt.want {
			m := pvesim.Cluster()
			m.PVE = pve
			w := newWorld(t, m)
			if tt.as != "" {
				w.token = tt.as
			}
			method, target, _ := bytes.Cut([]byte(tt.ask), []byte(" "))
			if got := w.answer(string(method), string(target)); want != "" && got != want || got[0] == '5' && want == "" {
				t.Errorf("%s, PVE %s: %s, want %s", tt.name, pve, got, want)
			}
		}
	}
}

// Before 8.4 the message is in the reason phrase alone, and that of a refused token says
// why.
func TestWhereTheMessageIs(t *testing.T) {
	for pve, inBody := range map[string]bool{"7.4-3": false, "8.3.5": false, "8.4.1": true, "9.0.11": true} {
		m := pvesim.Cluster()
		m.PVE = pve
		w := newWorld(t, m)
		const says = "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist"
		if r := w.do("GET", "/nodes/pve1/qemu/999/config", nil); r.Reason != says || (r.Body.Message == says+"\n") != inBody || !inBody && r.Body.Message != "" {
			t.Errorf("PVE %s says %q in the reason and %q in the body", pve, r.Reason, r.Body.Message)
		}
		if r := w.do("GET", "/nodes/pve1/qemu/1/config", nil); r.Status != 400 || r.Body.Errors["vmid"] == "" {
			t.Errorf("PVE %s names no parameter: %+v", pve, r)
		}
		bad := map[bool]string{true: "Authentication failed!", false: "invalid token value!"}[inBody]
		ghost := map[bool]string{true: "Authentication failed!", false: "no such user ('ghost@pve')"}[inBody]
		for header, want := range map[string]string{"PVEAPIToken=ops@pve!mcp=x": bad, "PVEAPIToken=ghost@pve!x=x": ghost, "": "No ticket"} {
			resp, err := w.sim.Do(t.Context(), pvesim.Request{Method: "GET", Path: "/api2/json/version", Header: http.Header{"Authorization": {header}}})
			if err != nil || resp.Status != 401 || resp.Reason != want || len(resp.Body) > 0 {
				t.Errorf("PVE %s, %q: %d %q %q %v", pve, header, resp.Status, resp.Reason, resp.Body, err)
			}
		}
	}
}

func TestBodyLimitByVersion(t *testing.T) {
	for _, tt := range []struct {
		pve     string
		size    int
		allowed bool
	}{
		{"7.4-3", 64 << 10, true}, {"7.4-3", 64<<10 + 1, false}, {"8.3.5", 64<<10 + 1, false},
		{"8.4.1", 64<<10 + 1, true}, {"9.0.11", 512 << 10, true}, {"9.0.11", 512<<10 + 1, false},
	} {
		m := pvesim.Cluster()
		m.PVE = tt.pve
		w := newWorld(t, m)
		head := http.Header{"Authorization": {m.Token("root@pam!full").Header()}}
		body := append([]byte("description="), bytes.Repeat([]byte{'x'}, tt.size-len("description="))...)
		resp, err := w.sim.Do(t.Context(), pvesim.Request{Method: "PUT", Path: "/api2/json/nodes/pve1/qemu/100/config", Header: head, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if (resp.Status != 501) != tt.allowed || !tt.allowed && resp.Reason != "for data too large" {
			t.Errorf("PVE %s, %d bytes: %d %s", tt.pve, tt.size, resp.Status, resp.Reason)
		}
	}
}

// A body of unknown length is refused; PVE 7 does not see that there is one.
func TestChunkedByVersion(t *testing.T) {
	for pve, want := range map[string]string{
		"7.4-3": "no options specified", "8.0.4": "chunked transfer encoding not supported", "9.0.11": "chunked transfer encoding not supported",
	} {
		m := pvesim.Cluster()
		m.PVE = pve
		w := newWorld(t, m)
		head := http.Header{"Authorization": {m.Token("root@pam!full").Header()}}
		resp, err := w.sim.Do(t.Context(), pvesim.Request{
			Method: "PUT", Path: "/api2/json/nodes/pve1/qemu/100/config", Header: head, Chunked: true, Body: []byte("description=x"),
		})
		if err != nil || resp.Reason != want {
			t.Errorf("PVE %s: %d %s %v", pve, resp.Status, resp.Reason, err)
		}
		if got := w.get("/nodes/pve1/qemu/100/config")["description"]; got != nil {
			t.Errorf("PVE %s has read it: %v", pve, got)
		}
	}
}

// Roles have the privileges of their version, and one that came later is ignored.
func TestRolesByVersion(t *testing.T) {
	for pve, want := range map[string]map[string]bool{
		"7.4-3":  {"VM.Monitor": true, "VM.GuestAgent.Audit": false, "SDN.Use": false, "Permissions.Modify": true, "Sys.AccessNetwork": false},
		"8.1.3":  {"VM.Monitor": true, "VM.GuestAgent.Audit": false, "SDN.Use": true, "Permissions.Modify": false, "Sys.AccessNetwork": false},
		"9.0.11": {"VM.Monitor": false, "VM.GuestAgent.Audit": true, "SDN.Use": true, "Permissions.Modify": false, "Sys.AccessNetwork": false},
	} {
		m := pvesim.Cluster()
		m.PVE = pve
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: "none@pve", Role: "PVEAdmin"}, pvesim.ACL{Path: "/", Who: "none@pve!mcp", Role: "PVEAdmin"})
		w := newWorld(t, m).as("none@pve!mcp")
		held := w.get("/access/permissions")["/"].(map[string]any)
		for priv, has := range want {
			if _, ok := held[priv]; ok != has {
				t.Errorf("PVE %s: PVEAdmin has %s: %v, want %v", pve, priv, ok, has)
			}
		}
	}
}

// A container is privileged up to PVE 8 unless it is to be unprivileged.
func TestUnprivilegedDefault(t *testing.T) {
	for pve, want := range map[string]string{"7.4-3": "null", "8.4.1": "null", "9.0.11": "1"} {
		m := pvesim.Cluster()
		m.PVE = pve
		newWorld(t, m).story(`
			POST /nodes/pve1/lxc?vmid=500&ostemplate=` + template(m) + `&rootfs=local-zfs:1 => OK
			GET /nodes/pve1/lxc/500/config#unprivileged => ` + want)
	}
}

// template is a container template that the first node has.
func template(m pvesim.Model) string {
	for _, v := range m.Volumes {
		if v.Content == "vztmpl" {
			return v.ID
		}
	}
	return ""
}
