package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// A human is asked with what is at stake and every argument, and the answer counts for what
// the question said.
func TestChangeAsks(t *testing.T) {
	const args = `{"method":"DELETE","path":"/cluster/backup/backup-nightly"}`
	for name, tt := range map[string]struct {
		meanwhile, says string
		sent            bool
	}{
		"agreed":           {"", "PUT", true},
		"changed since":    {`{"method":"PUT","path":"/cluster/backup/backup-nightly","params":{"schedule":"05:00"}}`, "no longer as it was", false},
		"something others": {`{"method":"PUT","path":"/storage/nfs","params":{"content":"iso"}}`, "PUT", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: auditor})
			tl, ok := w.Host.Named(changeTool)
			if !ok {
				t.Fatal("no such tool")
			}
			req := tool.Request{Arguments: json.RawMessage(args), Caller: "test", CanAsk: true}
			q := tl.Call(w.Context(), w.Host, req)
			if q.Question == nil {
				t.Fatal(q.Text)
			}
			for _, part := range []string{"DELETE /cluster/backup/backup-nightly (job backup-nightly)", "its guests are backed up no more", "job backup-nightly is now: {", `path: "/cluster/backup/backup-nightly"`} {
				if !strings.Contains(q.Question.Message, part) {
					t.Errorf("%q is missing in %s", part, q.Question.Message)
				}
			}
			if tt.meanwhile != "" {
				w.Call(changeTool, tt.meanwhile)
			}
			w.Sent()
			req.State, req.Reply = q.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
			a := tl.Call(w.Context(), w.Host, req)
			if sent := slices.Contains(w.Sent(), "DELETE /cluster/backup/{id}"); sent != tt.sent || !tt.sent && !strings.Contains(a.Text, tt.says) {
				t.Errorf("%s: sent %v: %s", name, sent, a.Text)
			}
		})
	}
}

// The deletion of a guest asks for its name here, too.
func TestChangeAsksForTheName(t *testing.T) {
	w := sim.New(t, sim.Options{Token: auditor})
	tl, _ := w.Host.Named(changeTool)
	q := tl.Call(w.Context(), w.Host, tool.Request{Arguments: json.RawMessage(`{"method":"DELETE","path":"/nodes/{node}/qemu/100"}`), Caller: "test", CanAsk: true})
	if q.Question == nil || !strings.Contains(q.Question.Message, "type 100 or web-1") {
		t.Errorf("%+v", q)
	}
}

// A plan says what would be done, and its handle does exactly that, as long as what it is
// about is as it was.
func TestChangePlan(t *testing.T) {
	for _, changed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: auditor})
			const args = `{"method":"PUT","path":"/storage/nfs","params":{"content":"iso"},"plan":true}`
			a := w.Call(changeTool, args)
			handle, _ := a.Fields["plan_handle"].(string)
			if sent := sim.Writes(w.Sent()); a.Outcome != tool.Planned || len(sent) > 0 || !strings.Contains(a.Text, "PUT /storage/nfs (storage nfs)") {
				t.Fatalf("%v: %s", sent, a.Text)
			}
			if changed {
				w.Call(changeTool, `{"method":"PUT","path":"/storage/nfs","params":{"nodes":"pve1"}}`)
				w.Sent()
			}
			a = w.Call(changeTool, `{"plan_handle":"`+handle+`"}`)
			if sent := len(sim.Writes(w.Sent())) > 0; sent == changed || a.IsError != changed {
				t.Errorf("changed %v, sent %v: %s", changed, sent, a.Text)
			}
		})
	}
}

