package diagnose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// diagnosis is a look for causes.
type diagnosis struct {
	*survey.Survey
	ctx context.Context
	in  in

	subject     string
	causes      []cause
	lookedAt    []string
	whenNothing *step
}

// blame adds a cause.
func (d *diagnosis) blame(c cause) { d.causes = append(d.causes, c) }

// about reports whether the symptom is one of some, or any.
func (d *diagnosis) about(symptoms ...string) bool {
	return d.in.Symptom == "" || slices.Contains(symptoms, d.in.Symptom)
}

// look asks one question about the subject, and notes for the answer that it did.
func look[T any](d *diagnosis, what string, ask func(context.Context) (T, error)) (T, bool) {
	got, ok := survey.One(d.Survey, what, ask)
	if ok && !slices.Contains(d.lookedAt, what) {
		d.lookedAt = append(d.lookedAt, what)
	}
	return got, ok
}

// facts are what is known of a guest and what it needs.
type facts struct {
	*diagnosis
	ref      pve.GuestRef
	status   pve.GuestStatus
	now      pve.GuestConfig // in force
	waiting  []string        // keys whose change waits
	tasks    []pve.Task      // newest first
	reason   string          // of the newest task, if it failed
	log      []string
	failed   *pve.Task
	node     *pve.NodeStatus
	storages []pve.Storage
	bridges  []pve.Network
	ha       []pve.HAItem
}

// running reports whether the guest runs.
func (f *facts) running() bool { return f.status.Status == "running" }

// call is a step that calls a tool about the guest.
func (f *facts) call(name string, more ...any) *step {
	args := map[string]any{"vmid": f.ref.VMID}
	for i := 0; i+1 < len(more); i += 2 {
		args[fmt.Sprint(more[i])] = more[i+1]
	}
	return &step{Tool: name, Arguments: args}
}

// guest diagnoses a guest.
func (d *diagnosis) guest() error {
	r, err := d.Guest(d.ctx, d.in.VMID)
	if err != nil {
		return err
	}
	f := &facts{diagnosis: d, ref: r.Ref()}
	d.subject = fmt.Sprintf("%v %s on %s", f.ref, render.Text(r.Name.Value, 60), f.ref.Node)
	if d.nodeIsAway(f.ref.Node) {
		return nil
	}
	if f.ref, f.status, err = d.Live(d.ctx, d.in.VMID); err != nil {
		return err
	}
	d.subject = fmt.Sprintf("%v %s on %s, %s", f.ref, render.Text(f.status.Name.Value, 60), f.ref.Node, f.status.State())
	if f.ref.Kind == pve.QEMU {
		d.whenNothing = &step{Do: "look at its console (pve_console, where it is offered, or PVE's web interface)"}
	}
	f.read()
	for _, look := range guestCauses {
		look(f)
	}
	return nil
}

// read reads the facts.
func (f *facts) read() {
	values, _ := look(f.diagnosis, "configuration", func(ctx context.Context) ([]pve.PendingValue, error) { return f.PVE.Pending(ctx, f.ref) })
	f.now.Values = map[string]string{}
	for _, v := range values {
		if v.Value.Set {
			f.now.Values[v.Key] = v.Value.Value
		}
		if v.Waits() && v.Pending != v.Value {
			f.waiting = append(f.waiting, v.Key)
		}
	}
	f.tasks, _ = look(f.diagnosis, "tasks", func(ctx context.Context) ([]pve.Task, error) {
		list, _, err := f.PVE.NodeTasks(ctx, f.ref.Node, pve.TaskFilter{Source: "all", VMID: f.ref.VMID, Limit: 20})
		return list, err
	})
	f.readFailure()
	if f.May("node", f.ref.Node, "Sys.Audit", "/nodes/"+f.ref.Node) {
		if s, ok := look(f.diagnosis, "node", func(ctx context.Context) (pve.NodeStatus, error) { return f.PVE.NodeStatus(ctx, f.ref.Node) }); ok {
			f.node = &s
		}
	}
	f.storages, _ = look(f.diagnosis, "storages", func(ctx context.Context) ([]pve.Storage, error) {
		return f.PVE.NodeStorages(ctx, f.ref.Node, pve.StorageFilter{})
	})
	f.bridges, _ = look(f.diagnosis, "bridges", func(ctx context.Context) ([]pve.Network, error) { return f.PVE.Bridges(ctx, f.ref.Node) })
	if f.May("HA and quorum", "", "Sys.Audit", "/") {
		f.ha, _ = look(f.diagnosis, "HA and quorum", f.PVE.HAStatus)
	}
}

// readFailure finds the newest start, stop or migration that failed and that nothing has
// made good since.
func (f *facts) readFailure() {
	for i, t := range f.tasks {
		if !t.EndTime.Set {
			continue
		}
		status := proxmox.TaskStatus{ExitStatus: t.Status}
		if t.Status.Value == "OK" || status.Warnings() > 0 {
			return
		}
		f.failed = &f.tasks[i]
		f.reason, f.log = f.TaskReason(f.ctx, t.UPID, status, 3)
		return
	}
}

// nodeIsAway blames a node that does not answer, and reports whether it does not.
func (d *diagnosis) nodeIsAway(name string) bool {
	n, err := d.Node(d.ctx, name)
	if err != nil || n.Status.Value == "online" {
		return false
	}
	d.lookedAt = append(d.lookedAt, "node")
	what := "its node " + name + " is " + n.Status.Or("unknown")
	next := &step{Tool: "pve_diagnose", Arguments: map[string]any{"node": name}}
	if d.in.Node == name {
		what, next = "the node is "+n.Status.Or("unknown"), &step{Do: "look at its console or remote management: power, network, boot"}
	}
	c := cause{ID: "node.offline", What: what, Confidence: certain, Evidence: []string{"PVE's list of the cluster says so"}, Next: next}
	if n.Status.Value != "offline" {
		c.ID, c.Next = "node.status-hangs", &step{Command: "systemctl restart pvestatd", Where: "root on " + name}
		c.Evidence = append(c.Evidence, "its status daemon does not report; a storage that hangs does that")
	}
	d.blame(c)
	return n.Status.Value == "offline"
}

// minute are lines of a node's journal around a time that mention one of some words.
func (d *diagnosis) minute(node string, at time.Time, words func(string) bool) (lines []string) {
	if !d.May("journal", node, "Sys.Syslog", "/nodes/"+node) {
		return nil
	}
	all, _ := look(d, "journal", func(ctx context.Context) ([]string, error) {
		return d.PVE.Journal(ctx, node, at.Add(-time.Minute), at.Add(time.Minute))
	})
	for _, l := range all {
		if words(l) && len(lines) < mostEvidence {
			lines = append(lines, render.Said(l, 200))
		}
	}
	return lines
}

// storesOf are the stores of a storage.
func (d *diagnosis) storesOf(name string) ([]cluster.Store, []cluster.Store, error) {
	all, err := d.Stores(d.ctx)
	var own []cluster.Store
	for _, s := range all {
		if s.Storage.Value == name {
			own = append(own, s)
		}
	}
	return own, all, err
}
