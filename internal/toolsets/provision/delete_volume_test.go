package provision_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	deleteContent = "DELETE /nodes/{node}/storage/{storage}/content/{volume}"
	old           = "nfs:backup/vzdump-qemu-100-2026_01_0"
)

// withVolumes has volumes of every kind, and guests that use some of them.
func withVolumes(changes ...func(*pvesim.Model)) *pvesim.Model {
	m := sim.Cluster(changes...)
	m.Volumes = []pvesim.Volume{
		{ID: "nfs:iso/free.iso", Content: "iso", Size: 700 << 20},
		{ID: "nfs:iso/cd.iso", Content: "iso", Size: 700 << 20},
		{ID: "nfs:iso/snap.iso", Content: "iso", Size: 700 << 20},
		{ID: "nfs:iso/later.iso", Content: "iso", Size: 700 << 20},
		{ID: "nfs:import/cloud.qcow2", Content: "import", Size: 600 << 20},
		{ID: "local:vztmpl/debian.tar.zst", Node: "pve1", Content: "vztmpl", Size: 120 << 20},
		{ID: "local:vztmpl/debian.tar.zst", Node: "pve2", Content: "vztmpl", Size: 120 << 20},
		{ID: "local-zfs:vm-777-disk-0", Node: "pve1", Content: "images", VMID: 777, Size: 8 << 30, Format: "raw"},
		{ID: "local-zfs:vm-104-disk-9", Node: "pve1", Content: "images", VMID: 104, Size: 8 << 30, Format: "raw"},
	}
	for i, kept := range []bool{false, false, true} {
		m.Volumes = append(m.Volumes, pvesim.Volume{
			ID: old + string(rune('1'+i)) + "-02_00_00.vma.zst", Content: "backup", VMID: 100, Size: 3 << 30, Age: time.Duration(300-i) * 24 * time.Hour, Protected: kept,
		})
	}
	sim.Set(105, "ide2=nfs:iso/cd.iso,media=cdrom")(m)
	sim.Guest(105, func(g *pvesim.Guest) {
		config := map[string]string{"ide2": "nfs:iso/snap.iso,media=cdrom", "name": "x"}
		g.Snapshots = append(g.Snapshots, pvesim.Snapshot{Name: "monday", Config: config})
	})(m)
	return m
}

