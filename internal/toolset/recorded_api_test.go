package toolset_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// apiRecording is a recording whose requests are made through the tools for any endpoint.
type apiRecording struct {
	file  string
	model func() pvesim.Model
}

var apiRecordings = []apiRecording{
	{"admin", recordedAdmin},
	{"nine_admin", recordedNineAdmin},
	{"handson", recordedHandsOn},
}

// recordedAdmin is the recorded cluster with a device that can be passed through.
func recordedAdmin() pvesim.Model {
	m := pvesim.Recorded()
	m.Nodes[0].Devices = []pvesim.Device{{ID: "0000:00:01.0", Class: "0xffff00", VendorID: "0x1af4", DeviceID: "0x1045", Vendor: "Red Hat, Inc.", Name: "Virtio 1.0 memory balloon"}}
	return m
}

// recordedNineAdmin is the recorded cluster as it was then: VM 110 was stopped.
func recordedNineAdmin() pvesim.Model {
	m := pvesim.Recorded()
	for i := range m.Guests {
		if g := &m.Guests[i]; g.VMID == 110 {
			g.Running, g.Up = false, 0
			g.Files = map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"}
		}
	}
	return m
}

// recordedHandsOn is the cluster of the other day with the recorder's own guests.
func recordedHandsOn() pvesim.Model {
	m := pvesim.Recorded2()
	for i := range m.Nodes {
		m.Nodes[i].Bridges = []string{"vmbr1"}
	}
	m.Guests = append(m.Guests, pvesim.Guest{
		VMID: 900, Kind: "qemu", Node: "pve1", Running: true, Up: time.Hour, Files: map[string]string{"/bin/busybox": "\x7fELF"},
		Config: map[string]string{
			"name": "rec", "cores": "1", "memory": "256", "kvm": "0", "agent": "1", "serial0": "socket", "ostype": "l26", "boot": "order=scsi0",
			"scsi0": "data:900/vm-900-disk-0.raw,size=1G", "net0": "virtio=BC:24:11:3C:76:C6,bridge=vmbr0",
		},
	}, pvesim.Guest{
		VMID: 950, Kind: "lxc", Node: "pve1", Running: true, Up: time.Hour,
		Config: map[string]string{"hostname": "rec-ct", "memory": "128", "rootfs": "data:950/vm-950-disk-0.raw,size=1G", "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:3C:76:C7,type=veth"},
	})
	return m
}

// held are rows that are not made by tools, or end otherwise.
type held struct{ rows, why, says string }

// heldBack are what the tools refuse or answer otherwise by design, by the file and line of the
// row, or by the method and the ending of the path, with the reason and the words that say so.
var heldBack = []held{
	{"/access/", "users, roles and permissions are left to people unless PVE_MCP_ENABLE_ACCESS is true", "PVE_MCP_ENABLE_ACCESS is not true"},
	{"POST /spiceproxy", "consoles need a connection of their own", "is never sent"},
	{"POST /vncproxy", "consoles need a connection of their own", "it opens a console"},
	{"POST /termproxy", "consoles need a connection of their own", "is never sent"},
	{"POST /vncshell", "a shell of a node", "is never sent"},
	{"GET /vncwebsocket", "a screen counts as a change, since keys go the same way: pve_console opens it", "is more than a read"},
	{"POST /monitor", "QEMU's monitor reads and writes files of the node", "is never sent"},
	{"GET /query-url-metadata", "the node asks another machine", "is more than a read"},
	{"GET /agent/", "what a guest's agent reads enters the guest", "enters a guest"},
	{"GET /nodes/pve2/../version", "a path with dots can be read in two ways", "it has dots in it"},
	{"handson:18", "it checks a ticket for PVE's own proxy", "is never sent"},
	{"handson:65", "what is not there is not sent: PVE says so to the read before", "no such replication job '900-0'"},
	{"handson:34", "a password does not pass through a model", "password is a secret"},
	{"nine_admin:15", "the connection to the recorded node broke", "Failed to execute child process"},
	{"admin:56", "no file comes from a private address", "PVE_MCP_DOWNLOAD_FROM does not name it"},
	{"admin:31", "what is not there is not sent: PVE says so to the read before", "id: No such job 'recjob'"},
	{"admin:52", "what is not there is not sent: PVE says so to the read before", "storage 'recdir' does not exist"},
}

