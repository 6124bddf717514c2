package pve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

func TestOpt(t *testing.T) {
	type all struct {
		I Opt[int64]   `json:"i,omitzero"`
		F Opt[float64] `json:"f,omitzero"`
		S Opt[string]  `json:"s,omitzero"`
		B Opt[bool]    `json:"b,omitzero"`
	}
	for _, tt := range []struct{ give, want string }{
		{`{}`, `{}`},
		{`{"i":null,"f":null,"s":null,"b":null}`, `{}`},
		{`{"i":5,"f":0.5,"s":"x","b":1}`, `{"i":5,"f":0.5,"s":"x","b":true}`},
		{`{"i":"5","f":"0.5","s":7,"b":"1"}`, `{"i":5,"f":0.5,"s":"7","b":true}`},
		{`{"i":9223372036854775807,"f":1e9,"s":"","b":""}`, `{"i":9223372036854775807,"f":1000000000,"s":"","b":false}`},
		{`{"i":1.764e+09,"b":0}`, `{"i":1764000000,"b":false}`},
		{`{"i":0,"f":0,"b":false}`, `{"i":0,"f":0,"b":false}`},
	} {
		var v all
		if err := json.Unmarshal([]byte(tt.give), &v); err != nil {
			t.Errorf("%s: %v", tt.give, err)
			continue
		}
		got, err := json.Marshal(v)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s %v, want %s", tt.give, got, err, tt.want)
		}
	}
	for _, bad := range []string{`{"i":"x"}`, `{"i":1e30}`, `{"b":"yes"}`, `{"f":{}}`, `{"s":[1]}`} {
		if err := json.Unmarshal([]byte(bad), new(all)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	if Some("x").Or("y") != "x" || (Opt[string]{}).Or("y") != "y" {
		t.Error("Or")
	}
}

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
	u, err := ParseUPID(text)
	if err != nil || u.String() != text || u.Node != "pve1" || u.Type != "imgdel" || u.User != "root@pam!full" || u.Start.Unix() != 0x6B032E86 {
		t.Errorf("%+v %v", u, err)
	}
	if guest, ok := GuestOf(u); !ok || guest != 900 {
		t.Errorf("guest %v", guest)
	}
	for _, bad := range []string{"", "UPID:", strings.TrimSuffix(text, ":"), strings.Replace(text, "pve1", "-pve", 1), text + "x", strings.Replace(text, "900@", "9 0@", 1)} {
		if u, err := ParseUPID(bad); err == nil {
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

func TestTaskStatusMeaning(t *testing.T) {
	for exit, want := range map[string]bool{"OK": true, "WARNINGS: 1": true, "WARNINGS: 0": false, "ok": false, "": false, "job errors": false, "unexpected status": false} {
		s := TaskStatus{Status: "stopped", ExitStatus: Some(exit)}
		if s.Succeeded() != want {
			t.Errorf("%q: succeeded %v", exit, s.Succeeded())
		}
	}
	if (TaskStatus{Status: "running", ExitStatus: Some("OK")}).Succeeded() {
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
