package risks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// Requests of a look: at most these for the cluster, and these for each node. Those about
// storages with backups, backup jobs and guests come on top.
const (
	MostOfCluster = 12
	MostOfNode    = 8
)

// nodeRead is a request to a node.
type nodeRead struct {
	name string
	// privilege is needed on path, "" for the node's own; "" is none.
	privilege, path string
	// wanted, if not nil, says whether the node has something of the kind.
	wanted func(f *facts, n *node) bool
	ask    func(ctx context.Context, f *facts, n *node) error
}

// nodeReads are the requests to a node, the most important first.
func nodeReads() []nodeRead {
	return []nodeRead{
		{readZFS, "Sys.Audit", "/", hasPool, askPoolStates},
		{readThin, "Sys.Audit", "/", hasThinPool, func(ctx context.Context, f *facts, n *node) (err error) {
			n.thin, err = f.PVE.ThinPools(ctx, n.name)
			return err
		}},
		{readReplication, "", "", replicates, func(ctx context.Context, f *facts, n *node) (err error) {
			n.replication, err = f.PVE.ReplicationStatus(ctx, n.name)
			return err
		}},
		{readZFS, "Sys.Audit", "/", func(f *facts, n *node) bool { return !hasPool(f, n) }, askZFS},
		{readDisks, "Sys.Audit", "", func(f *facts, _ *node) bool { return f.scope.SMART }, func(ctx context.Context, f *facts, n *node) (err error) {
			n.disks, err = f.PVE.PhysicalDisks(ctx, n.name, true)
			return err
		}},
		{readFailed, "Sys.Audit", "", hasMoreTasks, askFailedTasks},
		{readVersions, "Sys.Audit", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.packages, err = f.PVE.PackageVersions(ctx, n.name)
			return err
		}},
		{readCertificates, "", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.certificates, err = f.PVE.Certificates(ctx, n.name)
			return err
		}},
		{readClocks, "Sys.Audit", "", clockIsOdd, askClock},
		{readServices, "Sys.Audit", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.services, err = f.PVE.Services(ctx, n.name)
			return err
		}},
		{readSubscription, "", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.subscription, err = f.PVE.Subscription(ctx, n.name)
			return err
		}},
		{readUpdates, "Sys.Modify", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.updates, err = f.PVE.Updates(ctx, n.name)
			return err
		}},
		{readOtherPools, "Sys.Audit", "/", hasPool, askZFS},
	}
}

// readNodes asks the nodes, within the number of requests that a look may make.
func (f *facts) readNodes() {
	left := MostOfCluster + MostOfNode*len(f.nodes) - f.spent
	if f.reads[readDisks] && !f.scope.SMART {
		f.NotSeen(readDisks, "", "they are asked only with smart: true, since that may wake them")
	}
	var wg sync.WaitGroup
	for _, r := range nodeReads() {
		if !f.reads[r.name] {
			continue
		}
		var ask []*node
		for _, n := range f.nodes {
			path := r.path
			if path == "" {
				path = "/nodes/" + n.name
			}
			switch {
			case !n.answers, r.wanted != nil && !r.wanted(f, n):
			case r.privilege != "" && !f.May(r.name, n.name, r.privilege, path):
			case r.name == readDisks: // was asked for
				ask = append(ask, n)
			case left == 0:
				f.NotSeen(r.name, n.name, tooMany(len(f.nodes)))
			default:
				left--
				ask = append(ask, n)
			}
		}
		wg.Go(func() {
			survey.Ask(f.Survey, r.name, ask, func(n *node) string { return n.name },
				func(ctx context.Context, n *node) (struct{}, error) { return struct{}{}, r.ask(ctx, f, n) })
		})
	}
	wg.Wait()
}

// tooMany says why a request was not made.
func tooMany(nodes int) string {
	return fmt.Sprintf("a look makes at most %d requests; with focus on fewer areas it is among them", MostOfCluster+MostOfNode*nodes)
}

// poolsOf are the ZFS pools that storages of a node are on.
func (f *facts) poolsOf(n *node) []string {
	var out []string
	for _, c := range f.configs {
		pool, _, _ := strings.Cut(c.Pool.Value, "/")
		here := c.Nodes.Value == "" || slices.Contains(apischema.SplitList(c.Nodes.Value), n.name)
		if c.Type == "zfspool" && pool != "" && here && !c.Disabled.Value && !slices.Contains(out, pool) {
			out = append(out, pool)
		}
	}
	return out
}

func hasPool(f *facts, n *node) bool { return len(f.poolsOf(n)) > 0 }

