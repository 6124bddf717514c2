package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const auditor = "root@pam!full"

// area is a story of what people read of one area.
type area struct {
	name, args string
	says       []string
	// answer, where the simulator has nothing of the area, is what PVE answers at path.
	path, answer string
	only         int // the major version that has it; 0 for both
}

var areas = []area{
	{name: "firewall of a guest", args: `{"path":"/nodes/{node}/qemu/100/firewall/options"}`, says: []string{`"request":"GET /nodes/pve1/qemu/100/firewall/options"`}},
	{name: "firewall of the datacenter", args: `{"path":"/cluster/firewall/options","fields":["digest"]}`, says: []string{`"data":{"digest"`}},
	{name: "firewall of a node", args: `{"path":"/nodes/pve2/firewall/rules"}`, says: []string{"PVE's list is empty"}},
	{name: "storages", args: `{"path":"/storage","fields":["storage","content"],"sort":"storage"}`, says: []string{`{"content":"`, `"storage":"nfs"}`}},
	{name: "a storage on a node", args: `{"path":"/nodes/{node}/storage/nfs/status"}`, says: []string{`"request":"GET /nodes/pve1/storage/nfs/status"`, `"type":"nfs"`}},
	{name: "a volume", args: `{"path":"/nodes/pve1/storage/local-zfs/content/local-zfs:vm-100-disk-0"}`, says: []string{`"format"`}},
	{name: "HA", args: `{"path":"/cluster/ha/resources"}`, says: []string{`"request":"GET /cluster/ha/resources"`}},
	{name: "HA's state", args: `{"path":"/cluster/ha/status/current","fields":["type","status"]}`, says: []string{`"type":"quorum"`}},
	{name: "HA rules", only: 9, args: `{"path":"/cluster/ha/rules"}`, says: []string{`"request":"GET /cluster/ha/rules"`}},
	{name: "HA groups", only: 8, args: `{"path":"/cluster/ha/groups"}`, says: []string{`"request":"GET /cluster/ha/groups"`}},
	{name: "replication", args: `{"path":"/cluster/replication"}`, says: []string{`"request":"GET /cluster/replication"`}},
	{name: "backup jobs", args: `{"path":"/cluster/backup","fields":["id","schedule"],"sort":"-id","limit":1}`,
		says: []string{`"rows":[{"id":"backup-weekly","schedule":"sat 03:00"}]`, `"total":3,"left_out":2,"more":"offset: 1, or a filter"`}},
	{name: "fields in one text", args: `{"path":"/cluster/backup","fields":"id, data.*.schedule","limit":1}`, says: []string{`{"id":"backup-nightly","schedule":"21:00"}`}},
	{name: "who is in no job", args: `{"path":"/cluster/backup-info/not-backed-up","fields":["vmid","name"]}`, says: []string{`"rows":[{"name"`}},
	{name: "SDN zones", args: `{"path":"/cluster/sdn/zones"}`, says: []string{`"request":"GET /cluster/sdn/zones"`}},
	{name: "SDN vnets", args: `{"path":"/cluster/sdn/vnets"}`, path: "/cluster/sdn/vnets", answer: `[{"vnet":"lab","zone":"z","tag":30}]`, says: []string{`"tag":30`}},
	{name: "an IPAM", args: `{"path":"/cluster/sdn/ipams/box"}`, path: "/cluster/sdn/ipams/box",
		answer: `{"ipam":"box","type":"netbox","url":"https://box.lan/api/s3cr3t-in-a-path","token":"0123456789abcdef"}`,
		says:   []string{`"token":"**********"`, `"url":"https://box.lan/**********"`, `"masked":["token","url"]`}},
	{name: "a webhook", args: `{"path":"/cluster/notifications/endpoints/webhook/chat"}`, path: "/cluster/notifications/endpoints/webhook/chat",
		answer: `{"name":"chat","url":"https://hooks.example.com/T000/B000/XXXX","header":["name=Authorization,value=QmVhcmVyIHg="],"secret":["name=key,value=aHVudGVyMg=="]}`,
		says:   []string{`"header":["**********"]`, `"secret":["**********"]`, `https://hooks.example.com/**********`}},
	{name: "ACME accounts", args: `{"path":"/cluster/acme/account"}`, path: "/cluster/acme/account", answer: `[{"name":"default"}]`, says: []string{`{"name":"default"}`}},
	{name: "ACME plugins", args: `{"path":"/cluster/acme/plugins"}`, path: "/cluster/acme/plugins", answer: `[{"plugin":"cf","type":"dns","api":"cf","data":"CF_Token=hunter2hunter2"}]`,
		says: []string{`"data":"**********"`, `"masked":["data"]`}},
	{name: "certificates", args: `{"path":"/nodes/pve1/certificates/info","fields":["filename","notafter"]}`, says: []string{`"filename":"pve-ssl.pem"`}},
	{name: "metrics servers", args: `{"path":"/cluster/metrics/server"}`, says: []string{"PVE's list is empty"}},
	{name: "pools", args: `{"path":"/pools","fields":["poolid"]}`, says: []string{`{"poolid":"`}},
	{name: "settings of a node", args: `{"path":"/nodes/pve1/dns"}`, says: []string{`"dns1"`}},
	{name: "time of a node", args: `{"path":"/nodes/pve3/time","fields":["timezone"]}`, says: []string{`"data":{"timezone"`}},
	{name: "network of a node", args: `{"path":"/nodes/pve1/network","params":{"type":"bridge"},"fields":["iface"]}`, says: []string{`{"iface":"vmbr0"}`}},
	{name: "settings of the datacenter", args: `{"path":"/cluster/options"}`, says: []string{`"data":{`}},
	{name: "users", args: `{"path":"/access/users","sort":"userid","fields":["userid"]}`, says: []string{`{"userid":"audit@pve"}`}},
	{name: "tokens", args: `{"path":"/access/users/audit@pve/token"}`, says: []string{`"tokenid":"mcp"`}},
	{name: "permissions", args: `{"path":"/access/acl","limit":2}`, says: []string{`"roleid"`}},
	{name: "roles", args: `{"path":"/access/roles/PVEAuditor"}`, says: []string{`"VM.Audit":1`}},
	{name: "a container", args: `{"path":"/nodes/{node}/lxc/{vmid}/config","params":{"vmid":200},"fields":["host*"]}`, says: []string{`"data":{"hostname":"`}},
	{name: "a guest by its name", args: `{"path":"/nodes/{node}/qemu/web-1/status/current","fields":["name"]}`, says: []string{`"data":{"name":"web-1"}`}},
	{name: "disks without SMART", args: `{"path":"/nodes/pve1/disks/list","params":{"skipsmart":true},"fields":["devpath"]}`, says: []string{`"devpath":"/dev/`}},
}

