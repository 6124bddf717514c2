// Package whatif has the tool that says what would happen to a cluster, and does nothing.
package whatif

import (
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type whatIn struct {
	Scenario string `json:"scenario" enum:"lose_node,lose_storage,rebalance,rolling_update,drain" jsonschema:"what to look at"`
	Node     string `json:"node,omitzero" jsonschema:"that is lost, updated or emptied"`
	Storage  string `json:"storage,omitzero" jsonschema:"that is lost"`
	Limit    int    `json:"limit,omitzero" min:"1" max:"200" default:"20" jsonschema:"guests or nodes to name in each list"`
}

type whatOut struct {
	Message string         `json:"message" jsonschema:"what would happen"`
	Groups  []group        `json:"groups,omitzero" jsonschema:"what would become of which guests"`
	Updates []updateRow    `json:"updates,omitzero" jsonschema:"nodes in their order"`
	Moves   []moveRow      `json:"moves,omitzero"`
	Nodes   []nodeRow      `json:"changed_nodes,omitzero" jsonschema:"whose use changes"`
	Notes   []string       `json:"notes,omitzero"`
	Next    *tool.NextCall `json:"next,omitzero"`
	Command string         `json:"command,omitzero" jsonschema:"for an administrator; relay it word by word"`
	Where   string         `json:"where,omitzero" jsonschema:"of the command"`
	LeftOut int            `json:"left_out,omitzero" jsonschema:"guests that are counted and not named"`
	More    string         `json:"more,omitzero" jsonschema:"the argument that names more"`
	Blind   []survey.Blind `json:"blind,omitzero" jsonschema:"what could not be seen"`
}

// group are guests of which the same would become.
type group struct {
	What   string   `json:"what"`
	Count  int      `json:"count"`
	Guests []string `json:"guests,omitzero"`
}

// nodeRow is a node before and after.
type nodeRow struct {
	Node   string `json:"node"`
	Memory string `json:"memory,omitzero" jsonschema:"before -> after"`
	CPU    string `json:"cpu,omitzero" jsonschema:"before -> after"`
}

// Tool is pve_what_if.
func Tool() tool.Tool {
	return tool.Read(tool.Spec[whatIn, whatOut]{
		Name:  "pve_what_if",
		Title: "Say what would happen",
		Doc: "What would happen if a node dies: does every HA guest come up, is there memory and quorum; or if a storage is lost: which guests and backups. " +
			"How to balance the cluster, even out the load, in ready moves. In which order to update the nodes. How to empty a node. Changes nothing.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{"scenario":"lose_node","node":"pve3"}`},
			{Arguments: `{"scenario":"lose_storage","storage":"nfs"}`},
			{Arguments: `{"scenario":"rolling_update"}`},
			{Arguments: `{"scenario":"drain","node":"pve2"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").Else("the guest is not counted"),
			tool.On(tool.OnGuest, "VM.Migrate").If("rebalance, drain").Else("PVE is not asked what it has against a move"),
			tool.On(tool.OnGuest, "VM.Backup").If("lose_storage").Else("its backups cannot be seen"),
			tool.On(tool.OnRoot, "Sys.Audit").Else("HA, quorum and backup jobs are not known"),
			tool.On(tool.OnNode, "Sys.Audit").Else("the node's memory, history and packages are not known"),
			tool.On(tool.OnNode, "Sys.Modify").If("rolling_update").Else("its waiting updates are not listed").ForAdmins(),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("the storage is not seen"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("lose_storage").Else("its backups cannot be seen"),
		},
		Run: run,
	})
}

// look is one look at what would happen.
type look struct {
	*survey.Survey
	call  *tool.Call
	in    whatIn
	facts *reading.Facts
	out   whatOut
	// hidden says that the token does not see every guest.
	hidden bool
}

func run(ctx context.Context, c *tool.Call, in whatIn) (whatOut, error) {
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return whatOut{}, err
	}
	defer end()
	l := &look{Survey: s, call: c, in: in}
	scenarios := map[string]func(context.Context) error{"lose_node": l.loseNode, "lose_storage": l.loseStorage, "rebalance": l.rebalance, "rolling_update": l.rollingUpdate, "drain": l.drain}
	if err := scenarios[in.Scenario](ctx); err != nil {
		return whatOut{}, err
	}
	if err := s.Err(); err != nil {
		return whatOut{}, err
	}
	if l.out.LeftOut > 0 && in.Limit < 200 {
		l.out.More = "limit"
	}
	if blind := slices.DeleteFunc(s.Blind(), func(b survey.Blind) bool { return b.Check == coverage.CheckRuns }); len(blind) > 0 { // they are not asked for
		l.out.Blind = blind
	}
	return l.out, nil
}

// readFacts reads what a placement needs to know of the whole cluster.
func (l *look) readFacts(ctx context.Context) (err error) {
	l.seesGuests()
	l.facts, err = reading.Read(ctx, l.View)
	return err
}

// seesGuests notes what guests are hidden from the token.
func (l *look) seesGuests() {
	l.ReadGaps("other guests")
	l.hidden = !l.MayAll("other guests", "VM.Audit", "/vms")
}

// addGroup adds guests of which the same would become, if there are any.
func (l *look) addGroup(guests []pve.Resource, format string, args ...any) {
	if len(guests) == 0 {
		return
	}
	row := group{What: fmt.Sprintf(format, args...), Count: len(guests)}
	for i, g := range guests {
		if i == l.in.Limit {
			l.out.LeftOut += len(guests) - i
			break
		}
		row.Guests = append(row.Guests, cluster.GuestName(g))
	}
	l.out.Groups = append(l.out.Groups, row)
}

// addNodes adds the nodes before and after.
func (l *look) addNodes(before, after *placement.Board) {
	for _, n := range after.Nodes() {
		was := before.Node(n.Name)
		if n.Memory == 0 || n.Closed != "" || was.Used == n.Used && was.Busy == n.Busy {
			continue
		}
		row := nodeRow{Node: n.Name, Memory: percents(was.MemoryShare(), n.MemoryShare())}
		if n.Cores > 0 {
			row.CPU = percents(share(was.Busy, n.Cores), share(n.Busy, n.Cores))
		}
		l.out.Nodes = append(l.out.Nodes, row)
	}
}

// percents writes two shares: 40 % -> 62 %.
func percents(before, after float64) string {
	return fmt.Sprintf("%.0f %% -> %.0f %%", 100*before, 100*after)
}
