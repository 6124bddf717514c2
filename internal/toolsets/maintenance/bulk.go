package maintenance

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

type bulkIn struct {
	Action     string      `json:"action" enum:"start,shutdown,stop,reboot,snapshot,delete_snapshot,backup,migrate,add_tags,remove_tags,set_config,exec" jsonschema:"what to do to each"`
	Guests     string      `json:"guests" jsonschema:"ids, 100-120, names, web*, tag:prod, pool:lab, node:pve2, vm, ct, running, all; comma = or, + = and, ! = not"`
	Snapname   string      `json:"snapname,omitzero" jsonschema:"delete_snapshot: * allowed"`
	OlderThan  string      `json:"older_than,omitzero" jsonschema:"snapshots: 30d"`
	Keep       int         `json:"keep,omitzero" min:"0" jsonschema:"newest that stay"`
	RAM        bool        `json:"vmstate,omitzero" jsonschema:"with RAM"`
	Storage    string      `json:"storage,omitzero" jsonschema:"of backups"`
	Target     string      `json:"target,omitzero" jsonschema:"default: best for each"`
	Targets    tool.Values `json:"targets,omitzero" jsonschema:"{\"101\":\"pve3\"}"`
	LocalDisks bool        `json:"with_local_disks,omitzero" jsonschema:"move local disks of a running VM"`
	Tags       []string    `json:"tags,omitzero" jsonschema:"to add or remove"`
	Set        tool.Values `json:"set,omitzero" jsonschema:"PVE's keys"`
	Shell      string      `json:"shell,omitzero" jsonschema:"exec: a line"`
	Timeout    int         `json:"timeout,omitzero" min:"1" max:"3600" jsonschema:"seconds each"`
	ForceStop  bool        `json:"force_stop,omitzero" jsonschema:"after the timeout"`
	Order      string      `json:"order,omitzero" enum:"startup,vmid" default:"\"startup\"" jsonschema:"of guests"`
	Parallel   int         `json:"parallel,omitzero" min:"1" jsonschema:"at a time; default: 3"`
	OnError    string      `json:"on_error,omitzero" enum:"continue,stop" default:"\"continue\"" jsonschema:"with those not begun"`
	SkipFailed bool        `json:"skip_impossible,omitzero" jsonschema:"go on without those that cannot"`
	change.PlanArguments
	change.ConfirmArgument
	change.WaitArgument
}

type bulkState struct {
	bulkIn
	Groups  []group  `json:"groups,omitzero" plan:"-"`
	Cannot  []cannot `json:"cannot,omitzero" plan:"-"`
	Nothing []string `json:"nothing_to_do,omitzero" plan:"-"`
}

// group are guests to which the same would be done.
type group struct {
	What   string   `json:"what"`
	Guests []string `json:"guests"`
	And    int      `json:"and,omitzero" jsonschema:"more guests"`
}

type bulkOut struct {
	change.Answer
	OK       []string  `json:"ok,omitzero"`
	NotOK    []partRow `json:"not_ok,omitzero"`
	NotBegun []string  `json:"not_begun,omitzero"`
	Results  []result  `json:"results,omitzero" jsonschema:"of exec: guests that ended alike, the worst first"`
	Groups   []group   `json:"groups,omitzero" jsonschema:"of the plan"`
	Cannot   []cannot  `json:"cannot,omitzero"`
	Nothing  []string  `json:"nothing_to_do,omitzero"`
	LeftOut  int       `json:"left_out,omitzero" jsonschema:"rows"`
}

type partRow struct {
	Guest   string       `json:"guest"`
	Outcome tool.Outcome `json:"outcome"`
	Why     string       `json:"why"`
	Next    string       `json:"next,omitzero"`
	UPID    string       `json:"upid,omitzero"`
}

func bulkAction() tool.Tool {
	return change.New(change.Spec[bulkIn, bulkState, bulkOut]{
		Name:  "pve_bulk_action",
		Title: "Do one thing to many guests",
		Doc: "Do one thing to many or all guests, by tag, pool, node or name: start or shut down in order, restart one after another, snapshot before " +
			"patching, get rid of old snapshots, run a backup now, migrate, tag, take off tags, limit, run a command.",
		Examples: []tool.Example{
			{Arguments: `{"action":"snapshot","guests":"101,103","snapname":"prepatch","parallel":1,"wait":45}`},
			{Arguments: `{"action":"add_tags","guests":"100-106,200-204","tags":["patched"],"parallel":1,"confirm":true,"wait":45}`},
		},
		Worst: policy.Destructive,
		Risk: func(in bulkIn) policy.Risk {
			switch in.Action {
			case "delete_snapshot":
				return policy.Destructive
			case "exec":
				return policy.Exec
			}
			return policy.Write
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Snapshot").If("snapshot, delete_snapshot; other actions as their own tools"),
			tool.On(tool.OnGuest, "VM.Config.Options").If("tags, set_config"),
		},
		Plan: planBulk,
		FinishFleet: func(_ context.Context, _ *tool.Call, s bulkState, parts []change.Part) (bulkOut, error) {
			return s.describe(parts), nil
		},
	})
}