// The recorded administration of a cluster, asked through pve_api_read and pve_api_change, ends
// as recorded: its success, or PVE's refusal in PVE's words, unless it is held back by design.
func TestRecordedAdministration(t *testing.T) {
	recorded.Dir(t)
	used := map[string]int{}
	for _, rec := range apiRecordings {
		rows := recorded.Rows(t, rec.file)
		synctest.Test(t, func(t *testing.T) {
			model := rec.model()
			d := &driver{
				World: sim.New(t, sim.Options{Model: &model, Token: "root@pam!full", Policy: policy.Policy{Exec: true}}),
				mine:  map[string]string{}, pids: map[string]string{},
			}
			for i, row := range rows {
				if !row.IsRequest() || row.RawBody != "" || labels[row.Token] == "" {
					continue
				}
				time.Sleep(time.Duration(row.Gap*float64(time.Second)) + time.Second)
				d.administer(rows, i, heldBack, used)
				if strings.HasSuffix(row.Path, "/status/start") {
					time.Sleep(time.Minute) // the guest boots
				}
			}
		})
	}
	for _, h := range heldBack {
		if used[h.rows] == 0 {
			t.Errorf("%s is held back by nothing", h.rows)
		}
	}
	if used[""] < 120 {
		t.Errorf("only %d rows end as recorded", used[""])
	}
	t.Logf("%d rows end as recorded; by reason: %v", used[""], used)
}

// administer makes the request of a row through a tool and compares how it ends.
func (d *driver) administer(rows []recorded.Row, i int, heldBack []held, used map[string]int) {
	d.Helper()
	row := rows[i]
	path, err := url.PathUnescape(row.Path)
	if err != nil {
		d.Fatal(err)
	}
	args, name := map[string]any{"path": path, "params": row.Params}, "pve_api_read"
	if row.Method != http.MethodGet {
		args["method"], args["confirm"], name = row.Method, true, "pve_api_change"
		args["wait"] = 120
	}
	data, err := json.Marshal(args)
	if err != nil {
		d.Fatal(err)
	}
	got := d.As(labels[row.Token]).Call(name, string(data))
	want, missing := wantedEnd(rows, i), ""
	switch {
	case want == "OK" && got.IsError:
		missing = "it was OK"
	case want != "OK" && !got.IsError:
		missing = "it was refused: " + want
	case want != "OK" && !strings.Contains(plainWords(got.Text), plainWords(want)):
		missing = "it said " + want
	case want == "OK" && name == "pve_api_read":
		missing = missingFields(row, got)
	}
	for _, h := range heldBack {
		if !holds(h.rows, row) || missing == "" {
			continue
		}
		if strings.Contains(plainWords(got.Text), plainWords(h.says)) {
			used[h.rows]++
			if strings.Contains(got.Text, "sent") && row.Method != http.MethodGet {
				d.replay(row) // so that what follows finds the recorded state
			}
			return
		}
	}
	if missing != "" {
		d.Errorf("%v %v: %s\n     %s", row, row.Params, got.Text[:min(len(got.Text), 500)], missing)
		return
	}
	used[""]++
}

// holds reports whether a row is one of those that are held back.
func holds(rows string, row recorded.Row) bool {
	method, end, byMethod := strings.Cut(rows, " ")
	switch {
	case rows == fmt.Sprintf("%s:%d", row.File, row.Line):
		return true
	case strings.HasPrefix(rows, "/"):
		return strings.HasPrefix(row.Path, rows)
	case byMethod:
		return row.Method == method && strings.Contains(row.Path, end)
	}
	return false
}

// wantedEnd is how a row ended: OK, or what PVE said of each refused parameter or of the whole.
func wantedEnd(rows []recorded.Row, i int) string {
	row := rows[i]
	if upidOf(row) != "" && i+1 < len(rows) && rows[i+1].Task != "" {
		var last struct{ ExitStatus string }
		_ = json.Unmarshal(rows[i+1].Statuses[len(rows[i+1].Statuses)-1], &last)
		return last.ExitStatus
	}
	if row.Status == http.StatusOK {
		return "OK"
	}
	var body struct{ Errors map[string]string }
	_ = json.Unmarshal(row.Body, &body)
	for name, problem := range body.Errors {
		return name + ": " + problem
	}
	if missing, ok := strings.CutPrefix(row.Reason, "Permission check failed ("); ok {
		_, missing, _ = strings.Cut(strings.TrimSuffix(missing, ")"), ", ")
		return missing
	}
	if strings.HasSuffix(row.Reason, "not implemented") {
		return "no endpoint"
	}
	return row.Reason
}

// plainWords are words without what differs in writing alone.
func plainWords(s string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("\\n", " ", `\"`, `"`, "\\u0026", "&", ".", " ").Replace(s)), " ")
}

// missingFields names what the recorded answer has and the tool's does not.
func missingFields(row recorded.Row, got sim.Answer) string {
	switch data := dataOf(row.Body).(type) {
	case []any:
		rows, _ := got.Fields["rows"].([]any)
		if (len(data) == 0) != (len(rows) == 0) {
			return fmt.Sprintf("it had %d rows", len(data))
		}
	case map[string]any:
		shown, _ := got.Fields["data"].(map[string]any)
		for name := range data {
			if _, has := shown[name]; !has {
				return "it had " + name
			}
		}
	}
	return ""
}
