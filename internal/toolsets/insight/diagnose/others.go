package diagnose

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// node diagnoses a node.
func (d *diagnosis) node() error {
	name := d.in.Node
	if _, err := d.Node(d.ctx, name); err != nil {
		return err
	}
	d.subject = "node " + name
	d.whenNothing = &step{Tool: "pve_list_tasks", Arguments: map[string]any{"node": name}}
	if d.May("HA and quorum", "", "Sys.Audit", "/") {
		items, _ := look(d, "HA and quorum", d.PVE.HAStatus)
		noQuorum(&facts{diagnosis: d, ha: items})
	}
	if d.nodeIsAway(name) || !d.May("node", name, "Sys.Audit", "/nodes/"+name) {
		return nil
	}
	if s, ok := look(d, "node", func(ctx context.Context) (pve.NodeStatus, error) { return d.PVE.NodeStatus(ctx, name) }); ok {
		d.busy(name, s)
	}
	services, _ := look(d, "services", func(ctx context.Context) ([]pve.Service, error) { return d.PVE.Services(ctx, name) })
	for _, s := range services {
		if s.Active.Value == "failed" {
			d.blame(cause{ID: "node.service", What: "the service " + render.Text(s.Name, 40) + " has failed", Confidence: certain,
				Next: &step{Command: "journalctl -u " + render.Text(s.Name, 40), Where: "root on " + name}})
		}
	}
	storages, _ := look(d, "storages", func(ctx context.Context) (listing, error) { return d.askStorages(ctx, name, "") })
	if storages.isSlow() {
		d.blame(cause{ID: "node.storage-slow", What: "one of its storages hardly answers; what hangs on it slows the node down", Confidence: likely,
			Evidence: []string{"its list of storages: " + storages.words()}, Next: &step{Tool: "pve_list_storage", Arguments: map[string]any{"node": name}}})
	}
	for _, s := range storages.list {
		if s.Active.Set && !s.Active.Value {
			d.blame(cause{ID: "storage.inactive", What: fmt.Sprintf("the storage %s is not active; what hangs on it slows the node down", s.Storage), Confidence: likely,
				Next: &step{Tool: "pve_diagnose", Arguments: map[string]any{"storage": s.Storage}}})
		}
	}
	if d.Permissions.Has("/", "Sys.Audit") {
		pools, _ := look(d, "ZFS pools", func(ctx context.Context) ([]pve.ZFSPool, error) { return d.PVE.ZFSPools(ctx, name) })
		for _, p := range pools {
			if p.Health.Value != "" && p.Health.Value != "ONLINE" {
				d.blame(cause{ID: "node.zfs", What: fmt.Sprintf("the ZFS pool %s is %s", render.Text(p.Name, 40), render.Text(p.Health.Value, 20)), Confidence: likely,
					Next: &step{Command: "zpool status " + render.Text(p.Name, 40), Where: "root on " + name}})
			}
		}
	}
	lines := d.minute(name, d.Now(), func(l string) bool {
		return strings.Contains(l, "Out of memory") || strings.Contains(l, "blocked for more than")
	})
	if lines != nil {
		d.blame(cause{ID: "node.kernel", What: "the kernel complains", Confidence: likely, Evidence: lines, Next: d.whenNothing})
	}
	return nil
}

// storage diagnoses a storage.
func (d *diagnosis) storage() error {
	name := d.in.Storage
	own, all, err := d.storesOf(name)
	if err != nil {
		return err
	}
	if own == nil {
		return cluster.NoStorageError(name, all)
	}
	d.subject = "storage " + name
	d.lookedAt = append(d.lookedAt, "state and use on each node")
	d.whenNothing = &step{Tool: "pve_find", Arguments: map[string]any{"storage": name}}
	for _, s := range own {
		on := render.List(s.Nodes)
		var away []string
		for _, n := range s.Nodes {
			if !s.UsableOn(n) {
				away = append(away, n)
			}
		}
		if away != nil {
			few, _ := survey.Few(away)
			d.blame(cause{ID: "storage.inactive", What: "it is not usable on " + render.List(few), Confidence: certain, Evidence: []string{"type " + s.PluginType.Value + ", configured for " + on},
				Next: &step{Command: "pvesm status --storage " + name, Where: "root on " + few[0] + "; then look at its server, mount or disks"}})
		}
		if s.MaxDisk.Value > 0 && float64(s.Disk.Value) >= fullAt*float64(s.MaxDisk.Value) {
			d.blame(cause{ID: "storage.full", What: "it is full on " + on, Confidence: certain,
				Evidence: []string{fmt.Sprintf("%s of %s", render.Bytes(s.Disk.Value), render.Bytes(s.MaxDisk.Value))},
				Next:     &step{Tool: "pve_storage_content", Arguments: map[string]any{"storage": name, "node": s.Node.Value}}})
		}
		d.slow(s)
	}
	return nil
}