// What somebody else changes between our look and our change is not overwritten: the digest
// goes along where the endpoint takes one.
func TestChangeMeetsAnother(t *testing.T) {
	sim.Tell(t, changeTool, []sim.Story{
		{
			Name: "a storage", Args: `{"method":"PUT","path":"/storage/nfs","params":{"content":"iso"}}`, Outcome: tool.Failed, Says: []string{"detected modified configuration"}, Writes: []string{"PUT /storage/{storage}", "PUT /storage/{storage}"},
			Options: sim.Options{Token: auditor, Before: sim.Meanwhile(http.MethodPut, "/storage/nfs", changeTool+` {"method":"PUT","path":"/storage/nfs","params":{"nodes":"pve1"}}`)},
		},
		{
			Name: "a guest", Args: `{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"cores":2}}`, Outcome: tool.Failed, Says: []string{"checksum mismatch (file change by other user?)"},
			Writes:  []string{"PUT /nodes/{node}/qemu/{vmid}/config", "PUT /nodes/{node}/qemu/{vmid}/config"},
			Options: sim.Options{Token: auditor, Before: sim.Meanwhile(http.MethodPut, "/qemu/100/config", changeTool+` {"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"memory":"2048"}}`)},
		},
		{
			Name: "a digest of the caller", Args: `{"method":"PUT","path":"/storage/nfs","params":{"content":"iso"},"digest":"0000000000000000000000000000000000000000"}`, Outcome: tool.Failed,
			Says: []string{"detected modified configuration"}, Writes: []string{"PUT /storage/{storage}"}, Options: sim.Options{Token: auditor},
		},
	})
}