func TestDeleteVolume(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		outcome    tool.Outcome
		says       []string
		writes     int
	}{
		{"not confirmed", `{"volumes":["nfs:iso/free.iso"]}`, tool.NeedsConfirmation, []string{"nfs:iso/free.iso: an ISO of 700 MiB; no guest that can be seen uses it"}, 0},
		{"an ISO", `{"volumes":["nfs:iso/free.iso"],"confirm":true,"wait":45}`, tool.OK, []string{`"deleted":["nfs:iso/free.iso"]`, `"freed":"700 MiB"`}, 1},
		{"several", `{"volumes":["nfs:iso/free.iso","nfs:import/cloud.qcow2"],"confirm":true,"wait":45}`, tool.OK, []string{`"message":"2 volumes are deleted."`}, 2},
		{"several, not confirmed", `{"volumes":["nfs:iso/free.iso","nfs:import/cloud.qcow2"]}`, tool.NeedsConfirmation, []string{"Deletion of 2 volumes", "nfs:import/cloud.qcow2: an image to import"}, 0},
		{"an ISO in a drive", `{"volumes":["nfs:iso/free.iso","nfs:iso/cd.iso"],"confirm":true}`, tool.Failed, []string{"nfs:iso/cd.iso is in use: VM 105", "has it as ide2"}, 0},
		{"an ISO of a snapshot", `{"volumes":["nfs:iso/snap.iso"],"confirm":true}`, tool.Failed, []string{"in its snapshot monday as ide2"}, 0},
		{"a template on two nodes", `{"volumes":["local:vztmpl/debian.tar.zst"],"confirm":true}`, tool.Failed, []string{"is on each of pve1 and pve2", `node: \"pve1\"`}, 0},
		{"a template on one of them", `{"volumes":["local:vztmpl/debian.tar.zst"],"node":"pve2","confirm":true,"wait":45}`, tool.OK, []string{`"outcome":"ok"`}, 1},
		{"a disk in use", `{"volumes":["local-zfs:vm-104-disk-0"],"confirm":true}`, tool.Failed, []string{"is in use: VM 104 (mail) has it as scsi0", "PVE would delete it all the same"}, 0},
		{"a template's disk", `{"volumes":["local-zfs:base-900-disk-0"],"confirm":true}`, tool.Failed, []string{"the template VM 900"}, 0},
		{"a detached disk", `{"volumes":["local-zfs:vm-104-disk-1"],"confirm":true,"wait":45}`, tool.OK, []string{`"deleted":["local-zfs:vm-104-disk-1"]`}, 1},
		{"a detached disk, not confirmed", `{"volumes":["local-zfs:vm-104-disk-1"]}`, tool.NeedsConfirmation, []string{"which has it detached as unused0"}, 0},
		{"a disk that no configuration has", `{"volumes":["local-zfs:vm-104-disk-9"]}`, tool.NeedsConfirmation, []string{"of VM 104 (mail), whose configuration does not have it"}, 0},
		{"a disk of a guest that is gone", `{"volumes":["local-zfs:vm-777-disk-0"]}`, tool.NeedsConfirmation, []string{"of the guest 777, which is not there any more"}, 0},
		{"a backup with a newer one", `{"volumes":["` + old + `1-02_00_00.vma.zst"]}`, tool.NeedsConfirmation, []string{"a backup of 3 GiB; of VM 100", "a newer one stays: "}, 0},
		{"a protected backup", `{"volumes":["` + old + `3-02_00_00.vma.zst"],"confirm":true}`, tool.Failed, []string{"is protected"}, 0},
		{"older than the newest", `{"vmid":100,"storage":"nfs","keep_newest":1}`, tool.NeedsConfirmation, []string{"1 protected backups stay", old + "1"}, 0},
		{"nothing is old", `{"vmid":100,"storage":"nfs","keep_newest":40}`, tool.OK, []string{"Nothing was deleted"}, 0},
		{"keep_newest of nobody", `{"storage":"nfs","keep_newest":1}`, tool.Failed, []string{`The argument \"vmid\" is needed`}, 0},
		{"no such volume", `{"volumes":["nfs:iso/none.iso"],"confirm":true}`, tool.Failed, []string{"There is no volume nfs:iso/none.iso"}, 0},
		{"no volid", `{"volumes":["none.iso"],"confirm":true}`, tool.Failed, []string{"give whole volids"}, 0},
		{"nothing named", `{"confirm":true}`, tool.Failed, []string{`The argument \"volumes\" is needed`}, 0},
	} {
		for _, version := range []string{"8.4.1", "9.1.1"} {
			t.Run(tt.name+" on "+version, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := sim.New(t, sim.Options{Model: withVolumes(sim.Version(version)), Token: everyone})
					a := w.Call("pve_delete_volume", tt.args)
					if writes := sim.Writes(w.Sent()); a.Outcome != tt.outcome || len(writes) != tt.writes {
						t.Errorf("%v: %s", writes, a.Text)
					}
					for _, s := range tt.says {
						if !strings.Contains(a.Text, s) {
							t.Errorf("%s lacks %s", a.Text, s)
						}
					}
				})
			})
		}
	}
}