// mostRows bounds the rows of an answer.
const mostRows = 40

// describe says how each part has ended: those that are ok by name, the others in a row each.
func (s bulkState) describe(parts []change.Part) bulkOut {
	out := bulkOut{Cannot: s.Cannot, Nothing: s.Nothing}
	if parts == nil {
		out.Groups = s.Groups
	}
	out.OK, out.NotOK, out.NotBegun, out.LeftOut = sortParts(parts)
	if s.Action == "exec" {
		out.OK, out.NotOK = nil, nil
		out.addResults(parts)
	}
	return out
}

// sortParts sorts the parts of a fleet by how they have ended. LeftOut are those that are not ok
// and have no row of their own: the last rows name them.
func sortParts(parts []change.Part) (ok []string, notOK []partRow, notBegun []string, leftOut int) {
	var short []partRow
	for _, p := range parts {
		switch {
		case p.Outcome == tool.OK:
			ok = append(ok, p.Name)
		case p.Outcome == "":
			notBegun = append(notBegun, p.Name)
		case len(notOK) == mostRows:
			leftOut++
			short = addInShort(short, p)
		default:
			notOK = append(notOK, rowOf(p))
		}
	}
	return ok, append(notOK, short...), notBegun, leftOut
}

// addInShort adds a part to the row of those that ended like it.
func addInShort(rows []partRow, p change.Part) []partRow {
	i := slices.IndexFunc(rows, func(row partRow) bool { return row.Outcome == p.Outcome })
	if i < 0 {
		rows = append(rows, partRow{Outcome: p.Outcome, Why: "Each for a reason that is left out."})
		i = len(rows) - 1
	}
	rows[i].Guest = selection.AppendID(rows[i].Guest, p.Guest)
	return rows
}

func rowOf(p change.Part) partRow {
	row := partRow{p.Name, p.Outcome, p.Message, p.Next, p.UPID}
	for _, line := range p.Log[:min(len(p.Log), 2)] {
		row.Why += " " + line
	}
	return row
}

// check refuses arguments that are missing for the action, or do not go with it.
func (in bulkIn) check() error {
	is := func(actions ...string) bool { return slices.Contains(actions, in.Action) }
	switch {
	case is("snapshot", "delete_snapshot") && in.Snapname == "":
		return tool.BadArgument("snapname", "is missing: the name of the snapshot, for delete_snapshot such as auto-* or *")
	case !is("snapshot", "delete_snapshot") && in.Snapname != "", !is("delete_snapshot") && (in.OlderThan != "" || in.Keep > 0):
		return tool.BadArgument("snapname", "and older_than and keep are for snapshots; leave them out")
	case !is("migrate") && (in.Target != "" || len(in.Targets) > 0):
		return tool.BadArgument("target", "is for migrate only")
	case !is("migrate") && in.LocalDisks:
		return tool.BadArgument("with_local_disks", "is for migrate only")
	case is("add_tags", "remove_tags") == (len(in.Tags) == 0):
		return tool.BadArgument("tags", `is for add_tags and remove_tags, which need it, such as ["prod"]`)
	case is("set_config") == (len(in.Set) == 0):
		return tool.BadArgument("set", `is for set_config, which needs it, such as {"onboot":1}`)
	case is("exec") == (in.Shell == ""):
		return tool.BadArgument("shell", `is for exec, which needs it, such as "df -h /"`)
	case in.Timeout > 0 && !is("shutdown", "reboot", "exec"):
		return tool.BadArgument("timeout", "is for shutdown, reboot and exec only")
	case in.ForceStop && !is("shutdown"):
		return tool.BadArgument("force_stop", "is for shutdown only")
	case in.Storage != "" && !is("backup"):
		return tool.BadArgument("storage", "is for backup only")
	}
	return nil
}

// title begins the sentences about the whole.
func (in bulkIn) title() string {
	switch in.Action {
	case "start":
		return "Start"
	case "shutdown":
		return "Shutdown"
	case "stop":
		return "Stop"
	case "reboot":
		return "Reboot"
	case "snapshot":
		return "Snapshot " + in.Snapname
	case "delete_snapshot":
		return "Deletion of snapshots"
	case "backup":
		return "Backup"
	case "migrate":
		return "Migration"
	case "add_tags":
		return "Addition of the " + in.tagNames()
	case "remove_tags":
		return "Removal of the " + in.tagNames()
	case "exec":
		return "Command " + strconv.Quote(render.Text(in.Shell, 80))
	}
	return "Change of the configuration"
}

// titleOf is the title and the preposition by which the guests follow it.
func (in bulkIn) titleOf() string {
	switch in.Action {
	case "add_tags":
		return in.title() + " to"
	case "remove_tags":
		return in.title() + " from"
	case "exec":
		return in.title() + " in"
	}
	return in.title() + " of"
}

func (in bulkIn) tagNames() string {
	if len(in.Tags) == 1 {
		return "tag " + in.Tags[0]
	}
	return "tags " + strings.Join(in.Tags, ", ")
}
