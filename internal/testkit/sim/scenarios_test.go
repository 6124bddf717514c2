package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// inScenario is a world in which the preset cluster goes wrong.
func inScenario(t *testing.T, name string) *sim.World {
	t.Helper()
	m := pvesim.Cluster()
	for _, s := range pvesim.Scenarios() {
		if s.Name == name {
			if err := s.Apply(&m); err != nil {
				t.Fatal(err)
			}
			return sim.New(t, sim.Options{Model: &m, Token: "root@pam!full"})
		}
	}
	t.Fatalf("there is no scenario %s", name)
	return nil
}

// inScenarios are calls in scenarios, with what their answers have to say.
func inScenarios() map[string]func(*sim.World) {
	return map[string]func(*sim.World){
		"clock-skew": func(w *sim.World) {
			says(w.Call("pve_audit", `{}`), w, "clock")
		},
		"cut-after-60s": func(w *sim.World) {
			a := w.Call("pve_update_guest_config", `{"vmid":100,"set":{"cores":3}}`)
			says(a, w, "no usable answer came: PVE had said nothing when this server stopped waiting")
			says(a, w, "look at the state and at the recent tasks before you try again")
			if a.Fields["outcome"] != "unknown" {
				w.Errorf("the outcome is %v: %s", a.Fields["outcome"], a.Text)
			}
			if writes := sim.Writes(w.Sent()); len(writes) != 1 {
				w.Errorf("the writes that were sent: %q", writes)
			}
		},
		"flapping-node": func(w *sim.World) {
			if a := w.Call("pve_node_status", `{"node":"pve3"}`); a.IsError {
				w.Errorf("before: %s", a.Text)
			}
			time.Sleep(35 * time.Second)
			if a := w.Call("pve_node_status", `{"node":"pve3"}`); !strings.Contains(a.Text, "offline") && !strings.Contains(a.Text, "595") {
				w.Errorf("while it is away: %s", a.Text)
			}
			time.Sleep(40 * time.Second)
			if a := w.Call("pve_node_status", `{"node":"pve3"}`); a.IsError {
				w.Errorf("after: %s", a.Text)
			}
		},
		"full-disk": func(w *sim.World) {
			a := w.Call("pve_create_backup", `{"vmid":100,"storage":"nfs","wait":600}`)
			says(a, w, "No space left on device")
			if a.Fields["outcome"] != "failed" {
				w.Errorf("the outcome is %v", a.Fields["outcome"])
			}
		},
		"html-proxy": func(w *sim.World) {
			known := 0
			for i := range 20 {
				name := fmt.Sprint("web-", i)
				a := w.Call("pve_update_guest_config", fmt.Sprintf(`{"vmid":100,"set":{"name":%q}}`, name))
				if a.Fields["outcome"] != "ok" {
					says(a, w, "502")
					continue
				}
				known++
				if got := nameOf(w, 100); got != name {
					w.Errorf("the name is %s, and the answer: %s", got, a.Text)
				}
			}
			if known == 0 || known == 20 {
				w.Errorf("%d of 20 changes are known to be made", known)
			}
		},
		"slow-nfs": func(w *sim.World) {
			begun := time.Now()
			a := w.Call("pve_storage_content", `{"storage":"nfs","node":"pve1"}`)
			says(a, w, "PVE gave up after 30 s without an answer to GET /nodes/pve1/storage/nfs/content (596 Connection timed out).")
			says(a, w, "The storage nfs hangs on pve1")
			if took := time.Since(begun); !a.IsError || took > 35*time.Second || len(a.Progress) == 0 {
				w.Errorf("after %v, with %d words of progress: %s", took, len(a.Progress), a.Text)
			}
			says(w.Call("pve_diagnose", `{"storage":"nfs"}`), w, `"storage.slow"`)
			says(w.Call("pve_diagnose", `{"node":"pve1"}`), w, `"node.storage-slow"`)
		},
	}
}

// In every scenario, an answer says what has happened: nothing is called well or empty that was
// not seen, and nothing done that PVE has not reported.
func TestAnswersInScenarios(t *testing.T) {
	scenarios := inScenarios()
	for _, s := range pvesim.Scenarios() {
		if s.Name == "new-certificate" { // needs a network, see TestNewCertificateIsNotTrusted
			continue
		}
		check := scenarios[s.Name]
		if check == nil {
			t.Errorf("%s has no test", s.Name)
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check(inScenario(t, s.Name)) })
		})
	}
}

// nameOf is the name of a guest, whatever lies between.
func nameOf(w *sim.World, vmid int) string {
	w.Helper()
	m, err := w.Sim.Model()
	if err != nil {
		w.Fatal(err)
	}
	i := slices.IndexFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID == vmid })
	return m.Guests[i].Config["name"]
}

func says(a sim.Answer, w *sim.World, words string) {
	w.Helper()
	if !strings.Contains(a.Text, words) {
		w.Errorf("the answer does not say %q: %s", words, a.Text)
	}
}

// A certificate that changes is not trusted: the answer says which was expected and which came.
func TestNewCertificateIsNotTrusted(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[0].NewCertificateAfter = 30 * time.Second
	clock := pvesim.NewVirtual(time.Now())
	cluster, err := pvesim.NewSim(m, pvesim.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	l, err := cluster.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	old := l.Fingerprint()
	pin, err := proxmox.ParseFingerprint(old)
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(l.URL(), "https://")
	connect := func() *sim.World {
		tls := proxmox.TLS{Fingerprints: map[string]proxmox.Fingerprint{host: pin}}
		h, err := demo.Host(l.URL(), proxmox.NewTransport(tls), m.Token("ops@pve!mcp"), policy.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		return &sim.World{T: t, Model: m, Sim: cluster, Host: h}
	}
	if a := connect().Call("pve_list_nodes", `{}`); a.IsError {
		t.Fatalf("before: %s", a.Text)
	}
	clock.Advance(31 * time.Second)
	w := connect()
	a := w.Call("pve_list_nodes", `{}`)
	says(a, w, "fingerprint")
	if now := l.Fingerprint(); now == old || !strings.Contains(a.Text, now[:11]) {
		t.Errorf("the answer does not name the new certificate %s: %s", now, a.Text)
	}
}
