package provision_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// stopped stops a guest.
func stopped(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) { g.Running, g.QMPStatus = false, "" })
}

func TestMakeTemplate(t *testing.T) {
	const makeVM, makeCT = "POST /nodes/{node}/qemu/{vmid}/template", "POST /nodes/{node}/lxc/{vmid}/template"
	with := func(changes ...func(*pvesim.Model)) sim.Options { return sim.Options{Model: sim.Cluster(changes...)} }
	fails := func(f pvesim.Fault) func(*pvesim.Model) {
		return func(m *pvesim.Model) { f.Match = "POST /nodes/*/qemu/*/template"; m.Faults = append(m.Faults, f) }
	}
	sim.Tell(t, "pve_make_template", []sim.Story{
		{Name: "not confirmed", Options: with(stopped(104)), Args: `{"vmid":104}`, Outcome: tool.NeedsConfirmation, Says: []string{
			"Conversion of VM 104 (mail) on pve1 to a template", "it never runs again", "it has no cloud-init drive",
		}},
		{Name: "a VM", Options: with(stopped(104)), Args: `{"vmid":104,"confirm":true,"wait":45}`, Outcome: tool.OK, Writes: []string{makeVM}, Says: []string{
			"VM 104 (mail) on pve1 is a template.", `"template":true`, `"tool":"pve_clone_guest"`,
		}},
		{Name: "a VM on PVE 8", Options: with(stopped(104), sim.Version("8.4.1")), Args: `{"vmid":104,"confirm":true,"wait":45}`, Outcome: tool.OK, Writes: []string{makeVM}},
		{Name: "with a cloud-init drive", Options: with(stopped(104), sim.Set(104, "ide2=local-zfs:vm-104-cloudinit,media=cdrom")), Args: `{"vmid":104}`, Outcome: tool.NeedsConfirmation, Says: []string{"it has a cloud-init drive"}},
		{Name: "a container", Options: with(stopped(203)), Args: `{"vmid":203,"confirm":true,"wait":45}`, Outcome: tool.OK, Writes: []string{makeCT}, Says: []string{`"template":true`}},
		{Name: "a container on PVE 8", Options: with(stopped(203), sim.Version("8.4.1")), Args: `{"vmid":203,"confirm":true,"wait":45}`, Outcome: tool.OK, Writes: []string{makeCT}},
		{Name: "running", Args: `{"vmid":104,"confirm":true}`, Outcome: tool.Failed, Says: []string{"is running; only a stopped guest becomes a template", `pve_guest_power {\"vmid\":104,\"action\":\"shutdown\"}`}},
		{Name: "with a snapshot", Options: with(stopped(104), sim.Snapshot(104, "monday")), Args: `{"vmid":104,"confirm":true}`, Outcome: tool.Failed, Says: []string{"has snapshots (monday)", "pve_delete_snapshot"}},
		{Name: "a template already", Args: `{"vmid":900}`, Outcome: tool.OK, Says: []string{"is a template already"}},
		{Name: "locked", Options: with(stopped(104), sim.Set(104, "lock=backup")), Args: `{"vmid":104,"confirm":true}`, Outcome: tool.Failed, Says: []string{"lock"}},
		{Name: "the task fails", Options: with(stopped(104), fails(pvesim.Fault{TaskFails: "no space"})), Args: `{"vmid":104,"confirm":true,"wait":45}`, Outcome: tool.Failed, Writes: []string{makeVM}, Says: []string{"no space"}},
		{Name: "the task did nothing", Options: with(stopped(104), fails(pvesim.Fault{TaskIdle: true})), Args: `{"vmid":104,"confirm":true,"wait":45}`, Outcome: tool.Failed, Writes: []string{makeVM}, Says: []string{"is no template"}},
		{Name: "a token that may not", Options: sim.Options{Model: sim.Cluster(stopped(104)), Token: "audit@pve!mcp"}, Args: `{"vmid":104,"confirm":true}`, Outcome: tool.Failed, Writes: []string{makeVM}, Says: []string{"VM.Allocate"}},
	})
}
