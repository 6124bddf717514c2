package tasks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listIn struct {
	Node    string   `json:"node,omitzero" jsonschema:"only on this node"`
	VMID    pve.VMID `json:"vmid,omitzero" jsonschema:"only of this guest"`
	Type    string   `json:"type,omitzero" jsonschema:"such as vzdump"`
	Errors  bool     `json:"errors,omitzero" jsonschema:"only failed or warned"`
	Changes bool     `json:"changes,omitzero" jsonschema:"no consoles, lists, good backups"`
	Running bool     `json:"running,omitzero" jsonschema:"only those under way"`
	Since   string   `json:"since,omitzero" jsonschema:"24h, 7d, ISO 8601"`
	Limit   int      `json:"limit,omitzero" min:"1" max:"200" default:"20" jsonschema:"most rows, newest first"`
	Offset  int      `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
}

type listOut struct {
	Tasks []taskRow `json:"tasks" cut:"end"`
	Total int       `json:"total" jsonschema:"tasks that match and that this token may see"`
	tool.Rest
	AsOf  string   `json:"as_of"`
	Notes []string `json:"notes,omitzero"`
}

type taskRow struct {
	UPID       string `json:"upid"`
	Type       string `json:"type"`
	ID         string `json:"id,omitzero" jsonschema:"what it works on"`
	Node       string `json:"node"`
	User       string `json:"user"`
	AskedBy    string `json:"asked_by,omitzero" jsonschema:"of a task of pve-mcp: who, with which tool, by the audit log of this server"`
	State      string `json:"state" jsonschema:"running, ok, warnings or failed"`
	ExitStatus string `json:"exit_status,omitzero" jsonschema:"if it is not OK"`
	Reason     string `json:"reason,omitzero" jsonschema:"why it failed, by its log, if the exit status does not say"`
	OfGuest    string `json:"of_guest,omitzero" jsonschema:"of a job of several guests: what became of this one"`
	Started    string `json:"started"`
	Duration   string `json:"duration"`

	start time.Time
	upid  proxmox.UPID
}

func listTasks() tool.Tool {
	return tool.Read(tool.Spec[listIn, listOut]{
		Name:  "pve_list_tasks",
		Title: "List tasks",
		Doc:   "Who did what and when: what changed since yesterday, who deleted, stopped or moved a guest; which tasks failed or are running.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100,"limit":3}`},
			{Arguments: `{}`},
			{Arguments: `{"changes":true,"since":"1d"}`},
		},
		Needs: []tool.Need{tool.On(tool.OnNode, "Sys.Audit").Else("only this token's own tasks are listed")},
		Run:   runList,
	})
}

func runList(ctx context.Context, c *tool.Call, in listIn) (listOut, error) {
	out := listOut{AsOf: render.Time(c.Now())}
	filter, err := in.filter(c.Now())
	if err != nil {
		return out, err
	}
	nodes := []pve.Resource{{Node: lenient.Some(in.Node), Status: lenient.Some("online")}}
	if in.Node == "" {
		if nodes, err = c.Nodes(ctx); err != nil {
			return out, err
		}
	} else if _, err := c.OnlineNode(ctx, in.Node); err != nil {
		return out, err
	}
	found, notes, err := cluster.AskNodes(c.View, nodes, func(node string) (part, error) { return ask(ctx, c, node, in, filter) })
	if err != nil {
		return out, err
	}
	out.Notes = notes
	for _, f := range found {
		out.Total += f.Value.total
		out.Tasks = append(out.Tasks, f.Value.rows...)
		out.Notes = append(out.Notes, f.Value.notes...)
	}
	slices.SortStableFunc(out.Tasks, func(a, b taskRow) int { return cmp.Or(b.start.Compare(a.start), strings.Compare(a.UPID, b.UPID)) })
	first := min(in.Offset, len(out.Tasks))
	out.Tasks = out.Tasks[first:min(first+in.Limit, len(out.Tasks))]
	out.Rest = tool.RestOf(out.Total, first, len(out.Tasks))
	if out.Total == 0 && in.Type != "" && !slices.Contains(usualTypes(), in.Type) {
		note, err := otherTypes(ctx, c, nodes, in.Type)
		if err != nil {
			return out, err
		}
		out.Notes = append([]string{note}, out.Notes...)
	}
	addReasons(ctx, c, out.Tasks)
	addAskers(c, &out)
	if in.Changes {
		out.Notes = append([]string{"what changes only a configuration leaves no task, and is not here"}, out.Notes...)
	}
	err = hidden(ctx, c, nodes, &out)
	out.Notes = tool.FewNotes(out.Notes)
	return out, err
}