// askPoolStates asks for the state of each pool that a storage is on. There is one, as a rule.
func askPoolStates(ctx context.Context, f *facts, n *node) error {
	for _, name := range f.poolsOf(n) {
		p, err := f.PVE.ZFSPoolState(ctx, n.name, name)
		if err != nil {
			return err
		}
		n.poolStates = append(n.poolStates, p)
		n.pools = append(n.pools, pve.ZFSPool{Name: name, Health: p.State})
	}
	return nil
}

// askZFS asks for the ZFS pools. A node without ZFS refuses, which is no trouble unless a
// storage is on one.
func askZFS(ctx context.Context, f *facts, n *node) error {
	all, err := f.PVE.ZFSPools(ctx, n.name)
	known := f.poolsOf(n)
	n.otherPools = slices.DeleteFunc(all, func(p pve.ZFSPool) bool { return slices.Contains(known, p.Name) })
	if err != nil && strings.Contains(err.Error(), "zfsutils-linux not installed") {
		return nil
	}
	return err
}

// hasMoreTasks reports whether the list of the cluster's tasks, which has the latest of each
// node, may lack some of the period. Those of a node that it has are taken from it.
func hasMoreTasks(f *facts, n *node) bool {
	const kept = 20 // about as many as a node tells the others of
	since := f.now.Add(-f.scope.Period).Unix()
	all, oldest := 0, int64(0)
	var failed []pve.Task
	for _, t := range f.recent {
		if t.Node != n.name {
			continue
		}
		all++
		if oldest == 0 || t.StartTime.Value < oldest {
			oldest = t.StartTime.Value
		}
		status := proxmox.TaskStatus{Status: "stopped", ExitStatus: t.Status}
		if t.EndTime.Set && t.StartTime.Value >= since && !status.Succeeded() {
			failed = append(failed, t)
		}
	}
	if f.recent == nil || all >= kept && oldest >= since {
		return true
	}
	n.failed = failed
	return false
}

func askFailedTasks(ctx context.Context, f *facts, n *node) error {
	const most = 200
	list, _, err := f.PVE.NodeTasks(ctx, n.name, pve.TaskFilter{Errors: true, Since: f.now.Add(-f.scope.Period), Limit: most})
	n.failed = list
	return err
}

func askClock(ctx context.Context, f *facts, n *node) error {
	begun := time.Now()
	shown, err := f.PVE.NodeTime(ctx, n.name)
	if err != nil || !shown.Time.Set {
		return err
	}
	half := time.Since(begun) / 2
	n.clock = &clock{
		ahead:  time.Unix(shown.Time.Value, 0).Add(time.Second / 2).Sub(begun.Add(half)),
		unsure: half + time.Second/2,
	}
	return nil
}

// fewNodes is up to how many nodes each is asked for the time.
const fewNodes = 2

// clockIsOdd reports whether a node is to be asked for its time. HA's agent on it writes the
// time down every few seconds, so that of many nodes only those are asked whose time is
// another than that of most.
func clockIsOdd(f *facts, n *node) bool {
	if len(f.nodes) <= fewNodes {
		return true
	}
	var all []int64
	own := int64(0)
	for _, i := range f.ha {
		if i.Type == "lrm" && i.Timestamp.Value > 0 {
			all = append(all, i.Timestamp.Value)
			if i.Node.Value == n.name {
				own = i.Timestamp.Value
			}
		}
	}
	if own == 0 || len(all) <= fewNodes {
		return true
	}
	slices.Sort(all)
	const usual = 11 // seconds between two reports
	middle := all[len(all)/2]
	return own < middle-usual || own > middle+usual
}

func hasThinPool(f *facts, n *node) bool {
	return slices.ContainsFunc(f.stores, func(s cluster.Store) bool {
		return s.PluginType.Value == "lvmthin" && slices.Contains(s.Nodes, n.name)
	})
}

// replicates reports whether a guest of a node has a replication job.
func replicates(f *facts, n *node) bool {
	return slices.ContainsFunc(f.replications, func(r pve.Replication) bool { return f.sourceOf(r) == n.name })
}

// sourceOf is the node of the guest that a job replicates.
func (f *facts) sourceOf(r pve.Replication) string {
	if g, ok := f.guest(pve.VMID(r.Guest.Value)); ok {
		return g.Node.Value
	}
	return r.Source.Value
}

// guest returns a guest by its id.
func (f *facts) guest(id pve.VMID) (pve.Resource, bool) {
	i := slices.IndexFunc(f.everyone, func(g pve.Resource) bool { return g.VMID == id })
	if i < 0 {
		return pve.Resource{}, false
	}
	return f.everyone[i], true
}
