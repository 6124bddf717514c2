package coverage

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Options say how much is read.
type Options struct {
	// Logs is how many logs of backup tasks of a node are read at most: the newest failed ones,
	// and those that show which job ran.
	Logs int
	// AllVolumes lists all that is on the storages with backups, for a caller who asks for the
	// rest anyway: it costs no other request then.
	AllVolumes bool
}

// reading is a coverage in the making.
type reading struct {
	Coverage
	s      *survey.Survey
	hidden map[string]bool // the names of storages whose backups are not all seen
	nodes  []pve.Resource
	at     map[pve.VMID]*Guest
	own    map[pve.VMID][]Backup
	tasks  map[string][]pve.Task // of a node, newest first
	read   map[string]pve.BackupLog
}

// Read reads what protects the guests of a cluster. It sends one request for each storage that
// holds backups, one for each job, one for each node, and those of [Options]. What cannot be
// read is a blind spot of the survey; an error is one of the list of guests.
func Read(ctx context.Context, s *survey.Survey, o Options) (*Coverage, error) {
	list, err := s.List(ctx, "")
	if err != nil {
		return nil, err
	}
	r := &reading{s: s, hidden: map[string]bool{}, at: map[pve.VMID]*Guest{}, own: map[pve.VMID][]Backup{}, tasks: map[string][]pve.Task{}, read: map[string]pve.BackupLog{}}
	all := list.Resources()
	r.Guests = make([]Guest, 0, len(all)) // most of them are guests
	for _, res := range all {
		switch {
		case res.IsGuest():
			r.Guests = append(r.Guests, Guest{Resource: res})
		case res.Type == "node":
			r.nodes = append(r.nodes, res)
		}
	}
	slices.SortFunc(r.Guests, func(a, b Guest) int { return cmp.Compare(a.VMID, b.VMID) })
	slices.SortFunc(r.nodes, func(a, b pve.Resource) int { return pve.CompareNames(a.Node.Value, b.Node.Value) })
	for i := range r.Guests {
		r.at[r.Guests[i].VMID] = &r.Guests[i]
	}
	r.Stores = cluster.StoresFor("backup", cluster.StoresIn(all))
	r.noteHiddenGuests()

	var included [][]pve.IncludedGuest
	var volumes []cluster.Response[cluster.Store, []pve.Volume]
	var tasks []cluster.Response[string, []pve.Task]
	filter := pve.VolumeFilter{Content: "backup"}
	if o.AllVolumes {
		filter.Content = ""
	}
	var asking sync.WaitGroup // none of these touches what another one does
	asking.Go(func() { included = r.askJobs() })
	asking.Go(func() { volumes = r.askStores(filter) })
	asking.Go(func() { tasks = r.askTasks() })
	asking.Wait()

	r.takeVolumes(volumes)
	r.dropOthers()
	r.summarize()
	r.rankStores()
	r.takeJobs(included)
	for _, t := range tasks {
		r.tasks[t.From] = t.Value
	}
	r.readRuns(o.Logs)
	return &r.Coverage, s.Err()
}

func (r *reading) noteHiddenGuests() {
	r.s.ReadGaps(CheckGuests)
	all, except := r.s.Permissions.Below("/vms", "VM.Audit")
	if !all {
		r.s.May(CheckGuests, "", "VM.Audit", "/vms")
	}
	for _, path := range except {
		r.s.May(CheckGuests, path[len("/vms/"):], "VM.Audit", path)
	}
}

// askJobs asks for the jobs, and which guests and disks each of them includes.
func (r *reading) askJobs() [][]pve.IncludedGuest {
	if !r.s.May(CheckJobs, "", "Sys.Audit", "/") {
		r.JobsUnseen = true
		return nil
	}
	jobs, ok := survey.One(r.s, CheckJobs, r.s.PVE.BackupJobs)
	if !ok {
		r.JobsUnseen = true
		return nil
	}
	slices.SortFunc(jobs, func(a, b pve.BackupJob) int { return pve.CompareNames(a.ID, b.ID) })
	included := make([][]pve.IncludedGuest, len(jobs))
	var places []int
	for i, j := range jobs {
		enabled := j.Enabled.Or(true)
		job := Job{BackupJob: j, Enabled: enabled, Unread: true, Due: Unknown}
		if enabled && j.NextRun.Value > 0 {
			job.NextRun = time.Unix(j.NextRun.Value, 0)
		}
		r.Jobs = append(r.Jobs, job)
		places = append(places, i)
	}
	name := func(i int) string { return render.Text(jobs[i].ID, 60) }
	got := survey.Ask(r.s, CheckJobs, places, name, func(ctx context.Context, i int) ([]pve.IncludedGuest, error) {
		return r.s.PVE.IncludedVolumes(ctx, jobs[i].ID)
	})
	for _, g := range got {
		included[g.From], r.Jobs[g.From].Unread = g.Value, false
	}
	r.JobsUnseen = len(got) < len(jobs)
	return included
}

// askStores asks for all backups, of each storage once.
func (r *reading) askStores(filter pve.VolumeFilter) []cluster.Response[cluster.Store, []pve.Volume] {
	var usable []cluster.Store
	for _, st := range r.Stores {
		if st.Ready == nil {
			r.s.NotSeen(CheckBackups, st.Name(), "it is not available, or its node is not")
			continue
		}
		usable = append(usable, st)
	}
	return survey.Ask(r.s, CheckBackups, usable, cluster.Store.Name, func(ctx context.Context, st cluster.Store) ([]pve.Volume, error) {
		return r.s.VolumesOn(ctx, st, filter)
	})
}

// tasksRead is how many backup tasks of a node are listed.
const tasksRead = 200

// askTasks asks each node for its latest backup tasks.
func (r *reading) askTasks() []cluster.Response[string, []pve.Task] {
	var nodes []string
	for _, n := range r.nodes {
		name := n.Node.Value
		if n.Status.Value != "online" {
			r.s.NotSeen(CheckRuns, name, "the node is "+n.Status.Or("unknown"))
			r.RunsUnseen = append(r.RunsUnseen, name)
			continue
		}
		if !r.s.May(CheckRuns, name, "Sys.Audit", "/nodes/"+name) {
			r.RunsUnseen = append(r.RunsUnseen, name)
			continue
		}
		nodes = append(nodes, name)
	}
	got := survey.Ask(r.s, CheckRuns, nodes, func(n string) string { return n }, func(ctx context.Context, node string) ([]pve.Task, error) {
		list, _, err := r.s.PVE.NodeTasks(ctx, node, pve.TaskFilter{Source: "all", Type: "vzdump", Limit: tasksRead})
		return list, err
	})
	for _, n := range nodes {
		if !slices.ContainsFunc(got, func(g cluster.Response[string, []pve.Task]) bool { return g.From == n }) {
			r.RunsUnseen = append(r.RunsUnseen, n)
		}
	}
	return got
}
