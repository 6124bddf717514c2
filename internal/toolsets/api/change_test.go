package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const changeTool = "pve_api_change"

const newReplication = `{"method":"POST","path":"/cluster/replication","params":{"id":"100-0","target":"pve2","type":"local","schedule":"*/30"}}`

// changedAreas are stories of what people change, of one area each.
var changedAreas = []struct {
	story sim.Story
	only  int // the major version that has it, or 0 if both have it
}{
	{story: sim.Story{
		Name: "a storage is made", Args: `{"method":"POST","path":"/storage","params":{"storage":"usb","type":"dir","path":"/mnt/usb","content":["iso","backup"]}}`,
		Says: []string{
			`"subject":"storage usb"`, `"after":{"content":"iso,backup","path":"/mnt/usb","storage":"usb","type":"dir"}`,
			`"undo":{"tool":"pve_api_change","arguments":{"method":"DELETE","path":"/storage/usb"}}`,
		},
		Lacks: []string{`"before"`}, Writes: []string{"POST /storage"},
	}},
	{story: sim.Story{
		Name: "a storage is changed", Args: `{"method":"PUT","path":"/storage/nfs","params":{"content":"images,backup"},"unset":["options"]}`,
		Says: []string{`"before":{"content":"`, `"after":{"content":"images,backup"}`, `"undo":{"tool":"pve_api_change","arguments":{"method":"PUT","params":{"content":"`}, Writes: []string{"PUT /storage/{storage}"},
	}},
	{story: sim.Story{
		Name: "a storage is removed", Args: `{"method":"DELETE","path":"/storage/nfs","confirm":true}`, Says: []string{`"before":{"content":"images,rootdir,iso,backup,import"`}, Lacks: []string{`"undo"`, `"after"`},
		Writes: []string{"DELETE /storage/{storage}"},
	}},
	{story: sim.Story{
		Name: "a pool is made", Args: `{"method":"POST","path":"/pools","params":{"poolid":"lab","comment":"tests"}}`, Says: []string{`"comment":"tests"`, `"path":"/pools/lab"}`}, Writes: []string{"POST /pools"},
	}},
	{story: sim.Story{
		Name: "a pool is removed", First: changeTool + ` {"method":"POST","path":"/pools","params":{"poolid":"lab","comment":"tests"}}`,
		Args: `{"method":"DELETE","path":"/pools/lab","confirm":true}`, Says: []string{`"before":{"comment":"tests"`}, Writes: []string{"DELETE /pools/{poolid}"},
	}},
	{story: sim.Story{
		Name: "a backup job is made", Args: `{"method":"POST","path":"/cluster/backup","params":{"id":"new","schedule":"02:00","vmid":[100,101],"storage":"nfs","prune-backups":"keep-last=7"}}`,
		Says: []string{`"after":{"enabled":1,"id":"new"`, `"vmid":"100,101"`, `"undo":{"tool":"pve_api_change","arguments":{"method":"DELETE","path":"/cluster/backup/new"}}`}, Writes: []string{"POST /cluster/backup"},
	}},
	{only: 8, story: sim.Story{
		Name: "what a backup job keeps", Args: `{"method":"PUT","path":"/cluster/backup/backup-nightly","params":{"prune-backups":"keep-last=9"}}`,
		Says: []string{`"before":{"prune-backups":{"keep-`, `"after":{"prune-backups":{"keep-last":"9"}}`, `"params":{"prune-backups":"keep-`}, Writes: []string{"PUT /cluster/backup/{id}"},
	}},
	{only: 9, story: sim.Story{
		Name: "what a backup job keeps", Args: `{"method":"PUT","path":"/cluster/backup/backup-nightly","params":{"prune-backups":"keep-last=9"}}`,
		Says: []string{`"before":{"prune-backups":{"keep-`, `"after":{"prune-backups":{"keep-last":9}}`, `"params":{"prune-backups":"keep-`}, Writes: []string{"PUT /cluster/backup/{id}"},
	}},
	{story: sim.Story{
		Name: "a guest is made highly available", Args: `{"method":"POST","path":"/cluster/ha/resources","params":{"sid":"vm:100","comment":"web"}}`,
		Says: []string{`"subject":"guest 100"`, `"comment":"web"`, `"path":"/cluster/ha/resources/vm:100"}`}, Writes: []string{"POST /cluster/ha/resources"},
	}},
	{only: 8, story: sim.Story{
		Name: "an HA group", Args: `{"method":"POST","path":"/cluster/ha/groups","params":{"group":"near","nodes":"pve1,pve2"}}`,
		Says: []string{`"subject":"ha-group near"`, `"path":"/cluster/ha/groups/near"}`}, Writes: []string{"POST /cluster/ha/groups"},
	}},
	{only: 9, story: sim.Story{
		Name: "an HA rule", First: changeTool + ` {"method":"POST","path":"/cluster/ha/resources","params":{"sid":"vm:100"}}`,
		Args: `{"method":"POST","path":"/cluster/ha/rules","params":{"rule":"near","type":"node-affinity","resources":"vm:100","nodes":"pve1,pve2"}}`,
		Says: []string{`"subject":"ha-rule near"`, `"path":"/cluster/ha/rules/near"}`}, Writes: []string{"POST /cluster/ha/rules"},
	}},
	{story: sim.Story{
		Name: "replication is set up", Args: newReplication, Says: []string{`"subject":"replication 100-0"`, `"schedule":"*/30"`, `"path":"/cluster/replication/100-0"}`}, Writes: []string{"POST /cluster/replication"},
	}},
	{story: sim.Story{
		Name: "replication is changed", First: changeTool + " " + newReplication, Args: `{"method":"PUT","path":"/cluster/replication/100-0","params":{"schedule":"*/15","rate":50}}`,
		Says:   []string{`"before":{"schedule":"*/30"}`, `"after":{"rate":50,"schedule":"*/15"}`, `"params":{"schedule":"*/30"}`, `"unset":["rate"]`},
		Writes: []string{"PUT /cluster/replication/{id}"},
	}},
	{story: sim.Story{
		Name: "a guest by its name", Args: `{"method":"PUT","path":"/nodes/{node}/qemu/web-1/config","params":{"cores":3},"unset":["tags"]}`,
		Says:   []string{`"request":"PUT /nodes/pve1/qemu/100/config"`, `"before":{"cores":4,"tags":"prod;web"},"after":{"cores":3}`, `"params":{"cores":4,"tags":"prod;web"}`},
		Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/config"},
	}},
	{story: sim.Story{
		Name: "a task", Args: `{"method":"POST","path":"/nodes/{node}/qemu/100/config","params":{"description":"hi"}}`,
		Says:   []string{`"upid":"UPID:pve1:`, `"after":{"description":"hi"}`, `"unset":["description"]`},
		Writes: []string{"POST /nodes/{node}/qemu/{vmid}/config"},
	}},
	{story: sim.Story{
		Name: "a task that fails", Fault: pvesim.Fault{Match: "POST /nodes/*/services/*/restart", TaskFails: "unit is masked"},
		Args: `{"method":"POST","path":"/nodes/pve1/services/pveproxy/restart","confirm":true}`, Outcome: tool.Failed,
		Says: []string{"POST /nodes/pve1/services/pveproxy/restart (service pve1/pveproxy) failed: unit is masked"}, Lacks: []string{`"undo"`}, Writes: []string{"POST /nodes/{node}/services/{service}/restart"},
	}},
	{story: sim.Story{
		Name: "an answer that is lost", Fault: pvesim.Fault{Match: "PUT /storage/*", Drop: true}, Args: `{"method":"PUT","path":"/storage/nfs","params":{"content":"iso"}}`, Outcome: tool.Unknown,
		Lacks: []string{`"undo"`}, Writes: []string{"PUT /storage/{storage}"},
	}},
	{story: sim.Story{
		Name: "PVE refuses", Args: `{"method":"POST","path":"/pools","params":{"poolid":"web"}}`, Outcome: tool.Failed, Says: []string{"pool 'web' already exists"}, Writes: []string{"POST /pools"},
	}},
}

