package ha

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// goal is what HA or replication does because of a request. PVE's answer is that of the request
// only: what counts is what the manager reports afterwards.
type goal struct {
	SID   string `json:"sid,omitzero"`
	Guest string `json:"guest,omitzero"` // its name
	State string `json:"state,omitzero"` // that its manager is to report
	Node  string `json:"node,omitzero"`  // on which it is to report it
	// Gone is a resource or a job that PVE is to forget.
	Gone string `json:"gone,omitzero"`
	// Moves are guests that HA is to move until it leaves them where they are.
	Moves []string `json:"moves,omitzero"`
	Armed string   `json:"armed,omitzero"`
	// Job is a replication job that is to run, after the try at a time; On is its node.
	Job   string `json:"job,omitzero"`
	On    string `json:"on,omitzero"`
	Tried int64  `json:"tried,omitzero"`
}

// isAwaited reports whether something is to follow from the request.
func (g goal) isAwaited() bool {
	return g.Job != "" || g.Gone != "" || g.SID != "" && (g.State != "" || g.Node != "") || g.Armed != "" || len(g.Moves) > 0
}

// look says in the answer what is reported, and returns [change.ErrNotYet] until the goal is
// reached.
func (g goal) look(ctx context.Context, c *tool.Call, about string, out *setOut) error {
	var report string
	var reached bool
	var err error
	switch {
	case !g.isAwaited():
		return nil
	case g.Job != "":
		reached, report, err = g.lookAtJob(ctx, c, out)
	case g.Gone != "":
		reached, report, err = g.lookWhetherGone(ctx, c)
	case g.SID != "":
		reached, report, err = g.lookAtResource(ctx, c, out)
	case g.Armed != "":
		reached, report, err = g.lookAtFencing(ctx, c)
	default:
		reached, report, err = g.lookAtMoves(ctx, c)
	}
	switch {
	case err != nil || out.Outcome != "":
		return err
	case reached:
		out.Message = fmt.Sprintf("%s: done. %s.", about, report)
		return nil
	}
	c.Report(cluster.Progress{Message: report})
	out.Message = fmt.Sprintf("%s: PVE accepted it, and HA is not done yet. %s.", about, report)
	out.Next = "It goes on by itself. Follow it with pve_task_status: handle and wait."
	return change.ErrNotYet
}

func (g goal) lookAtResource(ctx context.Context, c *tool.Call, out *setOut) (reached bool, report string, err error) {
	s, err := readState(ctx, c.PVE)
	if err != nil {
		return false, "", err
	}
	row := s.service(g.SID)
	at := cmp.Or(row["node"], "no node")
	report = fmt.Sprintf("HA reports %s as %s on %s", g.Guest, cmp.Or(row["state"], "not managed"), at)
	if row["state"] == "error" && g.State != "disabled" {
		out.SetOutcome(tool.Failed, "pve_ha says what to do about an error.", "PVE accepted it, and %s is in error: HA has given up on it.", g.Guest)
		return false, report, nil
	}
	isState := row["state"] == g.State || g.State == "disabled" && row["state"] == "stopped" || g.State == ""
	settled := g.State != "" || slices.Contains([]string{"started", "stopped", "disabled"}, row["state"])
	if row == nil || !isState || !settled || g.Node != "" && at != g.Node {
		return false, report, nil
	}
	return g.lookAtGuest(ctx, c, report)
}

// lookAtGuest looks whether the guest itself is in the state that HA reports.
func (g goal) lookAtGuest(ctx context.Context, c *tool.Call, report string) (bool, string, error) {
	if g.State == "" || g.State == "ignored" {
		return true, report, nil
	}
	c.ForgetGuest(vmid(g.SID))
	_, status, err := c.Live(ctx, vmid(g.SID))
	if err != nil {
		return false, report, errors.Join(change.ErrNotYet, err)
	}
	if runs := status.Status == "running"; runs != (g.State == "started") {
		return false, fmt.Sprintf("%s, and the guest itself is still %s", report, status.State()), nil
	}
	return true, report, nil
}