// What the guard's grant covers is exactly what the tool has asked consent for: a request that
// the human agreed to passes.
func TestConsentFitsTheGrant(t *testing.T) {
	for _, args := range []string{
		`{"method":"DELETE","path":"/storage/nfs","confirm":true}`,
		`{"method":"DELETE","path":"/pools/web","confirm":true}`,
		`{"method":"DELETE","path":"/cluster/backup/backup-nightly","confirm":true}`,
		`{"method":"PUT","path":"/nodes/pve1/network","confirm":true}`,
		`{"method":"PUT","path":"/nodes/{node}/qemu/100/unlink","params":{"idlist":"scsi0"},"confirm":true}`,
		`{"method":"POST","path":"/nodes/pve1/vzdump","params":{"vmid":"100","storage":"nfs","prune-backups":"keep-last=1"},"confirm":true}`,
		`{"method":"DELETE","path":"/nodes/pve1/storage/nfs/prunebackups","params":{"vmid":100,"prune-backups":"keep-last=1"},"confirm":true}`,
		`{"method":"DELETE","path":"/nodes/pve1/storage/local/content/local:iso/debian-12.11.0-amd64-netinst.iso","confirm":true}`,
		`{"method":"POST","path":"/nodes/pve1/services/pveproxy/restart","confirm":true}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: auditor})
			a := w.Call(changeTool, args)
			if sent := sim.Writes(w.Sent()); len(sent) != 1 || strings.Contains(a.Text, "consent") {
				t.Errorf("%s: %v: %s", args, sent, a.Text)
			}
		})
	}
}

// readByPVE are refused with 400 for what PVE's code alone can read: the name of a key, which QEMU
// has, and the lines of /etc/hosts.
var readByPVE = []string{"/nodes/{node}/qemu/{vmid}/sendkey", "/nodes/{node}/hosts"}

// byStateOfChange are refusals with 400 that only the state of the cluster tells.
var byStateOfChange = []string{"does not exist", "no such task", "no such template", "No such job", "No such storage", "already exists", "already used", "does not support", "node '", "No such timezone"}

// Whatever a model writes, nothing is sent that PVE refuses because of its parameters, and
// nothing that the guard has to refuse.
func TestChangeSendsOnlyWhatIsRight(t *testing.T) {
	effort.SkipShort(t)
	for _, version := range []string{"8.4.1", "9.1.5"} {
		known, err := apischema.Load(int(version[0] - '0'))
		if err != nil {
			t.Fatal(err)
		}
		var writes []*apischema.Endpoint
		for _, ep := range known.Endpoints() {
			if row, ok := policy.Describe(ep.Method, strings.Split(ep.Path, "/")[1:], nil); ep.Method != http.MethodGet && ok && row.Never == "" {
				writes = append(writes, ep)
			}
		}
		sent := 0
		hundreds(t, 5, func(r *rapid.T) {
			w := sim.New(t, sim.Options{Model: sim.Cluster(sim.Version(version)), Token: auditor, Policy: policy.Policy{Exec: true}})
			ep := rapid.SampledFrom(writes).Draw(r, "endpoint")
			args, err := json.Marshal(map[string]any{"method": ep.Method, "path": somePath(r, ep), "params": somethingRight(r, known, ep), "confirm": true, "wait": 0})
			if err != nil {
				r.Fatal(err)
			}
			a := w.Call(changeTool, string(args))
			for _, req := range w.Sim.Requests() {
				if req.Method == http.MethodGet {
					continue
				}
				sent++
				if req.Status == http.StatusBadRequest && !slices.Contains(readByPVE, req.Endpoint) && !slices.ContainsFunc(byStateOfChange, func(s string) bool { return strings.Contains(a.Text, s) }) {
					r.Fatalf("%s: %s %s is refused with 400: %s", args, req.Method, req.Path, a.Text)
				}
				if row, ok := policy.Describe(req.Method, strings.Split(req.Endpoint, "/")[1:], nil); req.Endpoint != "" && (!ok || row.Never != "") {
					r.Fatalf("%s: %s was sent", args, req.Endpoint)
				}
			}
			if a.IsError && strings.Contains(a.Text, "was not sent") {
				r.Fatalf("%s: the guard had to refuse it: %s", args, a.Text)
			}
		})
		t.Logf("%s: %d were sent", version, sent)
	}
}

// hundreds checks a property with so many hundreds of draws, and with many more under make soak.
// A draw that fails is printed with its seed.
func hundreds(t *testing.T, usual int, property func(*rapid.T)) {
	t.Helper()
	for range effort.Of(1, usual, 20*usual) {
		rapid.Check(t, property)
	}
}

// somethingRight are parameters of which most are right: all that are required, and some.
func somethingRight(r *rapid.T, known *apischema.API, ep *apischema.Endpoint) map[string]any {
	out := map[string]any{}
	if rapid.Bool().Draw(r, "wild") {
		out = someParams(r, ep)
	}
	values := []any{"1", 1, true, "x1", "100", "pve2", "nfs", "vm:100", "10.0.0.1", "local", "dir", "in", "ACCEPT", "scsi0", "+1G", "100-0", "/mnt/x", "02:00", "UTC"}
	for name, s := range ep.Params {
		if s.Optional || strings.Contains(ep.Path, "{"+name+"}") {
			continue
		}
		all := slices.Clone(values)
		for _, word := range s.Enum {
			all = append([]any{word}, all...)
		}
		var fits []any
		for _, v := range all {
			one := &apischema.Endpoint{Method: ep.Method, Path: ep.Path, Params: map[string]*apischema.Schema{name: s}}
			if _, err := known.Validate(one, apischema.Values{name: textOf(v)}); err == nil {
				fits = append(fits, v)
			}
		}
		if len(fits) > 0 {
			out[name] = rapid.SampledFrom(fits).Draw(r, name+" is")
		}
	}
	return out
}

func textOf(v any) string {
	if v == true {
		return "1"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return strings.Trim(string(text), `"`)
}

// What PVE describes as a list may have several values, which the guard lets pass.
func TestListsPassTheGuard(t *testing.T) {
	w := sim.New(t, sim.Options{Token: auditor})
	a := w.Call(changeTool, `{"method":"POST","path":"/cluster/notifications/matchers","params":{"name":"night","target":["mail-to-root","chat"]}}`)
	if sent := w.Sim.Requests(); sent[len(sent)-1].Method != http.MethodPost || strings.Contains(a.Text, "given twice") {
		t.Errorf("%s", a.Text)
	}
}