// Every area can be read, in 8 and in 9.
func TestReadAreas(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.5"} {
		var stories []sim.Story
		for _, a := range areas {
			if a.only != 0 && !strings.HasPrefix(version, fmt.Sprint(a.only)) {
				continue
			}
			s := sim.Story{
				Name: version + " " + a.name, Args: a.args, Says: a.says, Outcome: tool.OK,
				Options: sim.Options{Model: sim.Cluster(sim.Version(version)), Token: auditor},
			}
			if a.path != "" {
				s.Wire = sim.Answers("/api2/json"+a.path, a.answer)
			}
			stories = append(stories, s)
		}
		sim.Tell(t, "pve_api_read", stories)
	}
}

// What is refused says why, what would be right, and sends nothing of what was asked for.
func TestReadRefuses(t *testing.T) {
	effort.SkipShort(t)
	for args, want := range map[string]string{
		`{"path":"cluster/backup"}`:                                                      `path: "/cluster/backup"`,
		`{"path":"/cluster//backup"}`:                                                    `path: "/cluster/backup"`,
		`{"path":"/cluster/backup/"}`:                                                    `path: "/cluster/backup"`,
		`{"path":"/api2/json/cluster/backup"}`:                                           `path: "/cluster/backup"`,
		`{"path":"/cluster/./backup"}`:                                                   `it has dots in it. The right form is path: "/cluster/backup"`,
		`{"path":"/nodes/pve1/../../cluster/backup"}`:                                    "it has dots in it",
		`{"path":"/nodes/pve1/storage/local/content/local%3Aiso%2Fx.iso"}`:               `it is URL-encoded. The right form is path: "/nodes/pve1/storage/local/content/local:iso/x.iso"`,
		`{"path":"/cluster/resources?type=vm"}`:                                          `The right form is path: "/cluster/resources", params: {"type": "vm"}`,
		`{"path":"/cluster/backup#x"}`:                                                   `it has the fragment #x. The right form is path: "/cluster/backup"`,
		`{"path":"https://pve1:8006/api2/json/cluster/backup"}`:                          `it is a URL. The right form is path: "/cluster/backup"`,
		`{"path":"/cluster/back up"}`:                                                    "white space",
		`{"path":"/cluster/backups"}`:                                                    "has no endpoint GET /cluster/backups. The nearest are /cluster/backup, ",
		`{"path":"/nodes/{node}/qemu/100/firewal/rules"}`:                                "The nearest are /nodes/{node}/qemu/{vmid}/firewall/rules, ",
		`{"path":"/nodes/pve1/vzdump"}`:                                                  "There is only POST /nodes/{node}/vzdump",
		`{"path":"/nodes/{node}/status"}`:                                                "The nodes are pve1, pve2 and pve3",
		`{"path":"/nodes/pve9/status"}`:                                                  `There is no node "pve9". The nodes are`,
		`{"path":"/nodes/{node}/qemu/200/config"}`:                                       "200 is a container. The path is /nodes/{node}/lxc/200/config",
		`{"path":"/nodes/{node}/qemu/nobody/config"}`:                                    "vmid: type check ('integer') failed - got 'nobody'",
		`{"path":"/nodes/{node}/storage/local/content"}`:                                 "each node has a storage local of its own",
		`{"path":"/nodes/{node}/storage/nowhere/content"}`:                               `There is no storage "nowhere"`,
		`{"path":"/cluster/backup/{id}"}`:                                                "GET /cluster/backup lists what there is",
		`{"path":"/cluster/resources","params":{"typo":"vm"}}`:                           "(did you mean type?)",
		`{"path":"/cluster/resources","params":{"type":{"a":1}}}`:                        "is an object",
		`{"path":"/nodes/pve1/tasks","params":{"limit":-1}}`:                             "limit: value must have a minimum value of 0. Right would be limit: a number ≥0",
		`{"path":"/nodes/pve1/qemu/100/config","params":{"vmid":101}}`:                   "vmid is 100 in path, and something else in params",
		`{"path":"/nodes/pve1/scan/nfs","params":{"server":"10.0.0.9"}}`:                 "the node asks an address that the caller names. It counts as a change",
		`{"path":"/nodes/pve1/disks/smart","params":{"disk":"/dev/sda"}}`:                "more than a read",
		`{"path":"/nodes/pve1/disks/list"}`:                                              `{"skipsmart": true}`,
		`{"path":"/nodes/pve1/qemu/100/agent/file-read","params":{"file":"/etc/hosts"}}`: "enters a guest",
		`{"path":"/nodes/pve1/qemu/100/agent/exec-status","params":{"pid":1}}`:           "enters a guest",
		`{"path":"/nodes/pve1/rrd","params":{"ds":"cpu","timeframe":"hour"}}`:            "is never sent: it answers with a picture",
		`{"path":"/access/users","sort":"nope"}`:                                         `No row has the field "nope" to sort by; there are`,
	} {
		w := sim.New(t, sim.Options{Token: auditor, Policy: policy.Policy{Exec: true}})
		a := w.Call("pve_api_read", args)
		if !a.IsError || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %s\nwant %s", args, a.Text, want)
		}
		for _, sent := range w.Sent() {
			if !slices.Contains([]string{"GET /version", "GET /nodes/{node}/version", "GET /cluster/resources", "GET /access/users"}, sent) {
				t.Errorf("%s: %s was sent", args, sent)
			}
		}
	}
}

