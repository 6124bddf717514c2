package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// No recorded request that PVE has carried out would be refused.
func TestRecordedSuccessesPass(t *testing.T) {
	eight, err := apischema.Load(8)
	if err != nil {
		t.Fatal(err)
	}
	nine, err := apischema.Load(9)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, row := range recorded.Rows(t) {
		if !row.IsRequest() || row.Status != http.StatusOK || row.RawBody != "" || row.Reason != "OK" {
			continue
		}
		path, err := url.PathUnescape(row.Path)
		if err != nil {
			t.Fatal(err)
		}
		known := eight
		ep, values, ok := known.Find(row.Method, path)
		if row.File == "nine_hands" || ok && ep.ProxyTo != "" && values[ep.ProxyTo] == "pve2" {
			known = nine
			ep, values, ok = known.Find(row.Method, path)
		}
		if !ok {
			continue
		}
		for name, given := range row.Form() {
			values[name] = given[0]
			if len(given) > 1 {
				list := []any{}
				for _, v := range given {
					list = append(list, v)
				}
				values[name] = list
			}
		}
		if _, err := checkParams(known, ep, values); err != nil {
			t.Errorf("%v: %v", row, err)
		}
		passed++
	}
	t.Logf("%d rows pass", passed)
}

// What is wrong is said with a right example by the parameter's own bounds.
func TestExamples(t *testing.T) {
	known, err := apischema.Load(9)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ method, path, params, want string }{
		{"POST", "/cluster/backup", "schedule=every night at 2&prune-backup=keep-last=7", "(did you mean prune-backups?)"},
		{"POST", "/cluster/backup", "schedule=every night at 2", "Right would be schedule: such as 02:00, or mon..fri 02:30"},
		{"PUT", "/nodes/pve1/qemu/100/config", "cores=0", "cores: value must have a minimum value of 1. Right would be cores: a number ≥1, such as 1"},
		{"PUT", "/nodes/pve1/qemu/100/config", "onboot=yes", "onboot: 1 or 0"},
		{"PUT", "/nodes/pve1/qemu/100/config", "bios=efi", "bios: one of seabios and ovmf"},
		{"PUT", "/nodes/pve1/qemu/100/config", "net0=virtio,bridgd=x", "net0: such as "},
		{"POST", "/nodes/pve1/qemu/100/clone", "", "newid: property is missing and it is not optional. Right would be newid: such as 100"},
		{"POST", "/cluster/firewall/rules", "type=in&action=NOPE", "unknown action 'NOPE'"},
		{"POST", "/nodes/pve1/vzdump", "vmid=100&all=1", "option conflicts with option 'vmid'"},
	} {
		ep, values, ok := known.Find(tt.method, tt.path)
		if !ok {
			t.Fatal(tt.path)
		}
		form, err := url.ParseQuery(tt.params)
		if err != nil {
			t.Fatal(err)
		}
		for name := range form {
			values[name] = form.Get(name)
		}
		_, err = checkParams(known, ep, values)
		if err == nil {
			t.Errorf("%s %s %s is not refused", tt.method, tt.path, tt.params)
			continue
		}
		if text := sentence(err); !strings.Contains(text, tt.want) {
			t.Errorf("%s %s %s: %s\nwant %s", tt.method, tt.path, tt.params, text, tt.want)
		}
	}
}

// sentence is an error as a model reads it.
func sentence(err error) string {
	if e, ok := err.(interface{ String() string }); ok {
		return e.String()
	}
	return err.Error()
}

// Which privilege a token lacks for a request is said before it is sent.
func TestMissingPrivileges(t *testing.T) {
	known, err := apischema.Load(9)
	if err != nil {
		t.Fatal(err)
	}
	var perms pve.Permissions
	if err := json.Unmarshal([]byte(`{"/":{"Sys.Audit":1},"/vms":{"VM.Audit":1},"/vms/100":{"VM.Audit":1,"VM.Config.Network":1},"/nodes":{"Sys.Audit":1},"/storage":{"Datastore.Audit":1}}`), &perms); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/cluster/backup", ""},
		{"POST", "/cluster/backup", "Sys.Modify on /"},
		{"POST", "/nodes/pve1/qemu/100/firewall/rules", ""},
		{"POST", "/nodes/pve1/qemu/101/firewall/rules", "VM.Config.Network on /vms/101"},
		{"GET", "/nodes/pve1/qemu/101/config", ""},
		{"POST", "/nodes/pve1/execute", "root@pam alone"},
		{"POST", "/nodes/pve1/qemu/100/monitor", "Sys.Audit or Sys.Modify on /vms/100"},
	} {
		ep, values, ok := known.Find(tt.method, tt.path)
		if !ok {
			t.Fatal(tt.path)
		}
		if got := missing(perms, ep, values); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}

// A parameter that PVE's description lacks, as those of HA rules, takes a list as any other.
func TestListThatIsNotDescribed(t *testing.T) {
	nine, err := apischema.Load(9)
	if err != nil {
		t.Fatal(err)
	}
	form, err := checkParams(nine, nine.Endpoint("POST", "/cluster/ha/rules"), apischema.Values{
		"rule": "apart", "type": "resource-affinity", "affinity": "negative", "resources": []any{"vm:103", "ct:201"},
	})
	if err != nil || form.Get("resources") != "vm:103,ct:201" || len(form["resources"]) != 1 {
		t.Errorf("%v, %v", form, err)
	}
}
