package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// sink is a transport that only counts what reaches it.
type sink struct{ sent []string }

func (s *sink) RoundTrip(req *http.Request) (*http.Response, error) {
	s.sent = append(s.sent, req.Method+" "+req.URL.Path)
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
}

// try sends a request through a guard and returns why it was not sent, "" if it was.
func try(ctx context.Context, t *testing.T, g *policy.Guard, method, target string) string {
	t.Helper()
	below := &sink{}
	path, query, _ := strings.Cut(target, "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	address := "https://pve/base/api2/json" + path
	body := strings.NewReader("")
	if method == http.MethodPost || method == http.MethodPut {
		body = strings.NewReader(form.Encode())
	} else {
		address += "?" + form.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.Transport(below).RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if (err == nil) != (len(below.sent) == 1) {
		t.Fatalf("%s %s: %v, and %v left the process", method, target, err, below.sent)
	}
	var refused *policy.RefusedError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	if err != nil {
		return refused.Reason
	}
	return ""
}

const (
	sent      = "" // no reason
	readOnly  = "this server is read-only"
	noExec    = "commands in guests are off"
	noConsent = "it would lose data, and nobody has consented"
	unknown   = "nothing is known of what it changes"
	unread    = "nothing is known of what it reads"
	nodeShell = "it is a shell of the node itself"
	access    = "it changes who may do what"
	twice     = "the parameter"
	noText    = "a parameter is no text"
	mayRun    = "whether guest 103, whose volume is named, is running is unknown"
	oddPath   = "its path is not in the form in which it would be read"
)

// What leaves the process under each policy, without any consent.
func TestTransport(t *testing.T) {
	for _, tt := range []struct{ method, target, byDefault, withExec string }{
		{"GET", "/nodes/a/qemu/100/status/current", sent, sent},
		{"POST", "/nodes/a/qemu/100/status/start", sent, sent},
		{"POST", "/nodes/a/lxc/100/status/stop", sent, sent},
		{"PUT", "/nodes/a/qemu/100/config?cores=2", sent, sent},
		{"PUT", "/nodes/a/qemu/100/config?delete=scsi1,cores", sent, sent},
		{"PUT", "/nodes/a/qemu/100/config?delete=scsi1,unused0", noConsent, noConsent},
		{"POST", "/nodes/a/qemu/100/config?delete=scsi1&force=1", noConsent, noConsent},
		{"PUT", "/nodes/a/lxc/100/config?delete=vmstate", noConsent, noConsent},
		{"PUT", "/nodes/a/lxc/100/config?protection=0", noConsent, noConsent},
		{"PUT", "/nodes/a/lxc/100/config?protection=1", sent, sent},
		{"PUT", "/nodes/a/lxc/100/config?delete=protection", noConsent, noConsent},
		{"DELETE", "/nodes/a/qemu/100", noConsent, noConsent},
		{"DELETE", "/nodes/a/lxc/100?purge=1", noConsent, noConsent},
		{"DELETE", "/nodes/a/qemu/100/snapshot/one", noConsent, noConsent},
		{"POST", "/nodes/a/qemu/100/snapshot/one/rollback", noConsent, noConsent},
		{"POST", "/nodes/a/qemu/100/snapshot", sent, sent},
		{"POST", "/nodes/a/qemu?vmid=100&archive=x", sent, sent},
		{"POST", "/nodes/a/qemu?vmid=100&archive=x&force=1", noConsent, noConsent},
		{"POST", "/nodes/a/lxc?vmid=100&ostemplate=x&force=1&force=0", twice, twice},
		{"POST", "/nodes/a/qemu?vmid=100&archive=x&force=yes", noConsent, noConsent}, // PVE refuses it
		{"PUT", "/nodes/a/qemu/100/config?delete=cores%09unused0", noConsent, noConsent},
		{"PUT", "/nodes/a/qemu/100/config?delete=cores%C2%A0unused0", noConsent, noConsent},
		{"PUT", "/nodes/a/qemu/100/config?delete=cores%0Aprotection", noConsent, noConsent},
		{"PUT", "/nodes/a/qemu/100/config?delete=cores%00unused0", noText, noText},
		{"PUT", "/nodes/a/qemu/100/config?delete=cores%FFunused0", noText, noText},
		{"PUT", "/nodes/a/qemu/100/config?protection=false", noConsent, noConsent},
		{"PUT", "/nodes/a/qemu/100/config?protection=1&protection=0", twice, twice},
		{"PUT", "/nodes/a/qemu/100/config?template=1", noConsent, noConsent},
		{"PUT", "/nodes/a/qemu/100/config?template=0", sent, sent},
		{"POST", "/nodes/a/vzdump?vmid=100&remove=1&remove=0", twice, twice},
		{"PUT", "/nodes/a/qemu//100/config?cores=2", oddPath, oddPath},
		{"PUT", "/nodes/a/qemu/100/config/?cores=2", oddPath, oddPath},
		{"PUT", "/nodes/a/qemu/100/snapshot/../config?cores=2", oddPath, oddPath},
		{"DELETE", "/nodes/a/qemu/100%2Fsnapshot/x", oddPath, oddPath},
		{"DELETE", "/nodes/a/qemu/1%30%30", oddPath, oddPath},
		{"DELETE", "/nodes/a/storage/s/content/s:iso%2F..%2Fimages%2Fx", oddPath, oddPath},
		{"DELETE", "/nodes/a/storage/s/content/s:iso/x.iso", noConsent, noConsent},
		{"GET", "/nodes/a/qemu/100/agent/exec%2Dstatus?pid=1", oddPath, oddPath},
		{"GET", "/nodes/a/qemu/100/agent/file-read/?file=x", oddPath, oddPath},
		{"GET", "/nodes/a/qemu/100//agent/file-read?file=x", oddPath, oddPath},
		{"GET", "/nodes/a/qemu/100/agent%2Ffile-read?file=x", oddPath, oddPath},
		{"GET", "/nodes/a/qemu/100/x/../agent/file-read?file=x", oddPath, oddPath},
		{"DELETE", "/nodes/a/tasks/UPID:a:00000001:00000001:60000000:qmstart:100:root@pam:", sent, sent},
		{"DELETE", "/nodes/a/tasks/UPID:a:00000001:00000001:60000000:qmrestore:100:root@pam:", noConsent, noConsent},
		{"DELETE", "/nodes/a/tasks/UPID::::::100:qmrestore:", noConsent, noConsent},
		{"DELETE", "/nodes/a/tasks/UPID:a:00000001:00000001:60000000:imgdel:100@local:root@pam:", noConsent, noConsent},
		{"POST", "/nodes/a/vzdump?vmid=100&remove=0", sent, sent},
		{"POST", "/nodes/a/vzdump?vmid=100", noConsent, noConsent},
		{"POST", "/nodes/a/vzdump?vmid=100&remove=0&prune-backups=keep-last%3D1", noConsent, noConsent},
		{"DELETE", "/nodes/a/storage/s/content/s:backup%2Fvzdump-qemu-100-x.vma", noConsent, noConsent},
		{"DELETE", "/nodes/a/storage/s/prunebackups?vmid=100", noConsent, noConsent},
		{"POST", "/nodes/a/qemu/100/agent/exec?command=ls", noExec, sent},
		{"GET", "/nodes/a/qemu/100/agent/exec-status?pid=1", noExec, sent},
		{"GET", "/nodes/a/qemu/100/agent/file-read?file=x", noExec, sent},
		{"GET", "/nodes/a/qemu/100/agent/network-get-interfaces", sent, sent},
		{"POST", "/nodes/a/qemu/100/agent/file-write?file=x", noExec, sent},
		{"POST", "/nodes/a/qemu/100/agent/set-user-password", noExec, sent},
		{"POST", "/nodes/a/qemu/100/monitor?command=quit", "QEMU's monitor", "QEMU's monitor"},
		{"PUT", "/nodes/a/qemu/100/sendkey?key=ret", noExec, sent},
		{"POST", "/nodes/a/qemu/100/vncproxy", noExec, sent},
		{"GET", "/nodes/a/qemu/100/vncwebsocket?port=5900&vncticket=x", noExec, sent},
		{"GET", "/nodes/a/vncwebsocket?port=5900&vncticket=x", nodeShell, nodeShell},
		{"POST", "/nodes/a/termproxy", nodeShell, nodeShell},
		{"POST", "/nodes/a/execute?commands=[]", "it makes other requests", "it makes other requests"},
		{"POST", "/access/ticket?username=x&password=y", "it is a login", "it is a login"},
		{"POST", "/nodes/a/qemu/100/status/start?skiplock=1", "skiplock works around a lock", "skiplock works around a lock"},
		{"DELETE", "/nodes/a/qemu/100?skiplock=0", "skiplock works around a lock", "skiplock works around a lock"},
		{"POST", "/nodes/a/status?command=reboot", noConsent, noConsent},
		{"POST", "/nodes/localhost/stopall", "localhost is whichever node answers", "localhost is whichever node answers"},
		{"PUT", "/nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0&vmid=x", mayRun, mayRun},
		{"POST", "/nodes/a/qemu?scsi1=local-zfs:vm-103-disk-0&vmid=x", mayRun, mayRun},
		{"PUT", "/nodes/a/disks/wipedisk?disk=/dev/sda", noConsent, noConsent},
		{"DELETE", "/cluster/backup/nightly", noConsent, noConsent},
		{"DELETE", "/cluster/firewall/ipset/lan/10.0.0.0%2F8", noConsent, noConsent},
		{"POST", "/nodes/a/qemu/100/move_disk?disk=scsi0&storage=x", sent, sent},
		{"POST", "/nodes/a/qemu/100/move_disk?delete=1&disk=scsi0&storage=x", noConsent, noConsent},
		{"PUT", "/nodes/a/storage/s/content/s:backup%2Fx?protected=0", noConsent, noConsent},
		{"GET", "/nodes/a/nothing", unread, unread},
		{"GET", "/nodes/a/disks/list?skipsmart=1", sent, sent},
		{"POST", "/access/users?userid=x", access, access},
		{"PUT", "/access/acl?path=/&roles=Administrator", access, access},
		{"DELETE", "/nodes/a", unknown, unknown},
		{"PATCH", "/nodes/a/qemu/100/config", unknown, unknown},
	} {
		inReadOnly := readOnly
		if tt.byDefault == oddPath || tt.method == http.MethodGet && tt.byDefault != noExec {
			inReadOnly = tt.byDefault
		}
		for _, p := range []struct {
			policy policy.Policy
			want   string
		}{
			{policy.Policy{}, tt.byDefault},
			{policy.Policy{Exec: true}, tt.withExec},
			{policy.Policy{ReadOnly: true, Exec: true}, inReadOnly},
		} {
			got := try(t.Context(), t, &policy.Guard{Policy: p.policy}, tt.method, tt.target)
			if !strings.HasPrefix(got, p.want) || p.want == "" && got != "" {
				t.Errorf("%+v: %s %s: %q, want %q", p.policy, tt.method, tt.target, got, p.want)
			}
		}
	}
}

// A read that has the node ask others, or wakes what sleeps, is none in read-only mode.
func TestReadsThatAct(t *testing.T) {
	for target, want := range map[string]string{
		"/nodes/a/query-url-metadata?url=http://x/": readOnly,
		"/nodes/a/scan/nfs?server=x":                readOnly,
		"/nodes/a/disks/smart?disk=/dev/sda":        readOnly,
		"/nodes/a/disks/list":                       readOnly,
		"/nodes/a/disks/list?skipsmart=0":           readOnly,
		"/nodes/a/disks/list?skipsmart=1":           sent,
		"/nodes/a/scan/zfs":                         sent,
	} {
		if got := try(t.Context(), t, &policy.Guard{Policy: policy.Policy{ReadOnly: true}}, http.MethodGet, target); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

// Where nothing may be lost, no consent lets a destructive request pass, and others pass.
func TestKeepData(t *testing.T) {
	g := &policy.Guard{Policy: policy.Policy{KeepData: true}}
	for target, lost := range map[[2]string]bool{
		{"DELETE", "/nodes/a/qemu/100"}:                                           true,
		{"DELETE", "/nodes/a/lxc/100/snapshot/one"}:                               true,
		{"DELETE", "/cluster/backup/nightly"}:                                     true,
		{"POST", "/nodes/a/qemu/100/snapshot/one/rollback"}:                       true,
		{"POST", "/nodes/a/qemu/100/move_disk?delete=1&disk=scsi0&storage=x"}:     true,
		{"PUT", "/nodes/a/qemu/100/config?delete=scsi1&force=1"}:                  true,
		{"POST", "/nodes/a/vzdump?prune-backups=keep-last%3D1&remove=1&vmid=100"}: true,
		{"POST", "/nodes/a/qemu/100/move_disk?disk=scsi0&storage=x"}:              false,
		{"POST", "/nodes/a/qemu/100/status/start"}:                                false,
		{"POST", "/nodes/a/qemu/100/snapshot?snapname=one"}:                       false,
	} {
		ctx := consented(t).Grant(t.Context(), policy.Target{Method: target[0], Path: "/nodes/*/qemu/*", Subject: policy.Guest(100)})
		got := try(ctx, t, g, target[0], target[1])
		if refused := strings.HasPrefix(got, "destructive changes are off (PVE_MCP_DESTRUCTIVE=false)"); refused != lost || !lost && got != "" {
			t.Errorf("%s: %q", strings.Join(target[:], " "), got)
		}
	}
}

// consented returns the consent of a human.
func consented(t *testing.T) policy.Consent {
	t.Helper()
	d, c := policy.Policy{}.Decide(policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "accept", Agreed: true}})
	if d != policy.Granted {
		t.Fatal(d)
	}
	return c
}

// A grant is good for one request of one kind to one guest.
func TestGrant(t *testing.T) {
	g := &policy.Guard{}
	target := policy.Target{Method: "DELETE", Path: "/nodes/*/qemu/*", Subject: policy.Guest(100)}
	for request, want := range map[string]string{
		"DELETE /nodes/a/qemu/100":                        sent,
		"DELETE /nodes/a/qemu/101":                        "the consent was for DELETE /nodes/*/qemu/* of guest 100",
		"DELETE /nodes/a/lxc/100":                         "the consent was for",
		"DELETE /nodes/a/qemu/100/snapshot/one":           "the consent was for",
		"POST /nodes/a/qemu/100/snapshot/one/rollback":    "the consent was for",
		"DELETE /nodes/a/qemu/100?vmid=101":               "the consent was for",
		"POST /nodes/a/qemu?vmid=100&archive=x&force=1":   "the consent was for",
		"POST /nodes/a/vzdump?vmid=100,101&prune-backups": "the consent was for",
	} {
		method, path, _ := strings.Cut(request, " ")
		ctx := consented(t).Grant(t.Context(), target)
		if got := try(ctx, t, g, method, path); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	ctx := consented(t).Grant(t.Context(), target)
	for i, want := range []string{sent, "the consent was used already"} {
		if got := try(ctx, t, g, "DELETE", "/nodes/a/qemu/100"); got != want {
			t.Errorf("request %d: %q, want %q", i+1, got, want)
		}
	}
	if got := try(policy.Consent{}.Grant(t.Context(), target), t, g, "DELETE", "/nodes/a/qemu/100"); got != noConsent {
		t.Errorf("a consent of nobody: %q", got)
	}
}

// answering is a transport that answers each request alike.
type answering struct{ status, body string }

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	var code int
	_, _ = fmt.Sscan(a.status, &code)
	return &http.Response{Status: a.status, StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// A consent counts again after PVE's own refusal alone: whatever else answers may have
// passed the request on.
func TestAGrantComesBackAfterARefusal(t *testing.T) {
	for _, tt := range []struct {
		status, body string
		back         bool
	}{
		{"500 Configuration file 'nodes/a/qemu-server/100.conf' does not exist", `{"data":null}`, true},
		{"403 Permission check failed (/vms/100, VM.Allocate)", "", true},
		{"595 No route to host", "", true},
		{"500 Internal Server Error", "<html>", false},
		{"500 Internal Server Error", "", false},
		{"403 Forbidden", "<html>", false},
		{"404 Not Found", "", false},
		{"408 Request Timeout", "", false},
		{"499 Client Closed Request", "", false},
		{"596 Broken pipe", "", false},
		{"200 OK", `{"data":"UPID:..."}`, false},
		{"200 OK", "{}", false},
	} {
		target := policy.Target{Method: "DELETE", Path: "/nodes/*/qemu/*", Subject: policy.Guest(100)}
		ctx := consented(t).Grant(t.Context(), target)
		wire := (&policy.Guard{}).Transport(answering{tt.status, tt.body})
		var err error
		for range 2 {
			req, bad := http.NewRequestWithContext(ctx, "DELETE", "https://pve/api2/json/nodes/a/qemu/100", nil)
			if bad != nil {
				t.Fatal(bad)
			}
			var resp *http.Response
			if resp, err = wire.RoundTrip(req); err == nil {
				if body, bad := io.ReadAll(resp.Body); bad != nil || string(body) != tt.body {
					t.Errorf("%s: its body is read as %q, %v", tt.status, body, bad)
				}
				resp.Body.Close()
			}
		}
		if (err == nil) != tt.back {
			t.Errorf("%s %q: the second request: %v, and the consent should be back: %v", tt.status, tt.body, err, tt.back)
		}
	}
}

// rules makes a guard over a cluster in which guest 100 has the tag prod, and 101 is in
// the pool web; what is known of guest 666 and of the pool broken cannot be read.
func rules(t *testing.T, protect, allow string) *policy.Guard {
	t.Helper()
	p, err := policy.ParseRules(protect)
	if err != nil {
		t.Fatal(err)
	}
	a, err := policy.ParseRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Guard{
		Policy: policy.Policy{Protect: p, Allow: a, Exec: true},
		Lookup: policy.Lookup{
			Config: func(_ context.Context, w policy.Where) (map[string][]string, error) {
				if w.VMID == 666 {
					return nil, errors.New("no answer")
				}
				config := maps.Clone(configs[w.VMID])
				if w.Snapshot == policy.AllSnapshots && w.VMID == 111 {
					config["tags"] = []string{"lab"}
				}
				if w.Snapshot != "" && w.VMID == 106 {
					config["scsi3"] = []string{"local-zfs:vm-103-disk-3"}
				}
				return config, nil
			},
			Members: func(_ context.Context, pool string) ([]int, error) {
				if pool == "broken" {
					return nil, errors.New("no privilege")
				}
				return map[string][]int{"web": {101}}[pool], nil
			},
			Pool: func(_ context.Context, id int) (string, error) {
				return map[int]string{101: "web", 104: "web/sub"}[id], nil
			},
			Runs: func(_ context.Context, id int) (bool, error) {
				if id == 666 {
					return false, errors.New("no answer")
				}
				return id == 102, nil
			},
			Having: func(_ context.Context, find func(key, value string) (string, bool), mayHave func(int) bool) (out []policy.Holder, err error) {
				for id, config := range configs {
					for key, values := range config {
						for _, value := range values {
							if what, found := find(key, value); found && mayHave(id) {
								out = append(out, policy.Holder{VMID: id, Key: key, What: what})
							}
						}
					}
				}
				if _, of112 := find("scsi0", "local-zfs:vm-112-disk-0"); of112 && mayHave(666) {
					out = append(out, policy.Holder{VMID: 666, Err: errors.New("no answer")})
				}
				return out, nil
			},
			Guests: func(_ context.Context, node string) ([]int, error) {
				if node == "broken" {
					return nil, errors.New("no privilege")
				}
				on := map[string][]int{"a": {100, 101, 102, 105}, "b": {103, 104}, "empty": nil}
				if node == "" {
					return slices.Sorted(slices.Values(slices.Concat(on["a"], on["b"]))), nil
				}
				return on[node], nil
			},
			Content: func(_ context.Context, storage string) ([]string, error) {
				if storage == "broken" {
					return nil, errors.New("no privilege")
				}
				return map[string][]string{"nfs": {"nfs:backup/vzdump-qemu-103-2026_01_01-00_00_00.vma.zst", "nfs:iso/x.iso"}}[storage], nil
			},
			Job: func(_ context.Context, id string) (policy.Selection, error) {
				job, there := jobs[id]
				if !there {
					return job, errors.New("no such job")
				}
				return job, nil
			},
			HA: func(_ context.Context, group, rule string) ([]int, error) {
				if group == "broken" {
					return nil, errors.New("no privilege")
				}
				return map[string][]int{"/": {103}, "prefer/": {103}, "/pair": {103, 105}}[group+"/"+rule], nil
			},
			MovedTogether: func(_ context.Context, w policy.Where, _ string) ([]int, error) {
				return map[int][]int{107: {103}}[w.VMID], nil
			},
		},
	}
}

// configs are those of the guests that have one worth telling. 105 has a disk of 103, 106
// had one when its snapshot was taken, and 108 is about to get one.
var configs = map[int]map[string][]string{
	100: {"tags": {"Prod;x"}},
	103: {"scsi0": {"local-zfs:vm-103-disk-0,size=8G"}},
	105: {"scsi0": {"local-zfs:vm-105-disk-0,size=8G"}, "scsi1": {"local-zfs:vm-103-disk-1,size=8G"}},
	106: {"scsi0": {"local-zfs:vm-106-disk-0,size=8G"}, "ide2": {"local:iso/x.iso,media=cdrom"}, "ide3": {"local:iso/a_b.iso,media=cdrom"}, "mp0": {"/mnt/data,mp=/data"}},
	108: {"scsi0": {"local-zfs:vm-108-disk-0,size=8G", "file=local-zfs:vm-103-disk-2"}},
	109: {"scsi0": {"local-zfs:base-103-disk-0/vm-109-disk-0,size=8G"}},
	110: {"scsi0": {"iscsi:0.0.0.scsi-1"}},
	113: {"scsi1": {"local-zfs:vm-114-disk-0,size=8G"}},
	111: {"scsi0": {"local-zfs:vm-111-disk-0"}},
	115: {"name": {"named"}, "hostpci0": {"mapping=gpu,pcie=1"}, "cpu": {"custom-mine,flags=+aes"}, "net0": {"virtio=BC:24:11:00:00:01,bridge=v1"}},
}

// jobs are the backup jobs.
var jobs = map[string]policy.Selection{
	"listed":   {Guests: []int{100, 103}},
	"other":    {Guests: []int{100}},
	"pooled":   {Pool: "web"},
	"all":      {All: true},
	"excludes": {All: true, Exclude: []int{103}},
	"on-a":     {All: true, Node: "a"},
	"hidden":   {Pool: "broken"},
}

func TestProtectedGuests(t *testing.T) {
	for _, tt := range []struct{ protect, allow, request, want string }{
		{"100", "", "POST /nodes/a/qemu/100/status/stop", "guest 100 is protected (PVE_MCP_PROTECT: 100)"},
		{"100", "", "POST /nodes/a/qemu/101/status/stop", sent},
		{"100-199", "", "PUT /nodes/a/lxc/150/config?cores=1", "guest 150 is protected (PVE_MCP_PROTECT: 100-199)"},
		{"tag:prod", "", "PUT /nodes/a/qemu/100/resize?disk=scsi0", "guest 100 is protected (PVE_MCP_PROTECT: tag:prod)"},
		{"tag:PROD", "", "POST /nodes/a/qemu/101/status/stop", sent},
		{"pool:web", "", "POST /nodes/a/qemu/101/migrate?target=b", "guest 101 is protected (PVE_MCP_PROTECT: pool:web)"},
		{"pool:web", "", "POST /nodes/a/qemu/101/agent/exec?command=ls", "guest 101 is protected"},
		{"tag:prod", "", "POST /nodes/a/qemu/666/status/stop", "whether guest 666 is protected is unknown: rule tag:prod: no answer"},
		{"pool:broken", "", "POST /nodes/a/qemu/100/status/stop", "whether guest 100 is protected is unknown: rule pool:broken: no privilege"},
		{"666,tag:prod", "", "POST /nodes/a/qemu/666/status/stop", "guest 666 is protected (PVE_MCP_PROTECT: 666)"},

		{"", "tag:lab", "POST /nodes/a/qemu/111/migrate?target=b", "guest 111 is not among those that this server may change"}, // its snapshots have the tag
		{"tag:lab", "", "POST /nodes/a/qemu/111/migrate?target=b", sent},

		{"103", "", "POST /nodes/a/qemu/100/move_disk?disk=scsi0&target-vmid=103", "guest 103 is protected (PVE_MCP_PROTECT: 103)"},
		{"", "100", "POST /nodes/a/lxc/100/move_volume?volume=mp0&target-vmid=103", "guest 103 is not among those"},
		{"113", "", "PUT /nodes/a/qemu/114/resize?disk=scsi0", "guest 113 has local-zfs:vm-114-disk-0 as scsi1: guest 113 is protected (PVE_MCP_PROTECT: 113)"},
		{"113", "", "DELETE /nodes/a/qemu/114", "guest 113 has local-zfs:vm-114-disk-0 as scsi1: guest 113 is protected (PVE_MCP_PROTECT: 113)"},
		{"", "114", "DELETE /nodes/a/qemu/114", "guest 113 has local-zfs:vm-114-disk-0 as scsi1: guest 113 is not among those"},
		{"", "113-114", "DELETE /nodes/a/qemu/114", noConsent},
		{"113", "", "PUT /nodes/a/qemu/114/config?cores=2", sent},
		{"113", "", "PUT /nodes/a/qemu/114/config?delete=unused0", "guest 113 has local-zfs:vm-114-disk-0 as scsi1"},
		{"tag:prod", "", "DELETE /nodes/a/qemu/112", "whether guest 666 has a volume of guest 112 is unknown (no answer)"},
		{"113", "", "DELETE /nodes/a/qemu/112", noConsent},

		{"100", "", "POST /nodes/a/vzdump?vmid=100&remove=0", sent},
		{"100", "", "POST /nodes/a/vzdump?vmid=100&remove=0&mode=stop", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/vzdump?vmid=100", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/vzdump?vmid=100,102&remove=0&mode=suspend", "guest 100 is protected"},
		{"100,102", "", "POST /nodes/a/vzdump?vmid=100,101,102&remove=0&mode=stop", "guest 100 is protected (PVE_MCP_PROTECT: 100); guest 102 is protected"},
		{"100", "", "POST /nodes/a/vzdump?all=1&remove=0&mode=stop", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/qemu/100/clone?newid=300", sent},
		{"100,300-399", "", "POST /nodes/a/qemu/100/clone?newid=300", "the new guest 300 would be protected (PVE_MCP_PROTECT: 300-399)"},
		{"pool:web", "", "POST /nodes/a/qemu/102/clone?newid=300&pool=web", "the new guest 300 would be protected (PVE_MCP_PROTECT: pool:web)"},
		{"100", "", "POST /nodes/a/qemu?vmid=100&archive=x", "the new guest 100 would be protected"},
		{"100", "", "POST /nodes/a/qemu?vmid=100&archive=x&force=1", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:vm-100-disk-0", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:100%2Fvm-100-disk-0.qcow2", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:backup%2Fvzdump-lxc-100-x.tar", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:backup%2Fvm%2F100%2F2026-01-01T00:00:00Z", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:iso%2Fx.iso", noConsent},
		{"100", "", "DELETE /nodes/a/tasks/UPID:a:00000001:00000001:60000000:qmstart:100:root@pam:", "guest 100 is protected"},

		{"100", "", "POST /nodes/a/vzdump?vmid=101&all=1&remove=0&mode=stop", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/vzdump?vmid=101&pool=broken&remove=0&mode=stop", "which guests it changes is unknown"},
		{"100", "", "POST /nodes/a/vzdump?vmid=101&all=0&remove=0&mode=stop", sent},
		{"100", "", "POST /nodes/a/vzdump?vmid=101%09100&remove=0&mode=stop", "guest 100 is protected"},

		{"pool:web", "", "POST /nodes/a/qemu/104/status/stop", "guest 104 is protected (PVE_MCP_PROTECT: pool:web)"},
		{"pool:web/sub", "", "POST /nodes/a/qemu/101/status/stop", sent},
		{"pool:we", "", "POST /nodes/a/qemu/104/status/stop", sent},
		{"pool:web", "", "POST /nodes/a/qemu/102/clone?newid=300&pool=web%2Fsub", "the new guest 300 would be protected (PVE_MCP_PROTECT: pool:web)"},
		{"", "pool:web", "POST /nodes/a/qemu/104/status/stop", sent},
		{"", "pool:web", "POST /nodes/a/qemu/104/clone?newid=300&pool=web%2Fsub", sent},
		{"", "pool:web", "POST /nodes/a/qemu/104/clone?newid=300&pool=website", "the new guest 300 is not among those"},

		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=size=8G,file=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:0,import-from=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?unused3=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?efidisk0=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?tpmstate0=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?cdrom=local-zfs:vm-103-cloudinit", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/lxc/100/config?mp0=local-zfs:subvol-103-disk-0,mp%3D/x", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/lxc/100/config?rootfs=volume%3Dlocal:103/vm-103-disk-0.raw", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=/dev/zvol/rpool/data/vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=/dev/zd16", "the owner of the volume /dev/zd16 is unknown"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=iscsi:0.0.0.scsi-1", "the owner of the volume iscsi:0.0.0.scsi-1 is unknown"},
		{"103", "", "PUT /nodes/a/qemu/100/config?net0=virtio%3DAA:BB:CC:DD:EE:FF&description=vm-103-disk-0", sent},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:8&ide2=local:iso/x.iso,media%3Dcdrom&scsi2=local-zfs:vm-100-disk-7", sent},
		{"103", "", "POST /nodes/a/qemu?vmid=300&scsi0=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"", "100", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0", "guest 103 is not among those"},

		{"103", "", "PUT /nodes/a/qemu/105/resize?disk=scsi0&size=%2B1G", "guest 105 has local-zfs:vm-103-disk-1 as scsi1: guest 103 is protected"},
		{"103", "", "POST /nodes/a/qemu/105/snapshot?snapname=x", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/snapshot/x/rollback", "guest 105 has"},
		{"103", "", "DELETE /nodes/a/qemu/105/snapshot/x", "guest 105 has"},
		{"103", "", "DELETE /nodes/a/qemu/105", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/status/start", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/migrate?target=b", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/clone?newid=300", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu?vmid=105&archive=x&force=1", "guest 105 has"},
		{"103", "", "POST /nodes/a/vzdump?vmid=105&remove=0&mode=stop", "guest 105 has"},
		{"103", "", "POST /nodes/a/vzdump?vmid=105&remove=0", sent},
		{"", "105", "POST /nodes/a/qemu/105/status/start", "guest 105 has local-zfs:vm-103-disk-1 as scsi1: guest 103 is not among those"},
		{"103", "", "POST /nodes/a/qemu/106/status/start", sent},
		{"103", "", "POST /nodes/a/qemu/106/snapshot/x/rollback", "guest 106 has local-zfs:vm-103-disk-3 as scsi3: guest 103 is protected"},
		{"103", "", "POST /nodes/a/qemu/106/clone?newid=300", sent},
		{"103", "", "POST /nodes/a/qemu/106/clone?newid=300&snapname=x", "guest 106 has"},
		{"103", "", "DELETE /nodes/a/qemu/106", "guest 106 has"},
		{"103", "", "POST /nodes/a/qemu/108/status/start", "guest 108 has local-zfs:vm-103-disk-2 as scsi0"},
		{"103", "", "POST /nodes/a/qemu/109/status/start", sent}, // its base nobody can change
		{"103", "", "POST /nodes/a/qemu/110/status/start", "guest 110 has iscsi:0.0.0.scsi-1 as scsi0: the owner of the volume"},
		{"1000", "", "POST /nodes/a/qemu/666/status/start", "the owners of the volumes that guest 666 has are unknown: no answer"},

		{"103", "", "POST /nodes/a/qemu/107/migrate?target=b", "HA moves guest 103, too: guest 103 is protected"},
		{"", "107", "POST /nodes/a/qemu/107/migrate?target=b", "HA moves guest 103, too: guest 103 is not among"},
		{"104", "", "POST /nodes/a/qemu/107/migrate?target=b", sent},

		{"", "200-299,tag:prod", "POST /nodes/a/qemu/200/status/stop", sent},
		{"", "200-299,tag:prod", "POST /nodes/a/qemu/100/status/stop", sent},
		{"", "200-299,pool:web", "POST /nodes/a/qemu/101/status/stop", sent},
		{"", "200-299", "POST /nodes/a/qemu/101/status/stop", "guest 101 is not among those that this server may change (PVE_MCP_ALLOW)"},
		{"", "tag:prod", "POST /nodes/a/qemu/666/status/stop", "whether guest 666 may be changed is unknown: rule tag:prod: no answer"},
		{"", "200-299", "POST /nodes/a/qemu/101/clone?newid=201", sent},
		{"", "200-299", "POST /nodes/a/qemu/200/clone?newid=300", "the new guest 300 is not among those"},
		{"", "200-299,pool:web", "POST /nodes/a/qemu/200/clone?newid=300&pool=web", sent},
		{"", "200-299,tag:prod", "POST /nodes/a/qemu/100/clone?newid=300", "the new guest 300 is not among those"},
		{"250", "200-299", "POST /nodes/a/qemu/250/status/stop", "guest 250 is protected"},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		got := try(t.Context(), t, rules(t, tt.protect, tt.allow), method, path)
		if got == noConsent && strings.Contains(tt.want, "protected") || !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("protect %q, allow %q: %s: %q, want %q", tt.protect, tt.allow, tt.request, got, tt.want)
		}
	}
}

// Without rules, a volume of another guest is not named without consent to that very guest,
// and not at all while that runs.
func TestForeignVolumes(t *testing.T) {
	target := policy.Target{Method: "PUT", Path: "/nodes/*/qemu/*/config", Subject: policy.Guest(100), Also: policy.Guests([]int{103})}
	for request, want := range map[string]string{
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0":                               sent,
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-100-disk-0":                               sent,
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-104-disk-0":                               "the consent was for",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0&scsi2=local-zfs:vm-104-disk-0": "the consent was for",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-102-disk-0":                               "a volume of guest 102 is named, which is running",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-666-disk-0":                               "whether guest 666, whose volume is named, is running is unknown: no answer",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:0,import-from%3Dlocal-zfs:vm-102-disk-0":     "a volume of guest 102 is named, which is running",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := try(consented(t).Grant(t.Context(), target), t, rules(t, "", ""), method, path)
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	for query, want := range map[string]string{
		"scsi1=local-zfs:vm-103-disk-0":                 noConsent,
		"scsi1=iscsi:0.0.0.scsi-1":                      noConsent, // whose it is, is not known
		"scsi1=local-zfs:0,import-from%3Desxi:a/b.vmdk": sent,      // a copy
		"scsi1=local-zfs:8":                             sent,
		"ide2=local:iso/x.iso,media%3Dcdrom":            sent,
	} {
		if got := try(t.Context(), t, rules(t, "", ""), "PUT", "/nodes/a/qemu/100/config?"+query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// What is not written as the client writes it may be read in another way by PVE.
func TestOddForms(t *testing.T) {
	const odd = "its parameters are not in the form in which they would be read"
	for body, want := range map[string]string{
		"cores=2":                    "",
		"cores=2&delete=a%3Bunused0": "it would lose data",
		"cores=2;delete=unused0":     odd,
		"delete=cores=unused0":       odd, // PVE takes what is before the second =
		"delete=c%6Fres":             odd,
		"delete=%zz":                 odd,
		"cores":                      odd,
		`{"delete":"unused0"}`:       odd,
		"sockets=1&cores=2":          odd, // in another order
		"":                           "",
	} {
		below := &sink{}
		req, err := http.NewRequestWithContext(t.Context(), "PUT", "https://pve/api2/json/nodes/a/qemu/100/config", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		reason := ""
		resp, err := (&policy.Guard{}).Transport(below).RoundTrip(req)
		var refused *policy.RefusedError
		switch {
		case errors.As(err, &refused):
			reason = refused.Reason
		case err != nil:
			t.Fatal(err)
		default:
			resp.Body.Close()
		}
		if !strings.HasPrefix(reason, want) || want == "" && reason != "" {
			t.Errorf("%s: %q, want %q", body, reason, want)
		}
	}
	if got := try(t.Context(), t, &policy.Guard{}, "GET", "/nodes"); got != "" {
		t.Error(got)
	}
}

func TestExecAllow(t *testing.T) {
	allowed, err := policy.ParseCommands("/usr/bin/uptime; /usr/bin/systemctl status *; /bin/ls **; /bin/df -* *; /bin/cat -**; /bin/echo ?x [^a]*; " +
		`/bin/tail /var/log/*; /bin/cp ../*; C:\Windows\ipconfig.exe *; C:\Windows\ping.exe -* /*; C:\Windows\more.com *`)
	if err != nil {
		t.Fatal(err)
	}
	p := policy.Policy{Exec: true, ExecAllow: allowed}
	for argv, ok := range map[string]bool{
		"/usr/bin/uptime":                       true,
		"/usr/bin/uptime -p":                    false,
		"uptime":                                false,
		"/usr/bin/systemctl status x/y":         true,
		"/usr/bin/systemctl stop x":             false,
		"/usr/bin/systemctl status":             false,
		"/usr/bin/systemctl status x y":         false,
		"/bin/ls":                               true,
		"/bin/ls /etc /usr":                     true,
		"/bin/ls -la /etc":                      false,
		"/bin/ls /etc -la":                      false,
		"/usr/bin/systemctl status -Hroot@evil": false,
		"/bin/df -h /":                          true,
		"/bin/df / -h":                          false,
		"/bin/df / /":                           false,
		"/bin/cat -n /etc/hosts":                true,
		"/bin/cat":                              true,
		"/bin/echo -x b":                        false,
		"/bin/echo ax -n":                       false,
		"/bin/echo ax b":                        true,
		"/bin/sh -c ls":                         false,
		"/usr/bin/../bin/uptime":                false,
		"/usr/bin/systemctl status *; true":     false,
		"/bin/tail /var/log/syslog":             true,
		"/bin/tail /var/log/apt/term.log":       true,
		"/bin/tail /var/log/a..b":               true,
		"/bin/tail /var/log/../../etc/shadow":   false,
		"/bin/ls /var/..":                       true,
		"/bin/cat -n ../etc/shadow":             true,
		"/bin/cp ../x":                          true,
		`C:\Windows\ipconfig.exe Ethernet`:      true,
		`C:\Windows\ipconfig.exe /release`:      false,
		`C:\Windows\ping.exe -n /t`:             true,
		`C:\Windows\more.com c:\x\..\y`:         false,
		`C:Windowsipconfig.exe Ethernet`:        false,
	} {
		command := url.Values{"command": strings.Split(argv, " ")}
		got := try(t.Context(), t, &policy.Guard{Policy: p}, "POST", "/nodes/a/qemu/100/agent/exec?"+command.Encode())
		if (got == "") != ok {
			t.Errorf("%s: %q", argv, got)
		}
	}
	for _, bad := range []string{"uptime", "/usr/bin/*", "/bin/ls ** x", "/bin/ls a**", "/bin/ls --**", "/bin/ls -** x", "/bin/ls [", "x; /bin/ls"} {
		if _, err := policy.ParseCommands(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// Standard input may be a script: it is allowed only where a pattern says so.
func TestExecAllowOfStandardInput(t *testing.T) {
	allowed, err := policy.ParseCommands("/bin/cat <; /usr/bin/tee /etc/motd <; /bin/ls -** <; /bin/bash; /bin/echo [<]")
	if err != nil {
		t.Fatal(err)
	}
	for argv, want := range map[string]struct{ without, with bool }{
		"/bin/cat":                 {true, true},
		"/usr/bin/tee /etc/motd":   {true, true},
		"/usr/bin/tee /etc/shadow": {false, false},
		"/bin/ls -l /etc":          {true, true},
		"/bin/bash":                {true, false},
		"/bin/echo <":              {true, false},
		"/bin/cat <":               {false, false},
	} {
		for input, ok := range map[string]bool{"": want.without, "rm -rf /": want.with} {
			params := url.Values{"command": strings.Split(argv, " "), "input-data": {input}}
			got := try(t.Context(), t, &policy.Guard{Policy: policy.Policy{Exec: true, ExecAllow: allowed}}, "POST", "/nodes/a/qemu/100/agent/exec?"+params.Encode())
			if (got == "") != ok {
				t.Errorf("%s with %q: %q", argv, input, got)
			}
		}
	}
	for _, bad := range []string{"<", "/bin/ls ** x <", "/bin/ls < < **"} {
		if _, err := policy.ParseCommands(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestDecide(t *testing.T) {
	accept, refuse := &policy.Answer{Action: "accept", Agreed: true}, &policy.Answer{Action: "accept"}
	for _, tt := range []struct {
		confirm policy.Confirm
		ask     policy.Ask
		want    policy.Decision
		by      string
	}{
		{policy.Auto, policy.Ask{Risk: policy.Write}, policy.Granted, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Exec, CanAsk: true}, policy.Granted, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive}, policy.AskParam, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, Confirmed: true}, policy.Granted, "param"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Confirmed: true}, policy.AskHuman, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: accept}, policy.Granted, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: refuse}, policy.Mismatched, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "decline", Agreed: true}}, policy.Declined, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "cancel"}}, policy.Cancelled, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "?"}}, policy.Cancelled, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, Answer: accept}, policy.AskParam, "none"}, // nobody could ask
		{policy.Param, policy.Ask{Risk: policy.Destructive, CanAsk: true, Confirmed: true}, policy.Granted, "param"},
		{policy.Param, policy.Ask{Risk: policy.Destructive, CanAsk: true}, policy.AskParam, "none"},
		{policy.Human, policy.Ask{Risk: policy.Destructive, Confirmed: true}, policy.Refused, "none"},
		{policy.Human, policy.Ask{Risk: policy.Destructive, CanAsk: true, Confirmed: true}, policy.AskHuman, "none"},
		{policy.Human, policy.Ask{Risk: policy.Exec, CanAsk: true}, policy.AskHuman, "none"},
		{policy.Human, policy.Ask{Risk: policy.Exec}, policy.Refused, "none"},
		{policy.Human, policy.Ask{Risk: policy.Exec, CanAsk: true, Answer: accept}, policy.Granted, "human"},
	} {
		if got, consent := (policy.Policy{Confirm: tt.confirm}).Decide(tt.ask); got != tt.want || consent.By() != tt.by {
			t.Errorf("%q, %+v: %v by %s, want %v by %s", tt.confirm, tt.ask, got, consent.By(), tt.want, tt.by)
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		policy policy.Policy
		risk   policy.Risk
		on     bool
	}{
		{policy.Policy{}, policy.Read, true},
		{policy.Policy{}, policy.Destructive, true},
		{policy.Policy{}, policy.Exec, false},
		{policy.Policy{Exec: true}, policy.Exec, true},
		{policy.Policy{ReadOnly: true, Exec: true}, policy.Exec, false},
		{policy.Policy{KeepData: true, Exec: true}, policy.Destructive, false},
		{policy.Policy{KeepData: true, Exec: true}, policy.Exec, true},
		{policy.Policy{KeepData: true}, policy.Write, true},
		{policy.Policy{ReadOnly: true}, policy.Write, false},
		{policy.Policy{ReadOnly: true}, policy.Read, true},
	} {
		if got := tt.policy.Refusal(tt.risk) == ""; got != tt.on {
			t.Errorf("%+v, %v: on = %v", tt.policy, tt.risk, got)
		}
	}
}

func TestParseRules(t *testing.T) {
	got, err := policy.ParseRules(" 100, 200-299 ,tag:Prod,pool:web/a,storage:nfs, job:backup-1,node:pve1,")
	if err != nil || fmt.Sprint(got) != "[100 200-299 tag:prod pool:web/a storage:nfs job:backup-1 node:pve1]" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"99", "1000000000", "300-200", "tag:", "pool:", "x", "100-", "-100", "100 200", "tag:a b", "storage:", "job:a b", "node:a:b", "guest:100", "volume:x", "0100", ",", " , "} {
		if got, err := policy.ParseRules(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// A rule prints as what it was read from, and reads as the same again.
func FuzzParseRules(f *testing.F) {
	for _, s := range []string{"100", "100-199", "tag:prod", "pool:web", "100,tag:x", "tag:", "1-2", "pool:a:b", "storage:nfs", "job:x", "node:pve1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rules, err := policy.ParseRules(s)
		if err != nil {
			return
		}
		for _, r := range rules {
			again, err := policy.ParseRules(r.String())
			if err != nil || len(again) != 1 || again[0] != r {
				t.Errorf("%q: %v became %v (%v)", s, r, again, err)
			}
		}
	})
}