// Nothing is read twice in a call.
func TestReadIsThrifty(t *testing.T) {
	for args, want := range map[string]int{
		`{"path":"/cluster/backup"}`:                         2,
		`{"path":"/nodes/pve1/dns"}`:                         2,
		`{"path":"/nodes/{node}/qemu/100/firewall/rules"}`:   3,
		`{"path":"/nodes/{node}/storage/nfs/status"}`:        4,
		`{"path":"/nodes/{node}/qemu/web-1/status/current"}`: 3,
		`{"path":"/nodes/{node}/replication/105-0/status"}`:  3,
	} {
		w := sim.New(t, sim.Options{Token: auditor})
		if w.Call("pve_api_read", args); len(w.Sent()) > want {
			t.Errorf("%s: over %d requests", args, want)
		}
	}
}

// What guests and people have written is text, and secrets in it are masked.
func TestReadCleans(t *testing.T) {
	w := sim.New(t, sim.Options{Token: auditor, Model: sim.Cluster(sim.Set(100,
		"description=see \x1b[31mred\u202e, password: hunter2", "cipassword=hunter2hunter2", "tags=prod"))})
	a := w.Call("pve_api_read", `{"path":"/nodes/{node}/qemu/100/config"}`)
	for _, never := range []string{"hunter2", "\x1b", "\u202e"} {
		if strings.Contains(a.Text, never) {
			t.Errorf("%q in %s", never, a.Text)
		}
	}
	if !strings.Contains(a.Text, `"masked":["cipassword","description"]`) || !strings.Contains(a.Text, `"tags":"prod"`) {
		t.Errorf("%s", a.Text)
	}
}

