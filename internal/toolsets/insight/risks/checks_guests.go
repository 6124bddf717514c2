package risks

import (
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

func guestChecks() []check {
	inside := []string{readGuestList, readInside}
	return []check{
		{"guest.io-error", "guests", Critical, "The VM has stopped at an error of its disk: it writes nothing until the storage has room or is back", []string{readGuestList}, findIOErrors},
		{"ha.error", "ha", Critical, "HA has given the guest up: it neither starts nor moves it until its state is set anew", []string{readGuestList, readHA}, findHAErrors},
		{"ha.local-storage", "ha", High, "HA manages the guest, and its disks are on one node only, not replicated: if the node fails, it cannot come up elsewhere", []string{readGuestList, readStorageList, readInside, readConfigs, readJobs, readHA}, findLocalHA},
		{"guest.stale-lock", "guests", High, "The guest is locked, and the task that locked it is dead: it can be neither started, backed up nor changed", []string{readGuestList, readRunning, readInside}, findStaleLocks},
		{"guest.crashed", "guests", High, "The VM has crashed", []string{readGuestList}, findCrashes},
		{"guest.unknown", "guests", High, "The state of the guest is unknown, though its node is online", []string{readGuestList}, findUnknown},
		{"guest.paused", "guests", Medium, "The VM is paused: it counts as running, and does nothing", []string{readGuestList, readRunning}, findPaused},
		{"guest.onboot-off", "guests", Low, "The guest runs, and does not start when its node boots", inside, findOnboot},
		{"guest.no-agent", "guests", Low, "The guest agent is configured, and does not answer: backups do not freeze its file systems, and a shutdown may time out", append(inside, readAgents), findMute},
	}
}

// statusIs finds VMs of some states, by QEMU's words.
func statusIs(f *facts, found found, fix func(pve.Resource) Fix, states ...string) {
	for _, g := range f.guests {
		if slices.Contains(states, g.Status.Value) {
			found(guestName(g), g.Status.Value+" on "+g.Node.Value, fix(g))
		}
	}
}

func findIOErrors(f *facts, found found) {
	statusIs(f, found, func(g pve.Resource) Fix {
		return command(fmt.Sprintf("qm resume %v", g.VMID), rootOn(g.Node.Value)+", after its storage works again")
	}, "io-error")
}

func findCrashes(f *facts, found found) {
	statusIs(f, found, func(g pve.Resource) Fix {
		return call("pve_guest_power", map[string]any{"vmid": int(g.VMID), "action": "reset"})
	}, "internal-error", "guest-panicked", "watchdog", "shutdown")
}

func findPaused(f *facts, found found) {
	for _, g := range f.guests {
		if g.Status.Value == "paused" && f.holder(g) == "" && (g.Lock.Value == "" || g.Lock.Value == "suspended") {
			found(guestName(g), "on "+g.Node.Value, call("pve_guest_power", map[string]any{"vmid": int(g.VMID), "action": "resume"}))
		}
	}
}

func findUnknown(f *facts, found found) {
	for _, g := range f.guests {
		if g.Status.Or("unknown") == "unknown" && f.reports(g.Node.Value) && !g.Template.Value {
			found(guestName(g), "on "+g.Node.Value, command("systemctl restart pvestatd", rootOn(g.Node.Value)))
		}
	}
}

// holder is the kind of the running task that may hold a guest's lock, "" if there is none.
func (f *facts) holder(g pve.Resource) string {
	lock := f.lockOf(g)
	for _, t := range f.running {
		if pve.MayLock(t.UPID, g.Ref(), lock) {
			return t.Type
		}
	}
	return ""
}

// lockOf is the lock of a guest. The list is up to 20 s old.
func (f *facts) lockOf(g pve.Resource) string {
	if in := f.inside[g.VMID]; in != nil {
		return in.config.Values["lock"]
	}
	return g.Lock.Value
}

// idle reports whether it is known that no running task may hold a guest's lock.
func (f *facts) idle(g pve.Resource) bool { return f.recent != nil && f.holder(g) == "" }

func findStaleLocks(f *facts, found found) {
	for _, g := range f.guests {
		lock := f.lockOf(g)
		if lock == "" || lock == "suspended" || !f.idle(g) {
			continue
		}
		found(guestName(g), fmt.Sprintf("lock: %s; no task of it runs", render.Text(lock, 30)), command(explain.UnlockCommand(g.Ref(), lock), rootOn(g.Node.Value)))
	}
}

func findHAErrors(f *facts, found found) {
	for _, g := range f.guests {
		state := g.HAState.Value
		if s, ok := f.service(g); ok {
			state = s.State.Or(state)
		}
		sid := "vm:"
		if g.Type == string(pve.LXC) {
			sid = "ct:"
		}
		if state == "error" || state == "fence" || state == "recovery" {
			found(guestName(g), "state: "+state, command(fmt.Sprintf("ha-manager set %s%v --state disabled, then --state started", sid, g.VMID), "root on a node"))
		}
	}
}

func findOnboot(f *facts, found found) {
	for _, g := range f.guests {
		in := f.inside[g.VMID]
		if in == nil || g.Status.Value != "running" || f.managed(g) || in.config.Values["onboot"] == "1" {
			continue
		}
		found(guestName(g), "", call("pve_update_guest_config", map[string]any{"vmid": int(g.VMID), "set": map[string]any{"onboot": "1"}}))
	}
}

func findMute(f *facts, found found) {
	for _, g := range f.guests {
		if in := f.inside[g.VMID]; in != nil && in.mute {
			found(guestName(g), "", command("systemctl restart qemu-guest-agent", "in the guest"))
		}
	}
}

// isLocal reports whether single nodes have a storage of this name each. That of a storage
// which the token does not see is unknown.
func (f *facts) isLocal(storage string) bool {
	return slices.ContainsFunc(f.stores, func(s cluster.Store) bool { return s.Storage.Value == storage && !s.Shared.Value })
}

func findLocalHA(f *facts, found found) {
	if len(f.nodes) < 2 {
		return
	}
	for _, g := range f.guests {
		in := f.inside[g.VMID]
		if in == nil || !f.recovers(g) {
			continue
		}
		if local := f.localDisks(g, in.config); local != nil {
			found(guestName(g), render.List(local), command(fmt.Sprintf("pvesr create-local-job %v-0 NODE --schedule '*/15' (ZFS), or move the disks to a shared storage", g.VMID), rootOn(g.Node.Value)))
		}
	}
}

// localDisks are the disks of a guest that only its node has: those that are on a storage of
// its own, and of which no replication job makes a copy.
func (f *facts) localDisks(g pve.Resource, c pve.GuestConfig) []string {
	replicated := slices.ContainsFunc(f.replications, func(r pve.Replication) bool {
		return pve.VMID(r.Guest.Value) == g.VMID && !r.Disabled.Value
	})
	var out []string
	for _, d := range c.Disks(pve.Kind(g.Type)) {
		if d.Volume.Storage == "" || d.IsCDROM() || d.IsCloudInit() || d.Bus == "unused" || !f.isLocal(d.Volume.Storage) {
			continue
		}
		left, _ := pve.ParseProperty(c.Values[d.Key], pve.SourceKey(pve.Kind(g.Type))).Get("replicate")
		if !replicated || left == "0" {
			out = append(out, d.Key+" on "+d.Volume.Storage)
		}
	}
	return out
}
