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
	"github.com/pve-mcp/pve-mcp/pve"
)

// Requests of a look: at most these for the cluster, and these for each node. Those about
// storages with backups, backup jobs and guests come on top.
const (
	mostOfCluster = 12
	mostOfNode    = 8
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
		{readZFS, "Sys.Audit", "/", nil, askZFS},
		{readThin, "Sys.Audit", "/", hasThinPool, func(ctx context.Context, f *facts, n *node) (err error) {
			n.thin, err = f.PVE.ThinPools(ctx, n.name)
			return err
		}},
		{readReplication, "", "", replicates, func(ctx context.Context, f *facts, n *node) (err error) {
			n.replication, err = f.PVE.ReplicationStatus(ctx, n.name)
			return err
		}},
		{readDisks, "Sys.Audit", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.disks, err = f.PVE.PhysicalDisks(ctx, n.name, true)
			return err
		}},
		{readFailed, "Sys.Audit", "", nil, askFailedTasks},
		{readVolumes, "", "", hasThinPool, askThinVolumes},
		{readVersions, "Sys.Audit", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.packages, err = f.PVE.PackageVersions(ctx, n.name)
			return err
		}},
		{readCertificates, "", "", nil, func(ctx context.Context, f *facts, n *node) (err error) {
			n.certificates, err = f.PVE.Certificates(ctx, n.name)
			return err
		}},
		{readClocks, "Sys.Audit", "", nil, askClock},
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
	}
}

// readNodes asks the nodes, within the number of requests that a look may make.
func (f *facts) readNodes() {
	left := mostOfCluster + mostOfNode*len(f.nodes) - f.spent
	var wg sync.WaitGroup
	for _, r := range nodeReads() {
		if !f.reads[r.name] {
			continue
		}
		if r.name == readDisks && !f.scope.SMART {
			f.NotSeen(readDisks, "", "they are asked only with smart: true, since that may wake them")
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
	if f.reads[readPoolStates] {
		f.zfsStates(left)
	}
}

// tooMany says why a request was not made.
func tooMany(nodes int) string {
	return fmt.Sprintf("a look makes at most %d requests; with focus on fewer areas it is among them", mostOfCluster+mostOfNode*nodes)
}

// askZFS asks for the ZFS pools. A node without ZFS refuses, which is no trouble unless a
// storage is on one.
func askZFS(ctx context.Context, f *facts, n *node) (err error) {
	n.pools, err = f.PVE.ZFSPools(ctx, n.name)
	if err != nil && strings.Contains(err.Error(), "zfsutils-linux not installed") {
		return nil
	}
	return err
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