// lookWhetherGone looks whether the manager, or PVE's list of jobs, has forgotten something.
func (g goal) lookWhetherGone(ctx context.Context, c *tool.Call) (bool, string, error) {
	if !strings.Contains(g.Gone, ":") {
		all, err := jobKind.read(ctx, c.PVE)
		if err != nil || jobKind.named(all, g.Gone) == nil {
			return err == nil, fmt.Sprintf("The replication job %s is gone", g.Gone), err
		}
		return false, fmt.Sprintf("PVE still removes the replication job %s and its snapshots", g.Gone), nil
	}
	s, err := readState(ctx, c.PVE)
	if err != nil || s.service(g.Gone) == nil {
		return err == nil, fmt.Sprintf("HA no longer manages %s, which stays as it is", g.Guest), err
	}
	return false, fmt.Sprintf("HA reports %s as %s", g.Guest, s.service(g.Gone)["state"]), nil
}

func (g goal) lookAtFencing(ctx context.Context, c *tool.Call) (bool, string, error) {
	s, err := readState(ctx, c.PVE)
	is := cmp.Or(s.fencing["armed-state"], "unknown")
	isArmed := is == "armed" || is == "standby"
	return err == nil && (is == g.Armed || g.Armed == "armed" && isArmed), "HA reports itself as " + render.Text(cmp.Or(s.fencing["status"], is), 100), err
}

// lookAtMoves looks whether HA leaves the guests where they are now.
func (g goal) lookAtMoves(ctx context.Context, c *tool.Call) (bool, string, error) {
	list, err := c.PVE.Resources(ctx, "")
	if err != nil {
		return false, "", err
	}
	l, _, err := readLayout(ctx, c.PVE, list.Resources())
	if err != nil {
		return false, "", err
	}
	names := namesOf(list.Resources())
	var under []string
	for _, sid := range g.Moves {
		if is := l.services[sid]["state"]; is != "started" && l.runs(sid) {
			under = append(under, fmt.Sprintf("HA reports %s as %s", names.name(sid), cmp.Or(is, "unknown")))
		}
	}
	if left := append(l.moves(g.Moves, names), under...); len(left) > 0 {
		return false, strings.Join(left, "; "), nil
	}
	return true, "HA reports its guests where the rules want them", nil
}

func (g goal) lookAtJob(ctx context.Context, c *tool.Call, out *setOut) (bool, string, error) {
	all, err := kind{path: []string{"nodes", g.On, "replication"}, key: "id"}.read(ctx, c.PVE)
	if err != nil {
		return false, "", err
	}
	job := jobKind.named(all, g.Job)
	switch {
	case job == nil:
		return false, "", fmt.Errorf("%s no longer has the replication job %s", g.On, g.Job)
	case job.number("last_try") <= g.Tried, job["pid"] != "":
		return false, fmt.Sprintf("The replication job %s has not ended a run since", g.Job), nil
	case job.number("fail_count") > 0:
		out.SetOutcome(tool.Failed, "PVE tries again by itself; pve_ha shows the job.", "The replication job %s failed: %s", g.Job, render.Said(cmp.Or(job["error"], "no reason given"), 300))
	}
	return true, fmt.Sprintf("The replication job %s has copied %s to %s", g.Job, g.Guest, job["target"]), nil
}

// readLayout reads what decides where HA runs its guests. A cluster has rules from PVE 9 on, and
// groups before, or as long as a resource has one.
func readLayout(ctx context.Context, c *pve.Client, list []pve.Resource) (layout, state, error) {
	l := layout{services: map[string]section{}}
	for _, n := range list {
		if n.Type == "node" {
			l.all = append(l.all, n.Node.Value)
			if n.Status.Value == "online" {
				l.online = append(l.online, n.Node.Value)
			}
		}
	}
	s, err := readState(ctx, c)
	if err != nil {
		return l, s, err
	}
	for _, row := range s.services {
		l.services[row["sid"]] = row
	}
	version, err := c.Version(ctx)
	if err != nil {
		return l, s, err
	}
	if l.resources, err = resourceKind.read(ctx, c); err != nil {
		return l, s, err
	}
	if version.Major() >= 9 {
		l.rules, err = ruleKind.read(ctx, c)
	}
	if err == nil && hasGroups(version.Major(), l.resources) {
		l.groups, err = groupKind.read(ctx, c)
	}
	return l, s, err
}

func hasGroups(major int, resources []section) bool {
	return major < 9 || slices.ContainsFunc(resources, func(r section) bool { return r["group"] != "" })
}