// Every area can be changed, in 8 and in 9, with what was before and after, and the call that
// takes it back.
func TestChangeAreas(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.5"} {
		var stories []sim.Story
		for _, a := range changedAreas {
			s := a.story
			if a.only != 0 && !strings.HasPrefix(version, fmt.Sprint(a.only)) {
				continue
			}
			s.Name, s.Model, s.Token = version+" "+s.Name, sim.Cluster(sim.Version(version)), auditor
			if s.Outcome == "" {
				s.Outcome = tool.OK
			}
			stories = append(stories, s)
		}
		sim.Tell(t, changeTool, stories)
	}
}

// What a call names as the way back leads back.
func TestUndoLeadsBack(t *testing.T) {
	for _, call := range []struct{ look, sort, args string }{
		{"/storage", "storage", `{"method":"POST","path":"/storage","params":{"storage":"usb","type":"dir","path":"/mnt/usb","content":"iso"}}`},
		{"/storage/nfs", "", `{"method":"PUT","path":"/storage/nfs","params":{"content":"iso","nodes":"pve1"}}`},
		{"/pools", "poolid", `{"method":"POST","path":"/pools","params":{"poolid":"lab"}}`},
		{"/pools/web", "", `{"method":"PUT","path":"/pools/web","params":{"comment":"changed"}}`},
		{"/cluster/backup", "id", `{"method":"POST","path":"/cluster/backup","params":{"id":"new","all":true,"storage":"nfs","schedule":"02:00"}}`},
		{"/cluster/backup/backup-nightly", "", `{"method":"PUT","path":"/cluster/backup/backup-nightly","params":{"schedule":"01:00","prune-backups":"keep-all=1","comment":"x"}}`},
		{"/cluster/ha/resources", "", `{"method":"POST","path":"/cluster/ha/resources","params":{"sid":"vm:100"}}`},
		{"/cluster/replication", "", newReplication},
		{"/nodes/pve1/qemu/100/firewall/options", "", `{"method":"PUT","path":"/nodes/pve1/qemu/100/firewall/options","params":{"enable":true,"dhcp":false}}`},
		{"/cluster/mapping/usb", "", usbStick},
		{"/cluster/metrics/server", "", graphite},
		{"/cluster/notifications/targets", "", mailOps},
		{"/nodes/pve1/network", "iface", newBridge},
		{"/nodes/pve1/lxc/200/firewall/aliases", "", newAlias},
		{"/nodes/pve1/qemu/100/config", "", `{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"cores":1,"onboot":true,"balloon":512},"unset":["tags"]}`},
		{"/nodes/pve1/qemu/100/config", "", `{"method":"POST","path":"/nodes/{node}/qemu/100/config","params":{"sockets":2,"description":"x y\nz"}}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: auditor})
			look := func() any {
				a := w.Call("pve_api_read", `{"path":"`+call.look+`","sort":"`+call.sort+`"}`)
				data, _ := a.Fields["data"].(map[string]any)
				delete(data, "digest")
				return []any{data, a.Fields["rows"]}
			}
			before := look()
			a := w.Call(changeTool, call.args)
			if reflect.DeepEqual(look(), before) {
				t.Errorf("%s: nothing has changed: %s", call.args, a.Text)
			}
			undo, _ := a.Fields["undo"].(map[string]any)
			args, _ := undo["arguments"].(map[string]any)
			if args == nil {
				t.Fatalf("%s: no way back: %s", call.args, a.Text)
			}
			args["confirm"] = true
			text, err := json.Marshal(args)
			if err != nil {
				t.Fatal(err)
			}
			a = w.Call(changeTool, string(text))
			if call.look == "/cluster/replication" { // PVE only marks the job, and removes it within a minute
				time.Sleep(time.Minute) // of the bubble's time
			}
			if a.IsError || !reflect.DeepEqual(look(), before) {
				t.Errorf("%s, undone by %s: %s\nis %v\nwas %v", call.args, text, a.Text, look(), before)
			}
		})
	}
}

// What is refused says why and what would be right, and changes nothing.
func TestChangeRefuses(t *testing.T) {
	effort.SkipShort(t)
	for args, want := range map[string]string{
		`{"method":"POST","path":"/cluster/backup","params":{"prune-backup":"keep-last=7","schedule":"every night at 2"}}`:                   "(did you mean prune-backups?)",
		`{"method":"PUT","path":"/cluster/backup/backup-nightly","params":{"schedule":"every night at 2"}}`:                                  "schedule: invalid format - invalid calendar event 'every night at 2' - unable to parse calendar event",
		`{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"cores":0}}`:                                                       "cores: value must have a minimum value of 1",
		`{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"skiplock":true,"cores":2}}`:                                       "skiplock works around a lock",
		`{"method":"PUT","path":"/nodes/pve1/dns","params":{"dns1":"1.1.1.1"}}`:                                                              "search: property is missing and it is not optional",
		`{"method":"POST","path":"/nodes/{node}/services/pveproxy/reload"}`:                                                                  "The nodes are pve1, pve2 and pve3",
		`{"method":"POST","path":"/nodes/localhost/services/pveproxy/reload"}`:                                                               "localhost is whichever node answers",
		`{"method":"POST","path":"/nodes/pve9/services/pveproxy/reload"}`:                                                                    "The nodes are pve1, pve2 and pve3",
		`{"method":"PUT","path":"/nodes/{node}/qemu/200/config","params":{"cores":2}}`:                                                       "The path is /nodes/{node}/lxc/200/config",
		`{"method":"PUT","path":"/cluster/../access/acl"}`:                                                                                   "it has dots in it",
		`{"method":"PUT","path":"/storage/nfs?content=iso"}`:                                                                                 "parameters go into params",
		`{"method":"DELETE","path":"/cluster/backups/x"}`:                                                                                    "The nearest are /cluster/backup/{id}, ",
		`{"method":"DELETE","path":"/cluster/options"}`:                                                                                      "There are only GET /cluster/options and PUT /cluster/options",
		`{"method":"POST","path":"/pools","params":{"poolid":"lab"},"unset":["comment"]}`:                                                    "delete: property is not defined in schema",
		`{"method":"PUT","path":"/pools/web","unset":["comment"]}`:                                                                           "delete: type check ('boolean') failed",
		`{"method":"PUT","path":"/storage/nfs","params":{"delete":"options"},"unset":["options"]}`:                                           "Give it once",
		`{"method":"POST","path":"/nodes/pve1/vzdump","params":{"all":true,"storage":"nfs"},"confirm":true}`:                                 "nobody can consent to it",
		`{"method":"POST","path":"/nodes/{node}/qemu/100/termproxy"}`:                                                                        "it opens a console",
		`{"method":"POST","path":"/nodes/pve1/storage/local/upload","params":{"content":"iso","filename":"x.iso"}}`:                          "it takes a file",
		`{"method":"PUT","path":"/access/acl","params":{"path":"/","roles":"Administrator","users":"x@pve"},"confirm":true}`:                 "PVE_MCP_ENABLE_ACCESS is not true",
		`{"method":"POST","path":"/nodes/{node}/qemu/100/monitor","params":{"command":"info version"}}`:                                      "QEMU's monitor can read and write files of the node",
		`{"method":"POST","path":"/nodes/pve1/execute","params":{"commands":"[]"}}`:                                                          "it makes other requests",
		`{"method":"POST","path":"/nodes/{node}/qemu/100/agent/exec","params":{"command":["id"]}}`:                                           "commands in guests are off (PVE_MCP_ENABLE_EXEC is not true)",
		`{"method":"POST","path":"/nodes/{node}/qemu/100/agent/file-write","params":{"file":"/etc/x","content":"y"}}`:                        "commands in guests are off",
		`{"method":"POST","path":"/nodes/{node}/qemu/100/agent/set-user-password","params":{"username":"root","password":"hunter2hunter2"}}`: "commands in guests are off",
		`{"method":"PUT","path":"/nodes/{node}/qemu/{vmid}/config","params":{"vmid":100,"digest":"x"},"digest":"y"}`:                         "Give it once",
		`{"method":"DELETE","path":"/cluster/backup/backup-nightly","plan":true,"params":{"purge":1}}`:                                       "purge: property is not defined in schema",
		`{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"net0":{"model":"virtio"}}}`:                                       "is an object",
		`{"method":"DELETE","path":"/nodes/{node}/storage/{storage}/content/x","params":{"storage":"local"},"confirm":true}`:                 "each node has a storage local of its own",
		`{"method":"POST","path":"/nodes/{node}/qemu","params":{"vmid":100,"force":true,"archive":"nfs:backup/x.vma"},"confirm":true}`:       "does not say which node it is about",
		`{"method":"POST","path":"/cluster/replication","params":{"id":"100-0","target":"pve2","type":"local","vmid":"100"}}`:                "vmid: property is not defined in schema",
	} {
		w := sim.New(t, sim.Options{Token: auditor, Policy: policy.Policy{Exec: strings.Contains(args, "termproxy")}})
		a := w.Call(changeTool, args)
		if !a.IsError || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %s\nwant %s", args, a.Text, want)
		}
		if sent := sim.Writes(w.Sent()); len(sent) > 0 {
			t.Errorf("%s: %v was sent", args, sent)
		}
	}
}

// What the guard's table never lets pass, the tool refuses with the table's reason.
func TestChangeRefusesWhatTheTableDoes(t *testing.T) {
	w := sim.New(t, sim.Options{Token: auditor, Policy: policy.Policy{Exec: true}})
	refused := 0
	for _, major := range []int{8, 9} {
		known, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range known.Endpoints() {
			row, ok := policy.Describe(ep.Method, strings.Split(ep.Path, "/")[1:], nil)
			if ep.Method == http.MethodGet || ok && row.Never == "" {
				continue
			}
			refused++
			path := strings.NewReplacer("{node}", "pve1", "{vmid}", "100", "{userid}", "x@pve", "{", "", "}", "").Replace(ep.Path)
			a := w.Call(changeTool, fmt.Sprintf(`{"method":%q,"path":%q,"confirm":true}`, ep.Method, path))
			if !a.IsError || !strings.Contains(a.Text, row.Never) {
				t.Errorf("%s %s: %s\nwant %s", ep.Method, ep.Path, a.Text, row.Never)
			}
		}
	}
	if sent := w.Sent(); refused < 45 || len(sent) > 0 {
		t.Errorf("of %d, %v was sent", refused, sent)
	}
}

// The rules and switches of this server hold for any endpoint, and PVE's privileges are
// compared before something is sent.
func TestChangeKeepsTheRules(t *testing.T) {
	rules := func(text string) policy.Rules {
		out, err := policy.ParseRules(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, tt := range []struct {
		policy      policy.Policy
		token       string
		args, wants string
	}{
		{policy.Policy{Protect: rules("100")}, auditor, `{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"cores":2}}`, "PVE_MCP_PROTECT"},
		{policy.Policy{Protect: rules("storage:nfs")}, auditor, `{"method":"DELETE","path":"/storage/nfs"}`, "storage nfs is protected"},
		{policy.Policy{Allow: rules("tag:lab")}, auditor, `{"method":"DELETE","path":"/cluster/backup/backup-weekly","confirm":true}`, "PVE_MCP_ALLOW"},
		{policy.Policy{ReadOnly: true}, auditor, `{"method":"PUT","path":"/storage/nfs","params":{"content":"iso"}}`, "read-only"},
		{policy.Policy{KeepData: true}, auditor, `{"method":"DELETE","path":"/storage/nfs","confirm":true}`, "destructive changes are off"},
		{policy.Policy{KeepData: true}, auditor, `{"method":"PUT","path":"/nodes/{node}/qemu/100/config","unset":["unused0"]}`, "destructive changes are off"},
		{policy.Policy{Exec: true, ExecAllow: []policy.Command{{"/usr/bin/id"}}}, auditor, `{"method":"POST","path":"/nodes/{node}/qemu/100/agent/exec","params":{"command":["/bin/sh"]}}`, "PVE_MCP_EXEC_ALLOW"},
		{policy.Policy{Exec: true, ExecAllow: []policy.Command{{"/usr/bin/id"}}}, auditor,
			`{"method":"POST","path":"/nodes/{node}/qemu/100/agent/file-write","params":{"file":"/etc/x","content":"y"}}`, "PVE_MCP_EXEC_ALLOW"},
		{policy.Policy{}, "audit@pve!mcp", `{"method":"PUT","path":"/storage/nfs","params":{"content":"iso"}}`, "this token lacks Datastore.Allocate on /storage"},
	} {
		w := sim.New(t, sim.Options{Token: tt.token, Policy: tt.policy})
		if a := w.Call(changeTool, tt.args); !a.IsError || !strings.Contains(a.Text, tt.wants) {
			t.Errorf("%s: %s\nwant %s", tt.args, a.Text, tt.wants)
		}
		if sent := sim.Writes(w.Sent()); len(sent) > 0 {
			t.Errorf("%s: %v was sent", tt.args, sent)
		}
	}
}
