package pve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// One odd field does not spoil an answer, and nothing is lost.
func TestObjectsKeepWhatTheyDoNotKnow(t *testing.T) {
	give := `{"cpu":{"odd":1},"future":[1,2],"id":"qemu/100","mem":null,"name":"web","type":"qemu","vmid":100}`
	var r Resource
	if err := json.Unmarshal([]byte(give), &r); err != nil {
		t.Fatal(err)
	}
	if r.VMID != 100 || r.Name.Value != "web" || r.CPU.Set || len(r.Extra) != 3 {
		t.Errorf("%+v", r)
	}
	if got, err := json.Marshal(r); err != nil || string(got) != give {
		t.Errorf("%s %v, want %s", got, err, give)
	}
}

func TestIDs(t *testing.T) {
	for _, bad := range []string{"", "99", "1000000000", "0100", "1e3", "abc", "-100"} {
		if id, err := ParseVMID(bad); err == nil {
			t.Errorf("VMID %q is %v", bad, id)
		}
	}
	var id VMID
	if err := json.Unmarshal([]byte(`"100"`), &id); err != nil || id != 100 || id.String() != "100" {
		t.Errorf("%v %v", id, err)
	}
	vol, err := ParseVolID("pbs:backup/vm/100/2026-08-01T10:00:00Z")
	if err != nil || vol.Storage != "pbs" || vol.Name != "backup/vm/100/2026-08-01T10:00:00Z" || vol.String() != "pbs:backup/vm/100/2026-08-01T10:00:00Z" {
		t.Errorf("%+v %v", vol, err)
	}
	for _, bad := range []string{"", "local", ":x", "local:", "a/b:c"} {
		if v, err := ParseVolID(bad); err == nil {
			t.Errorf("volume id %q is %v", bad, v)
		}
	}
	const text = "UPID:pve1:00005108:0BCCF1000:6B032E86:imgdel:900@local:root@pam!full:"
	u, err := proxmox.ParseUPID(text)
	if err != nil || u.String() != text || u.Node != "pve1" || u.Type != "imgdel" || u.User != "root@pam!full" || u.Start.Unix() != 0x6B032E86 {
		t.Errorf("%+v %v", u, err)
	}
	if guest, ok := GuestOf(u); !ok || guest != 900 {
		t.Errorf("guest %v", guest)
	}
	for _, bad := range []string{"", "UPID:", strings.TrimSuffix(text, ":"), strings.Replace(text, "pve1", "-pve", 1), text + "x", strings.Replace(text, "900@", "9 0@", 1)} {
		if u, err := proxmox.ParseUPID(bad); err == nil {
			t.Errorf("UPID %q is %+v", bad, u)
		}
	}
}

func TestPermissionsInherit(t *testing.T) {
	var p Permissions
	data := `{"/":{"Sys.Audit":0,"Datastore.Audit":1,"Mapping.Audit":1},"/vms":{"VM.Audit":1,"VM.Console":0},"/vms/100":{"VM.PowerMgmt":1}}`
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, priv string
		want       bool
	}{
		{"/vms", "VM.Audit", true},
		{"/vms", "VM.Console", true},
		{"/vms/200", "VM.Audit", true},
		{"/vms/200", "VM.Console", false}, // does not propagate
		{"/vms/100", "VM.PowerMgmt", true},
		{"/vms/100", "VM.Audit", false}, // PVE lists what is held there
		{"/", "Sys.Audit", true},
		{"/nodes/pve1", "Sys.Audit", false},
		{"/storage/local", "Datastore.Audit", false}, // nothing is held on /storage
		{"/storage", "Datastore.Audit", false},
		{"/mapping/pci", "Mapping.Audit", true}, // from /
	} {
		if got := p.Has(tt.path, tt.priv); got != tt.want {
			t.Errorf("%s on %s: %v", tt.priv, tt.path, got)
		}
	}
	for priv, want := range map[string]string{
		"VM.Audit":   "true [/vms/100]",
		"VM.Console": "false [/vms/100]", // on /vms alone
	} {
		all, except := p.Below("/vms", priv)
		if got := fmt.Sprint(all, " ", except); got != want {
			t.Errorf("%s below /vms: %s, want %s", priv, got, want)
		}
	}
	if (Permissions{}).Has("/vms/100", "VM.Audit") {
		t.Error("nobody holds something")
	}
}