// An answer of any size is bounded, and says what is missing.
func TestReadIsBounded(t *testing.T) {
	effort.SkipShort(t)
	deep := map[string]any{"list": slices.Repeat([]any{strings.Repeat("long ", 2000)}, 3000)}
	for i := range 500 {
		deep[fmt.Sprintf("field%d", i)] = strings.Repeat("x", 3000)
	}
	data, err := json.Marshal(deep)
	if err != nil {
		t.Fatal(err)
	}
	w := sim.New(t, sim.Options{Token: auditor, Wire: sim.Answers("/cluster/options", string(data))})
	a := w.Call("pve_api_read", `{"path":"/cluster/options"}`)
	if len(a.Text) > tool.AnswerBytes || !strings.Contains(a.Text, "choose with fields") {
		t.Errorf("%d bytes: %.300s", len(a.Text), a.Text)
	}
	a = w.Call("pve_api_read", `{"path":"/cluster/options","fields":["list.0"]}`)
	if len(a.Text) > tool.AnswerBytes || !strings.Contains(a.Text, "long long") {
		t.Errorf("%d bytes: %.300s", len(a.Text), a.Text)
	}
}

// newer is a node that has more than is known: an endpoint and a parameter.
type newer struct{ http.RoundTripper }

func (n newer) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := func(body string) (*http.Response, error) {
		return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	switch {
	case strings.HasSuffix(req.URL.Path, "/apidoc.js"):
		if req.Header.Get("Authorization") != "" {
			return nil, fmt.Errorf("the token was sent for a file for everybody")
		}
		return answer(`const apiSchema = [{"path":"/cluster/moons","info":{"GET":{"description":"Moons."},"POST":{"description":"A moon."}}},
			{"path":"/cluster/status","info":{"GET":{"parameters":{"additionalProperties":0,"properties":{"phase":{"type":"string","optional":1}}}}}}];`)
	case req.URL.Query().Get("phase") != "":
		return answer(`{"data":[{"phase":"full"}]}`)
	}
	return n.RoundTripper.RoundTrip(req)
}

