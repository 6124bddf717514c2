package policy_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
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
	access    = "changes of users, groups, tokens, roles, permissions and realms are off (PVE_MCP_ENABLE_ACCESS is not true)"
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
		{"POST", "/nodes/a/qemu/100/vncproxy", sent, sent},
		{"POST", "/nodes/a/qemu/100/termproxy", sent, sent},
		{"POST", "/nodes/a/lxc/100/vncproxy", noExec, sent},
		{"POST", "/nodes/a/lxc/100/termproxy", noExec, sent},
		{"GET", "/nodes/a/lxc/100/vncwebsocket?port=5900&vncticket=x", noExec, sent},
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

// A screen is a read that is none in read-only mode: it carries keys, too.
func TestScreens(t *testing.T) {
	const screen = "/nodes/a/qemu/100/vncwebsocket?port=5900&vncticket=x"
	for _, tt := range []struct {
		policy policy.Policy
		want   string
	}{{policy.Policy{}, sent}, {policy.Policy{ReadOnly: true, Exec: true}, readOnly}} {
		if got := try(t.Context(), t, &policy.Guard{Policy: tt.policy}, http.MethodGet, screen); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%+v: %q", tt.policy, got)
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