// A volume whose deletion fails, or is not known to have happened, is named, and those after it
// stay.
func TestDeleteVolumeFaults(t *testing.T) {
	const args = `{"volumes":["nfs:iso/free.iso","nfs:iso/later.iso","nfs:import/cloud.qcow2"],"confirm":true,"wait":45}`
	for _, tt := range []struct {
		name    string
		fault   pvesim.Fault
		outcome tool.Outcome
		left    string
	}{
		{"the second task fails", pvesim.Fault{TaskFails: "unable to remove file", Skip: 1, Max: 1}, tool.Failed, `"left":["nfs:iso/later.iso","nfs:import/cloud.qcow2"]`},
		{"the second is refused", pvesim.Fault{Status: 500, Message: "no", Skip: 1, Max: 1}, tool.Failed, `"left":["nfs:iso/later.iso","nfs:import/cloud.qcow2"]`},
		{"a task that did nothing", pvesim.Fault{TaskIdle: true, Skip: 2, Max: 1}, tool.Failed, `"left":["nfs:import/cloud.qcow2"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := withVolumes()
				tt.fault.Match = "DELETE /nodes/*/storage/*/content/**"
				m.Faults = append(m.Faults, tt.fault)
				w := sim.New(t, sim.Options{Model: m, Token: everyone})
				a := w.Call("pve_delete_volume", args)
				if a.Outcome != tt.outcome || !strings.Contains(a.Text, tt.left) || !strings.Contains(a.Text, `"deleted":["nfs:iso/free.iso"`) {
					t.Errorf("%s", a.Text)
				}
			})
		})
	}
}

// A token that may delete backups only gets the name of the privilege that an ISO needs.
func TestDeleteVolumePrivileges(t *testing.T) {
	w := sim.New(t, sim.Options{Model: withVolumes()})
	a := w.Call("pve_delete_volume", `{"volumes":["nfs:iso/free.iso"],"confirm":true}`)
	if a.Outcome != tool.Failed || !strings.Contains(a.Text, "Datastore.Allocate") || len(sim.Writes(w.Sent())) > 0 {
		t.Errorf("%s", a.Text)
	}
	a = w.Call("pve_delete_volume", `{"volumes":["`+old+`1-02_00_00.vma.zst"],"confirm":true}`)
	if a.Outcome != tool.OK && a.Outcome != tool.Running {
		t.Errorf("%s", a.Text)
	}
}

// A key that has come to mean another disk since the consent is not deleted.
func TestDeleteVolumeOfAKeyThatIsAnother(t *testing.T) {
	for name, when := range map[string]struct{ method, path string }{
		"before another of the call":   {"DELETE", "free.iso"},
		"just before it would be sent": {"POST", "/nodes/pve1/qemu/104/config"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				swapped := false
				w := sim.New(t, sim.Options{Model: withVolumes(), Token: everyone, Before: func(w *sim.World, req *http.Request) {
					if swapped || req.Method != when.method || !strings.HasSuffix(req.URL.Path, when.path) {
						return
					}
					swapped = true
					for _, change := range []string{`"set":{"scsi7":"local-zfs:vm-104-disk-1"}`, `"set":{"scsi8":"local-zfs:vm-104-disk-9"}`, `"delete":["scsi8"]`} {
						if a := w.As("root@pam!full").Call("pve_update_guest_config", `{"vmid":104,`+change+`,"confirm":true}`); a.IsError {
							w.Errorf("%s", a.Text)
						}
					}
				}})
				a := w.Call("pve_delete_volume", `{"volumes":["nfs:iso/free.iso","local-zfs:vm-104-disk-1"],"confirm":true,"wait":45}`)
				if a.Outcome != tool.Failed || !swapped {
					t.Errorf("%s", a.Text)
				}
				left := w.As("root@pam!full").Call("pve_storage_content", `{"storage":"local-zfs","node":"pve1"}`)
				for _, disk := range []string{"vm-104-disk-1", "vm-104-disk-9"} {
					if !strings.Contains(left.Text, disk) {
						t.Errorf("%s is gone: %s", disk, a.Text)
					}
				}
			})
		})
	}
}

// A disk that a guest has got since the consent stays.
func TestDeleteVolumeThatAGuestGetsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attached := sim.Meanwhile("DELETE", "free.iso", `pve_update_guest_config {"vmid":104,"set":{"scsi8":"local-zfs:vm-104-disk-9"}}`)
		w := sim.New(t, sim.Options{Model: withVolumes(), Token: everyone, Before: attached})
		a := w.Call("pve_delete_volume", `{"volumes":["nfs:iso/free.iso","local-zfs:vm-104-disk-9"],"confirm":true,"wait":45}`)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "has it as scsi8") || !strings.Contains(a.Text, `"left":["local-zfs:vm-104-disk-9"]`) {
			t.Errorf("%s", a.Text)
		}
	})
}