// What a node has and this program does not know is shown, and is sent only where the guard
// knows what it does.
func TestNewerNode(t *testing.T) {
	w := sim.New(t, sim.Options{Token: auditor, Wire: func(rt http.RoundTripper) http.RoundTripper { return newer{rt} }})
	a := w.Call("pve_api_search", `{"query":"moons"}`)
	if !strings.Contains(a.Text, `"path":"/cluster/moons"`) || !strings.Contains(a.Text, "this server does not know what it does") {
		t.Errorf("%s", a.Text)
	}
	if a := w.Call("pve_api_read", `{"path":"/cluster/moons"}`); !a.IsError || !strings.Contains(a.Text, "this server does not know what GET /cluster/moons reads") {
		t.Errorf("%s", a.Text)
	}
	if a := w.Call("pve_api_read", `{"path":"/cluster/status","params":{"phase":"x"}}`); a.IsError || !strings.Contains(a.Text, `"phase":"full"`) {
		t.Errorf("%s", a.Text)
	}
}

// byState are recorded refusals that only the state of the node tells, so that asking for it
// would be the same request.
var byState = []string{"No such storage.", "no such task", "VM 900 already exists"}

// Every recorded read that PVE has refused for its parameters is refused before it is sent, in
// PVE's words.
func TestRecordedReadsAreRefusedBefore(t *testing.T) {
	effort.SkipShort(t)
	refused, byStateAlone := 0, 0
	for _, row := range recorded.Rows(t) {
		if !row.IsRequest() || row.Method != http.MethodGet || row.Status != http.StatusBadRequest {
			continue
		}
		var body struct{ Errors map[string]string }
		if err := json.Unmarshal(row.Body, &body); err != nil {
			t.Fatal(err)
		}
		args, err := json.Marshal(map[string]any{"path": plainPath(row.Path), "params": row.Params})
		if err != nil {
			t.Fatal(err)
		}
		m := pvesim.Recorded()
		if row.File == "nine_hands" { // which was asked of the 9.2 node itself
			slices.Reverse(m.Nodes)
		}
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: &m, Token: auditor, Policy: policy.Policy{Exec: true}})
			a := w.Call("pve_api_read", string(args))
			for name, message := range body.Errors {
				if slices.Contains(byState, message) {
					byStateAlone++
					return
				}
				if want := name + ": " + strings.Join(strings.Fields(message), " "); !a.IsError || !strings.Contains(strings.Join(strings.Fields(a.Text), " "), want) {
					t.Errorf("%v: %s\nwant %s", row, a.Text, want)
				}
			}
			if sent := w.Sent(); slices.ContainsFunc(sent, func(s string) bool { return !strings.HasSuffix(s, "/version") && s != "GET /cluster/resources" }) {
				t.Errorf("%v: %v", row, sent)
			}
			refused++
		})
	}
	t.Logf("%d rows refused before they are sent, %d that only the node's state tells", refused, byStateAlone)
}

// plainPath is a path as the tool takes it.
func plainPath(path string) string {
	return strings.NewReplacer("%3A", ":", "%40", "@", "%2F", "/").Replace(path)
}

// stateful are endpoints that answer 400 for what is not there.
var stateful = []string{
	"/nodes/{node}/storage/{storage}/status", "/nodes/{node}/storage/{storage}/rrddata", "/nodes/{node}/tasks/{upid}", "/nodes/{node}/tasks/{upid}/log",
	"/cluster/firewall/aliases/{name}", "/nodes/{node}/qemu/{vmid}/firewall/aliases/{name}", "/nodes/{node}/lxc/{vmid}/firewall/aliases/{name}",
	"/nodes/{node}/tasks/{upid}/status", "/cluster/nextid", "/nodes/{node}/network/{iface}", "/cluster/backup/{id}", "/cluster/backup/{id}/included_volumes",
}

