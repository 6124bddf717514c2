package risks

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// What is read, by the name that a blind spot has.
const (
	readGuestList    = "guests"
	readStorageList  = "storages"
	readUse          = "use of nodes"
	readQuorum       = "quorum"
	readHA           = "HA"
	readRunning      = "tasks that run"
	readConfigs      = "storage settings"
	readJobs         = "replication jobs"
	readAccess       = "users, tokens and permissions"
	readClocks       = "clocks"
	readVersions     = "versions"
	readUpdates      = "updates"
	readFailed       = "failed tasks"
	readCertificates = "certificates"
	readSubscription = "subscriptions"
	readServices     = "services"
	readZFS          = "ZFS pools"
	readOtherPools   = "ZFS pools without a storage"
	readThin         = "thin pools"
	readDisks        = "SMART and wear of disks"
	readReplication  = "replication"
	readInside       = "settings of guests"
	readAgents       = "guest agents"
	readSnapshots    = "snapshots"
	// Volumes on storages without backups.
	readOtherContents = "other volumes"
)

// ofNodes are the reads that a node answers for itself.
var ofNodes = map[string]bool{
	readUse: true, readClocks: true, readVersions: true, readUpdates: true, readFailed: true, readCertificates: true, readSubscription: true,
	readServices: true, readZFS: true, readOtherPools: true, readThin: true, readDisks: true, readReplication: true, readInside: true,
	readAgents: true, readSnapshots: true, readOtherContents: true,
}

// facts are what was read of a cluster.
type facts struct {
	*survey.Survey
	scope  Scope
	now    time.Time
	reads  map[string]bool // that the checks need
	spent  int             // requests about the cluster
	absent bool            // a node did not answer

	nodes        []*node
	everyone     []pve.Resource // all guests
	guests       []pve.Resource // those that the scope is about
	stores       []cluster.Store
	items        []pve.ClusterItem
	ha           []pve.HAItem
	services     map[string]pve.HAItem // of HA, by their id
	recent       []pve.Task            // nil if they are not known
	running      []pve.Task
	configs      []pve.StorageConfig
	replications []pve.Replication
	users        []pve.User
	acl          []pve.ACLEntry
	contents     []cluster.Response[cluster.Store, []pve.Volume]
	coverage     *coverage.Coverage // nil if it was not read
	inside       map[pve.VMID]*inside
}

// node is what is known of a node.
type node struct {
	pve.Resource
	name         string
	answers      bool // it is asked
	clock        *clock
	packages     []pve.Package
	updates      []pve.Package
	failed       []pve.Task
	certificates []pve.Certificate
	subscription pve.Subscription
	services     []pve.Service
	pools        []pve.ZFSPool
	poolStates   []pve.ZFSPoolState
	thin         []pve.ThinPool
	otherPools   []pve.ZFSPool // on which no storage is
	disks        []pve.PhysicalDisk
	replication  []pve.Replication
}

// clock is how far the clock of a node is ahead of that of this process.
type clock struct{ ahead, unsure time.Duration }

// inside is what is known of a guest beyond the list.
type inside struct {
	config    pve.GuestConfig
	mute      bool // its agent does not answer
	snapshots []pve.Snapshot
}

// cluster-wide requests, beside the two for permissions and resources.
const firstRequests = 2

// readCluster asks what concerns the whole cluster.
func (f *facts) readCluster() {
	f.checkVisibility()
	reads := []struct {
		name string
		may  func() bool
		ask  func(context.Context) error
	}{
		{readQuorum, f.audits(readQuorum, "/"), keep(&f.items, f.PVE.ClusterStatus)},
		{readHA, f.audits(readHA, "/"), keep(&f.ha, f.PVE.HAStatus)},
		{readRunning, f.audits(readRunning, "/"), keep(&f.recent, f.PVE.ClusterTasks)},
		{readConfigs, nil, keep(&f.configs, f.PVE.StorageConfigs)},
		{readJobs, nil, keep(&f.replications, f.PVE.ReplicationJobs)},
		{readAccess, f.audits(readAccess, "/access"), func(ctx context.Context) (err error) {
			f.users, err = f.PVE.Users(ctx)
			return err
		}},
		{readAccess, nil, func(ctx context.Context) (err error) {
			if f.acl == nil && f.Permissions.Has("/access", "Sys.Audit") {
				f.acl, err = f.PVE.ACL(ctx)
			}
			return err
		}},
	}
	f.spent = firstRequests
	var wg sync.WaitGroup
	for _, r := range reads {
		alone := len(f.nodes) == 1 && (r.name == readQuorum || r.name == readHA || r.name == readJobs)
		if !f.reads[r.name] || alone || r.may != nil && !r.may() {
			continue
		}
		f.spent++
		wg.Go(func() {
			survey.One(f.Survey, r.name, func(ctx context.Context) (struct{}, error) { return struct{}{}, r.ask(ctx) })
		})
	}
	wg.Wait()
	f.services = map[string]pve.HAItem{}
	for _, i := range f.ha {
		if i.Type == "service" {
			f.services[i.SID.Value] = i
		}
	}
	f.running = slices.DeleteFunc(slices.Clone(f.recent), func(t pve.Task) bool { return t.EndTime.Set })
}

// keep asks for something, and keeps it.
func keep[T any](to *T, ask func(context.Context) (T, error)) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		*to, err = ask(ctx)
		return err
	}
}

// audits returns whether the token may audit a path, and makes it a blind spot if not.
func (f *facts) audits(check, path string) func() bool {
	return func() bool { return f.May(check, "", "Sys.Audit", path) }
}

// checkVisibility notes what PVE leaves out of the list of resources for this token.
func (f *facts) checkVisibility() {
	if f.reads[readGuestList] {
		f.ReadGaps(readGuestList)
	}
	for read, need := range map[string]struct{ privilege, path string }{
		readGuestList: {"VM.Audit", "/vms"}, readStorageList: {"Datastore.Audit", "/storage"},
	} {
		if !f.reads[read] {
			continue
		}
		all, except := f.Permissions.Below(need.path, need.privilege)
		if !all {
			f.May(read, "", need.privilege, need.path)
		}
		for _, path := range except {
			f.May(read, "", need.privilege, path)
		}
	}
	for _, n := range f.nodes {
		n.answers = n.Status.Value != "offline"
		switch {
		case !n.answers:
			f.absent = true
			f.NotSeen("nodes that are offline", n.name, "it is offline: nothing on it was looked at")
		case f.reads[readUse]:
			f.May(readUse, n.name, "Sys.Audit", "/nodes/"+n.name)
		}
	}
}

// seesAllGuests reports whether no guest is hidden from the token.
func (f *facts) seesAllGuests() bool {
	all, except := f.Permissions.Below("/vms", "VM.Audit")
	return all && len(except) == 0
}

// guestName names a guest, such as 101 web-2.
func guestName(g pve.Resource) string {
	return fmt.Sprintf("%v %s", g.VMID, render.Text(g.Name.Value, 40))
}

// nodeNamed returns a node, nil if there is none.
func (f *facts) nodeNamed(name string) *node {
	for _, n := range f.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// reports reports whether a node tells what it has.
func (f *facts) reports(name string) bool {
	n := f.nodeNamed(name)
	return n != nil && n.Status.Value == "online"
}
