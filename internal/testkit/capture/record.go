// Package capture makes a model of a live cluster, for package pvesim.
package capture

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Recorder reads a cluster by GETs, one after the other.
type Recorder struct {
	Client *pve.Client
	// Skipped is called with what the model lacks, because it could not be read or has no
	// place in one.
	Skipped func(what string, err error)

	now       time.Time
	resources []pve.Resource
	model     pvesim.Model
}

// Record reads what the token may see, and says when it began, which is what ages in
// the model count from. Secrets are left out: of tokens, for which there are made-up
// ones, and those in configurations.
func (r *Recorder) Record(ctx context.Context) (m pvesim.Model, at time.Time, err error) {
	r.now, r.model = time.Now(), pvesim.Model{Seed: 1, NoMoreVolumes: true}
	all, err := r.Client.Resources(ctx, "")
	if err != nil {
		return m, r.now, err
	}
	r.resources = all.Resources()
	if err := r.nodes(ctx); err != nil {
		return m, r.now, err
	}
	r.storages(ctx)
	r.access(ctx)
	r.guests(ctx)
	r.pools(ctx)
	r.jobs(ctx)
	r.ha(ctx)
	for _, n := range r.model.Nodes {
		if !n.Offline {
			r.tasks(ctx, n.Name)
		}
	}
	return r.model, r.now, ctx.Err()
}

// read reads an endpoint that has no method in package pve. What cannot be read is
// skipped.
func read[T any](ctx context.Context, r *Recorder, elements ...string) T {
	v, err := proxmox.Get[T](ctx, r.Client.Client, proxmox.Join(elements...), nil)
	if err != nil {
		r.Skipped("/"+strings.Join(elements, "/"), err)
	}
	return v
}

func (r *Recorder) nodes(ctx context.Context) error {
	items, err := r.Client.ClusterStatus(ctx)
	if err != nil {
		r.Skipped("the name of the cluster and addresses of nodes", err)
	}
	ips := map[string]string{}
	for _, item := range items {
		if item.Type == "cluster" {
			r.model.Cluster = item.Name
		}
		ips[item.Name] = item.IP.Value
	}
	for _, res := range r.resources {
		if res.Type != "node" {
			continue
		}
		n := pvesim.Node{Name: res.Node.Value, IP: ips[res.Node.Value], CPUs: int(res.MaxCPU.Value), Memory: res.MaxMem.Value, Disk: res.MaxDisk.Value,
			Up: seconds(res.Uptime.Value), Offline: res.Status.Value != "online"}
		if !n.Offline {
			r.node(ctx, &n)
		}
		r.model.Nodes = append(r.model.Nodes, n)
	}
	if len(r.model.Nodes) == 0 {
		return fmt.Errorf("the cluster shows no node")
	}
	for _, n := range r.model.Nodes {
		if n.PVE != "" {
			r.model.PVE = n.PVE
			break
		}
	}
	return nil
}

// node adds what only the node itself knows.
func (r *Recorder) node(ctx context.Context, n *pvesim.Node) {
	v, err := r.Client.NodeVersion(ctx, n.Name)
	if err != nil {
		r.Skipped("the version of node "+n.Name, err)
	}
	n.PVE = v.Version
	status, err := r.Client.NodeStatus(ctx, n.Name)
	if err != nil {
		r.Skipped("the state of node "+n.Name, err)
	}
	n.BIOS = status.Boot["mode"].Value == "legacy-bios"
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// age is how long ago a time of PVE's was.
func (r *Recorder) age(at int64) time.Duration { return r.now.Sub(time.Unix(at, 0)) }

// tasks takes the last tasks of a node, and the logs of those that failed.
func (r *Recorder) tasks(ctx context.Context, node string) {
	list, _, err := r.Client.NodeTasks(ctx, node, pve.TaskFilter{Limit: 100})
	if err != nil {
		r.Skipped("the tasks of node "+node, err)
	}
	for _, t := range list {
		if !t.EndTime.Set || t.Status.Value == "" {
			continue
		}
		past := pvesim.PastTask{
			UPID: t.UPID.String(), Ago: r.age(t.StartTime.Value), Took: seconds(t.EndTime.Value - t.StartTime.Value), Exit: t.Status.Value,
		}
		if past.Exit != "OK" {
			lines, _, err := r.Client.TaskLogTail(ctx, t.UPID, 50)
			if err != nil {
				r.Skipped("the log of "+past.UPID, err)
			}
			for _, line := range lines {
				if !strings.HasPrefix(line.Text.Value, "TASK ") {
					past.Log = append(past.Log, line.Text.Value)
				}
			}
		}
		r.model.Tasks = append(r.model.Tasks, past)
	}
}

// pools takes the pools with their members.
func (r *Recorder) pools(ctx context.Context) {
	for _, o := range read[[]object](ctx, r, "pools") {
		pool := pvesim.Pool{ID: o["poolid"], Comment: o["comment"]}
		members, err := r.Client.PoolMembers(ctx, pool.ID)
		if err != nil {
			r.Skipped("the members of pool "+pool.ID, err)
		}
		for _, m := range members {
			switch {
			case m.IsGuest():
				pool.VMIDs = append(pool.VMIDs, int(m.VMID))
			case m.Storage.Value != "" && !slices.Contains(pool.Storages, m.Storage.Value):
				pool.Storages = append(pool.Storages, m.Storage.Value)
			}
		}
		r.model.Pools = append(r.model.Pools, pool)
	}
}

// jobs takes the backup jobs.
func (r *Recorder) jobs(ctx context.Context) {
	for _, o := range read[[]object](ctx, r, "cluster", "backup") {
		r.model.Jobs = append(r.model.Jobs, pvesim.BackupJob{
			ID: o["id"], Schedule: o["schedule"], Disabled: o["enabled"] == "0",
			Options: o.options("all", "bwlimit", "comment", "compress", "exclude", "mode", "node", "notes-template", "pool", "prune-backups",
				"protected", "repeat-missed", "storage", "vmid"),
		})
	}
}

// ha takes the groups or rules of the HA manager, and what it takes care of.
func (r *Recorder) ha(ctx context.Context) {
	resources := map[string]object{}
	for _, o := range read[[]object](ctx, r, "cluster", "ha", "resources") {
		resources[o["sid"]] = o
	}
	for i := range r.model.Guests {
		g := &r.model.Guests[i]
		if o := resources[fmt.Sprintf("%s:%d", map[string]string{"qemu": "vm", "lxc": "ct"}[g.Kind], g.VMID)]; o != nil {
			g.HA, g.HAOptions = cmp.Or(o["state"], "started"), o.options("comment", "failback", "group", "max_relocate", "max_restart")
		}
	}
	rules := true
	for _, n := range r.model.Nodes {
		rules = rules && !strings.HasPrefix(n.PVE, "8.") && !strings.HasPrefix(n.PVE, "7.")
	}
	if !rules {
		for _, o := range read[[]object](ctx, r, "cluster", "ha", "groups") {
			r.model.HAGroups = append(r.model.HAGroups, pvesim.HASection{
				ID: o["group"], Type: "group", Options: o.options("comment", "nodes", "nofailback", "restricted"),
			})
		}
		return
	}
	for _, o := range read[[]object](ctx, r, "cluster", "ha", "rules") {
		r.model.HARules = append(r.model.HARules, pvesim.HASection{
			ID: o["rule"], Type: o["type"], Options: o.options("affinity", "comment", "disable", "nodes", "resources", "strict"),
		})
	}
}
