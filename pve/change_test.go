package pve_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

var vm100 = pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 100}

// What PVE did at once has no task: a resize before PVE 8, a short change of a VM.
func TestDoneWithoutATask(t *testing.T) {
	c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) { return answer("200 OK", `{"data":null}`) }))
	if upid, err := c.ResizeDisk(t.Context(), vm100, "scsi0", "+1G", ""); err != nil || !upid.IsZero() {
		t.Errorf("%v %v", upid, err)
	}
	if upid, err := c.StartConfig(t.Context(), vm100, pve.ConfigChange{}); err != nil || !upid.IsZero() {
		t.Errorf("%v %v", upid, err)
	}
	if upid, err := c.MakeTemplate(t.Context(), vm100); err != nil || !upid.IsZero() {
		t.Errorf("%v %v", upid, err)
	}
	if _, err := c.Clone(t.Context(), vm100, pve.NewClone{VMID: 900}); !proxmox.OutcomeUnknown(err) {
		t.Errorf("a clone without a task: %v", err)
	}
}

// A volume, whose name has slashes, is one element of the path.
func TestDeleteVolume(t *testing.T) {
	sent := ""
	c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		sent = req.Method + " " + req.URL.EscapedPath()
		return answer("200 OK", `{"data":"UPID:pve1:00001234:00005678:65000000:imgdel:100@local:root@pam:"}`)
	}))
	upid, err := c.DeleteVolume(t.Context(), "pve1", pve.VolID{Storage: "local", Name: "backup/a.vma.zst"})
	if err != nil || upid.Type != "imgdel" || sent != "DELETE /api2/json/nodes/pve1/storage/local/content/local:backup%2Fa.vma.zst" {
		t.Errorf("sent %s: %v %v", sent, upid, err)
	}
}

// vzdump says OK and does nothing where the guest is on another node.
func TestBackupElsewhere(t *testing.T) {
	c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) { return answer("200 OK", `{"data":"OK"}`) }))
	if _, err := c.Backup(t.Context(), "pve1", pve.NewBackup{VMIDs: []pve.VMID{100}}); !pve.Elsewhere(err) || proxmox.OutcomeUnknown(err) {
		t.Errorf("%v", err)
	}
}

// PVE 7 splits a command that is one argument.
func TestExecOfOneArgument(t *testing.T) {
	for _, tt := range []struct {
		version string
		argv    []string
		want    string // sent
	}{
		{"7.4-3", []string{"/bin/a b"}, ""},
		{"7.4-3", []string{"/bin/a b", "c"}, "command=%2Fbin%2Fa+b&command=c"},
		{"7.4-3", []string{"uptime"}, "command=uptime"},
		{"8.4.1", []string{"/bin/a b"}, "command=%2Fbin%2Fa+b"},
	} {
		sent := ""
		c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/version") {
				return answer("200 OK", `{"data":{"version":"`+tt.version+`"}}`)
			}
			body := new(strings.Builder)
			if err := req.Write(body); err != nil {
				return nil, err
			}
			_, sent, _ = strings.Cut(body.String(), "\r\n\r\n")
			return answer("200 OK", `{"data":{"pid":120}}`)
		}))
		pid, err := c.Exec(t.Context(), vm100, tt.argv, "")
		if sent != tt.want || (err == nil) != (tt.want != "") || err == nil && pid != 120 {
			t.Errorf("%s %q: sent %q: %d %v", tt.version, tt.argv, sent, pid, err)
		}
	}
}