// Whatever a model writes, nothing is sent that PVE refuses for its parameters, nor what the
// guard does not take for a plain read.
func TestReadSendsOnlyWhatIsRight(t *testing.T) {
	effort.SkipShort(t)
	for _, version := range []string{"8.4.1", "9.1.5", "8.4.1 and 9.1.5"} {
		known, err := apischema.Load(int(version[0] - '0'))
		if err != nil {
			t.Fatal(err)
		}
		var reads []*apischema.Endpoint
		for _, ep := range known.Endpoints() {
			if ep.Method == http.MethodGet {
				reads = append(reads, ep)
			}
		}
		first, second, _ := strings.Cut(version, " and ")
		m := sim.Cluster(sim.Version(first))
		m.Nodes[1].PVE = second
		hundreds(t, 3, func(r *rapid.T) {
			w := sim.New(t, sim.Options{Model: m, Token: auditor, Policy: policy.Policy{Exec: true}})
			ep := rapid.SampledFrom(reads).Draw(r, "endpoint")
			args, err := json.Marshal(map[string]any{"path": somePath(r, ep), "params": someParams(r, ep)})
			if err != nil {
				r.Fatal(err)
			}
			a := w.Call("pve_api_read", string(args))
			for _, sent := range w.Sim.Requests() {
				if sent.Status == http.StatusBadRequest && !slices.Contains(stateful, sent.Endpoint) {
					r.Fatalf("%s: %s %s is refused with 400: %s", args, sent.Method, sent.Path, a.Text)
				}
				row, known := policy.Describe(sent.Method, strings.Split(sent.Endpoint, "/")[1:], map[string][]string{"skipsmart": {"1"}})
				if sent.Endpoint != "" && (!known || !row.IsPlainRead()) {
					r.Fatalf("%s: %s was sent", args, sent.Endpoint)
				}
			}
			if a.IsError && strings.Contains(a.Text, "was not sent") {
				r.Fatalf("%s: the guard had to refuse it: %s", args, a.Text)
			}
		})
	}
}

func somePath(r *rapid.T, ep *apischema.Endpoint) string {
	var out []string
	for part := range strings.SplitSeq(strings.TrimPrefix(ep.Path, "/"), "/") {
		values := map[string][]string{
			"{node}": {"pve1", "pve2", "{node}", "pve9", "localhost"}, "{vmid}": {"100", "200", "99", "abc", "{vmid}", "99999"},
			"{storage}": {"nfs", "local", "nowhere", "not a storage"}, "{snapname}": {"before-upgrade", "1"}, "{upid}": {"UPID:x", "nothing"},
			"{volume}": {"nfs:iso/x.iso", "x"}, "{service}": {"pveproxy", "nosuch"}, "{cidr}": {"10.0.0.0/8", "x"}, "{pos}": {"0", "-1", "x"},
		}[part]
		if strings.HasPrefix(part, "{") {
			part = rapid.SampledFrom(append(values, "x1", "what-ever")).Draw(r, part)
		}
		out = append(out, part)
	}
	return "/" + strings.Join(out, "/")
}

func someParams(r *rapid.T, ep *apischema.Endpoint) map[string]any {
	out := map[string]any{}
	for name, s := range ep.Params {
		if strings.Contains(ep.Path, "{"+name+"}") || !rapid.Bool().Draw(r, name) {
			continue
		}
		values := []any{"1", 0, true, -1, "x", "", "100", []any{"a", "b"}, "10.0.0.1", "2026-11-29", 1e9}
		for _, word := range s.Enum {
			values = append(values, word)
		}
		out[strings.TrimSuffix(name, "[n]")] = rapid.SampledFrom(values).Draw(r, name+" is")
	}
	return out
}
