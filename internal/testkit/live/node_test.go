package live_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// world is a simulated cluster behind TLS, and the environment of a run against it.
type world struct {
	*testing.T
	sim *pvesim.Sim
	env map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	m := pvesim.Cluster()
	sim, err := pvesim.NewSim(m, pvesim.Options{Clock: pvesim.Scaled(200)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	token := m.Token("root@pam!full")
	return &world{t, sim, map[string]string{
		"PVE_HOST": l.URL(), "PVE_FINGERPRINT": l.Fingerprint(), "PVE_TOKEN_ID": token.ID, "PVE_TOKEN_SECRET": token.Secret,
		"PVE_LIVE_I_MEAN_IT": "yes", "PVE_LIVE_VMIDS": "9000-9003", "PVE_LIVE_STORAGE": "local-zfs", "PVE_LIVE_BACKUPS": "nfs",
		"PVE_LIVE_TEMPLATE": "local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz", "PVE_LIVE_ISO": "local:iso/debian-12.11.0-amd64-netinst.iso",
	}}
}

func (w *world) environ() (out []string) {
	for key, value := range w.env {
		out = append(out, key+"="+value)
	}
	return out
}

func (w *world) open() *live.Node {
	w.Helper()
	n, err := live.Open(w.Context(), w.environ())
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// guests are those of the range that the simulator has.
func (w *world) guests() (ids []int) {
	m, err := w.sim.Model()
	if err != nil {
		w.Fatal(err)
	}
	for _, g := range m.Guests {
		if g.VMID >= 9000 && g.VMID <= 9003 {
			ids = append(ids, g.VMID)
		}
	}
	return ids
}

// elsewhere is a client that is no part of the run.
func (w *world) elsewhere() *pve.Client {
	w.Helper()
	c, err := pve.New(proxmox.Options{Endpoints: []string{w.sim.URL()}, Transport: w.sim.Transport(),
		Token: proxmox.Token{ID: w.env["PVE_TOKEN_ID"], Secret: proxmox.NewSecret(w.env["PVE_TOKEN_SECRET"])}})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// make makes a guest, and waits until it is there.
func (w *world) make(c *pve.Client, wanted pve.NewGuest) {
	w.Helper()
	upid, err := c.CreateGuest(w.Context(), "pve1", pve.QEMU, wanted)
	if err == nil {
		_, err = c.Wait(w.Context(), upid, nil)
	}
	if err != nil {
		w.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct{ key, value, want string }{
		{"PVE_LIVE_I_MEAN_IT", "", "PVE_LIVE_I_MEAN_IT: it is not set"},
		{"PVE_LIVE_I_MEAN_IT", "true", "PVE_LIVE_I_MEAN_IT: it is not yes"},
		{"PVE_LIVE_VMIDS", "", "PVE_LIVE_VMIDS: it is not set"},
		{"PVE_LIVE_VMIDS", "9000", "PVE_LIVE_VMIDS: 1 ids are not between 2 and 100"},
		{"PVE_LIVE_VMIDS", "9000-9500", "501 ids are not between 2 and 100"},
		{"PVE_LIVE_VMIDS", "tag:scratch", "it is no range of ids"},
		{"PVE_LIVE_VMIDS", "109-120", "the scratch range 109-120 is not empty: guest 109"},
		{"PVE_LIVE_STORAGE", "", "PVE_LIVE_STORAGE: it is not set"},
		{"PVE_LIVE_STORAGE", "nowhere", `PVE_LIVE_STORAGE: pve1 has no storage "nowhere"`},
		{"PVE_LIVE_STORAGE", "local", "PVE_LIVE_STORAGE: local, of type dir with "},
		{"PVE_LIVE_BACKUPS", "local-zfs", "is not for backups"},
		{"PVE_LIVE_TEMPLATE", "local:vztmpl/none.tar.xz", "PVE_LIVE_TEMPLATE: local:vztmpl/none.tar.xz cannot be found on pve1"},
		{"PVE_LIVE_ISO", "none", "PVE_LIVE_ISO: "},
		{"PVE_LIVE_KVM", "false", "PVE_LIVE_KVM: it is neither yes nor no"},
		{"PVE_LIVE_NODE", "pve9", `PVE_LIVE_NODE: there is no node "pve9"`},
		{"PVE_FINGERPRINT", strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), "fingerprint"},
		{"PVE_MCP_READ_ONLY", "true", "PVE_MCP_READ_ONLY: a live run changes things"},
		{"PVE_HOST", "", "no PVE node in the environment"},
	} {
		before := w.env[tt.key]
		w.env[tt.key] = tt.value
		if _, err := live.Open(t.Context(), w.environ()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s=%s: %v, want %s", tt.key, tt.value, err, tt.want)
		}
		w.env[tt.key] = before
	}
	for _, r := range w.sim.Requests() {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}

// A node without hardware virtualisation gets VMs that do without it.
func TestMakeWithoutKVM(t *testing.T) {
	for kvm, want := range map[string]string{"": "", "yes": "", "no": "0"} {
		w := newWorld(t)
		w.env["PVE_LIVE_KVM"] = kvm
		n := w.open()
		for id, kind := range map[pve.VMID]pve.Kind{9000: pve.QEMU, 9002: pve.LXC} {
			if err := n.Make(t.Context(), id, live.Guest{Kind: kind}); err != nil {
				t.Fatal(err)
			}
			config, err := w.elsewhere().GuestConfig(t.Context(), pve.GuestRef{Node: "pve1", Kind: kind, VMID: id})
			if got := config.Values["kvm"]; err != nil || kind == pve.QEMU && got != want || kind == pve.LXC && got != "" {
				t.Errorf("PVE_LIVE_KVM=%s, %s: kvm %q, %v", kvm, kind, got, err)
			}
		}
	}
}

// What a guest that is gone has left behind is not the run's either.
func TestOpenRefusesALeftDisk(t *testing.T) {
	w := newWorld(t)
	c := w.elsewhere()
	w.make(c, pve.NewGuest{VMID: 9002})
	upid, err := c.Backup(t.Context(), "pve1", pve.NewBackup{VMIDs: []pve.VMID{9002}, Storage: "nfs"})
	if err == nil {
		_, err = c.Wait(t.Context(), upid, nil)
	}
	if err == nil {
		upid, err = c.DeleteGuest(t.Context(), pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 9002}, pve.Deletion{})
	}
	if err == nil {
		_, err = c.Wait(t.Context(), upid, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := live.Open(t.Context(), w.environ()); err == nil || !strings.Contains(err.Error(), "not empty: nfs:backup/vzdump-qemu-9002-") {
		t.Errorf("%v", err)
	}
}

// Everything goes that the run has made, whatever it is at, even after an interrupt; what
// somebody else has made meanwhile stays.
func TestClean(t *testing.T) {
	w := newWorld(t)
	n := w.open()
	ctx, interrupt := context.WithCancel(t.Context())
	if err := n.Make(ctx, 9000, live.Guest{Kind: pve.QEMU, Template: true}); err != nil {
		t.Fatal(err)
	}
	if err := n.Make(ctx, 9002, live.Guest{Kind: pve.LXC, Running: true, Config: map[string]string{"protection": "1"}}); err != nil {
		t.Fatal(err)
	}
	host, err := n.Host(policy.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	tools, err := host.Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.make(w.elsewhere(), pve.NewGuest{VMID: 9003})
	if _, err := tools.Backup(ctx, n.Node, pve.NewBackup{VMIDs: []pve.VMID{9002}, Storage: "nfs"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tools.Clone(ctx, pve.GuestRef{Node: n.Node, Kind: pve.QEMU, VMID: 9000}, pve.NewClone{VMID: 9001}); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if err := n.Clean(ctx); err != nil {
		t.Errorf("%v", err)
	}
	if got := w.guests(); !slices.Equal(got, []int{9003}) {
		t.Errorf("guests left: %v", got)
	}
	if err := n.CheckEmpty(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "not empty: guest 9003") {
		t.Errorf("%v", err)
	}
}

// What cannot be removed is said.
func TestCleanSaysWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	n := w.open()
	if err := n.Make(t.Context(), 9000, live.Guest{Kind: pve.QEMU}); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.Fault(pvesim.Fault{Match: "DELETE /nodes/*/qemu/9000", TaskFails: "dataset is busy", Max: 1}); err != nil {
		t.Fatal(err)
	}
	if err := n.Clean(t.Context()); err == nil || !strings.Contains(err.Error(), "dataset is busy") || !strings.Contains(err.Error(), "there still is a guest 9000") {
		t.Errorf("%v", err)
	}
	if err := n.Clean(t.Context()); err != nil || len(w.guests()) > 0 {
		t.Errorf("the next time: %v, guests left: %v", err, w.guests())
	}
}

// The tools themselves are held to the range by their policy, above the fence.
func TestHostIsHeldToTheRange(t *testing.T) {
	w := newWorld(t)
	host, err := w.open().Host(policy.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := host.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Power(t.Context(), pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 104}, "stop", pve.PowerOptions{})
	if err == nil || !strings.Contains(err.Error(), "was not sent") {
		t.Errorf("%v", err)
	}
}