// listing is what a node has said of its storages.
type listing struct {
	list []pve.Storage
	took time.Duration
	none bool // it did not come in time
}

// slowAnswer is how long a node takes to look at its storages, at least, if one hardly answers.
const slowAnswer = 5 * time.Second

func (l listing) isSlow() bool { return l.none || l.took >= slowAnswer }

func (l listing) words() string {
	after := render.Duration(l.took.Round(time.Second))
	if l.none {
		return "no answer after " + after
	}
	return "an answer after " + after
}

// askStorages asks a node for its storages, or for one of them. That there is no answer in time is
// one, too.
func (d *diagnosis) askStorages(ctx context.Context, node, storage string) (listing, error) {
	begun := time.Now()
	list, err := d.PVE.NodeStorages(ctx, node, pve.StorageFilter{Enabled: true, Storage: storage})
	out := listing{list: list, took: time.Since(begun)}
	var said *proxmox.Error
	if d.ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.As(err, &said) && said.TimedOut()) {
		out.none, err = true, nil
	}
	return out, err
}

// slow blames a storage that answers late on its nodes.
func (d *diagnosis) slow(s cluster.Store) {
	var usable, evidence []string
	for _, n := range s.Nodes {
		if s.UsableOn(n) {
			usable = append(usable, n)
		}
	}
	name := s.Storage.Value
	asked := survey.Ask(d.Survey, "how soon it answers", usable, func(n string) string { return n }, func(ctx context.Context, n string) (listing, error) {
		return d.askStorages(ctx, n, name)
	})
	var late []string
	for _, a := range asked {
		if a.Value.isSlow() {
			late, evidence = append(late, a.From), append(evidence, a.From+": "+a.Value.words())
		}
	}
	if late == nil {
		return
	}
	few, _ := survey.Few(late)
	d.blame(cause{ID: "storage.slow", What: "it hardly answers on " + render.List(few) + ": what reads or writes it hangs", Confidence: likely, Evidence: evidence,
		Next: &step{Command: "pvesm status --storage " + name, Where: "root on " + few[0] + "; then look at its server and the network to it"}})
}

// task diagnoses a task.
func (d *diagnosis) task() error {
	upid := d.in.UPID
	status, err := d.PVE.TaskStatus(d.ctx, upid)
	if err != nil {
		return err
	}
	d.subject = fmt.Sprintf("task %s %s on %s", upid.Type, render.Text(upid.ID, 40), upid.Node)
	d.lookedAt = append(d.lookedAt, "the task's state and log")
	t := pve.Task{UPID: upid, Type: upid.Type, StartTime: lenient.Some(upid.Start.Unix()), Status: status.ExitStatus}
	if status.Running() {
		d.running(t)
		return nil
	}
	t.EndTime = lenient.Some(upid.Start.Unix())
	if status.Succeeded() && status.Warnings() == 0 {
		return nil
	}
	reason, log := d.TaskReason(d.ctx, upid, status, mostEvidence)
	if status.Warnings() > 0 {
		for i := range log {
			log[i] = render.Said(log[i], 250)
		}
		d.blame(cause{ID: "task.warnings", What: "it ended with warnings", Confidence: certain, Evidence: log})
		return nil
	}
	d.blameLog(t, reason, log)
	return nil
}

// running says what a task that runs may wait for.
func (d *diagnosis) running(t pve.Task) {
	lines, _, err := d.PVE.TaskLogTail(d.ctx, t.UPID, cluster.LogEnds)
	if err != nil {
		d.NotSeen("log", t.UPID.Type, d.Explain(err).What)
		return
	}
	said := cluster.LastLogLines(lines, 2)
	c := cause{ID: "task.running", What: fmt.Sprintf("it has been running for %s", render.Duration(d.Ago(t.UPID.Start).Round(time.Second))), Confidence: possible, Evidence: said,
		Next: &step{Tool: "pve_task_status", Arguments: map[string]any{"upid": t.UPID.String(), "wait": 45}}}
	if len(said) > 0 && strings.Contains(said[len(said)-1], "trying to acquire") {
		c.ID, c.What, c.Confidence = "task.lock", "it waits for a lock that another task holds", likely
		c.Next = &step{Tool: "pve_list_tasks", Arguments: map[string]any{"node": t.UPID.Node, "running": true}}
	}
	d.blame(c)
}