// usualTypes are types of tasks that PVE is known to have. A list without them is not a
// mistake.
func usualTypes() []string {
	return strings.Fields(`aptupdate auth-realm-sync clusterjoin create dircreate download hamigrate hashutdown hastart hastop imgcopy imgdel
		imgresize lvmcreate lvmthincreate migrateall move_volume qmclone qmconfig qmcreate qmdelsnapshot qmdestroy qmigrate qmmove qmpause qmreboot
		qmreset qmrestore qmresume qmrollback qmshutdown qmsnapshot qmstart qmstop qmsuspend qmtemplate resize spiceproxy srvreload srvrestart
		srvstart srvstop startall stopall suspendall vncproxy vncshell vzclone vzcreate vzdelsnapshot vzdestroy vzdump vzmigrate vzreboot vzresize
		vzrestore vzrollback vzshutdown vzsnapshot vzstart vzstop vzsuspend vztemplate wipedisk zfscreate`)
}

// otherTypes names the types of the latest tasks, for an answer without any of the wanted type.
func otherTypes(ctx context.Context, c *tool.Call, nodes []pve.Resource, typ string) (string, error) {
	latest := pve.TaskFilter{Source: "all", Limit: 100}
	got, _, err := cluster.AskNodes(c.View, nodes, func(node string) ([]pve.Task, error) {
		list, _, err := c.PVE.NodeTasks(ctx, node, latest)
		return list, err
	})
	if err != nil {
		return "", err
	}
	var types []string
	for _, g := range got {
		for _, t := range g.Value {
			types = append(types, t.Type)
		}
	}
	slices.Sort(types)
	types = slices.Compact(types)
	if slices.Contains(types, typ) {
		return fmt.Sprintf("there are tasks of the type %q, which the other filters leave out", typ), nil
	}
	return fmt.Sprintf("the latest tasks are of the types %s; none is %q", cmp.Or(render.List(types), "(none)"), render.Text(typ, 60)), nil
}

// filter returns the filters that PVE itself applies, except that by guest.
func (in listIn) filter(now time.Time) (f pve.TaskFilter, err error) {
	f = pve.TaskFilter{Source: "all", Type: in.Type, Errors: in.Errors, Limit: in.Offset + in.Limit}
	if in.Changes {
		f.Limit = looked
	}
	if in.Running && in.Errors {
		return f, tool.BadArgument("errors", "does not go with running: a running task has not failed yet")
	}
	if in.Running {
		f.Source = "active"
	}
	if in.Since != "" {
		f.Since, err = timeOf(in.Since, now)
	}
	return f, err
}

// timeOf reads an age or a time. A time without a zone is in the zone of now.
func timeOf(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	d, err := tool.ParseAge("since", s)
	if err != nil {
		return time.Time{}, tool.BadArgument("since", fmt.Sprintf("is %q, neither an age such as 24h or 7d nor a time such as 2026-11-20T08:00:00Z", render.Text(s, 40)))
	}
	return now.Add(-d), nil
}

// part is what one node has.
type part struct {
	rows  []taskRow
	total int
	notes []string
}

func ask(ctx context.Context, c *tool.Call, node string, in listIn, all pve.TaskFilter) (part, error) {
	own := all
	own.VMID = in.VMID
	list, total, err := c.PVE.NodeTasks(ctx, node, own)
	out := part{rows: rowsOf(c, list), total: total}
	if err == nil && in.VMID != 0 && (in.Type == "" || in.Type == backup) {
		err = out.addJobs(ctx, c, node, in, all)
	}
	if in.Changes {
		out.keepChanges(node, len(list), total)
	}
	return out, err
}

func rowsOf(c *tool.Call, list []pve.Task) []taskRow {
	var rows []taskRow
	for _, t := range list {
		rows = append(rows, rowOf(c, t))
	}
	return rows
}

func rowOf(c *tool.Call, t pve.Task) taskRow {
	start := time.Unix(t.StartTime.Value, 0)
	row := taskRow{
		UPID: t.UPID.String(), Type: t.Type, ID: render.Text(t.ID, 80), Node: t.Node, User: render.Text(t.UPID.User, 80),
		State: "running", Started: render.Time(start), Duration: render.Duration(c.Ago(start).Round(time.Second)), start: start, upid: t.UPID,
	}
	if !t.EndTime.Set {
		return row
	}
	row.Duration = render.Duration(max(0, time.Unix(t.EndTime.Value, 0).Sub(start)))
	row.State = string(tool.OutcomeOf(proxmox.TaskStatus{Status: "stopped", ExitStatus: t.Status}))
	if row.State != "ok" {
		row.ExitStatus = render.Said(t.Status.Value, 200)
	}
	return row
}

// hidden notes the nodes of which only the token's own tasks are listed.
func hidden(ctx context.Context, c *tool.Call, nodes []pve.Resource, out *listOut) error {
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return err
	}
	var closed []string
	for _, n := range nodes {
		if !perms.Has("/nodes/"+n.Node.Value, "Sys.Audit") {
			closed = append(closed, n.Node.Value)
		}
	}
	if closed != nil {
		out.Notes = slices.Insert(out.Notes, 0, "this token lacks Sys.Audit on "+render.List(closed)+": only its own tasks are listed there")
	}
	return nil
}
