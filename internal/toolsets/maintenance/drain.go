package maintenance

import (
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

type drainIn struct {
	Node       string   `json:"node" jsonschema:"a node"`
	Action     string   `json:"action" enum:"drain,return" jsonschema:"return: bring back what left"`
	To         []string `json:"to,omitzero" jsonschema:"only these nodes"`
	Stopped    string   `json:"stopped,omitzero" enum:"leave,move" default:"\"leave\"" jsonschema:"guests that are off"`
	Containers string   `json:"containers,omitzero" enum:"restart,leave,shutdown" default:"\"restart\"" jsonschema:"shutdown: moved, and left off"`
	Immovable  string   `json:"immovable,omitzero" enum:"refuse,leave,shutdown" default:"\"refuse\"" jsonschema:"refuse: nothing begins"`
	LocalDisks *bool    `json:"local_disks,omitzero" jsonschema:"copy disks of running VMs; default: true"`
	HoldHA     *bool    `json:"hold_ha,omitzero" jsonschema:"no failback until return; default: true"`
	Guests     string   `json:"guests,omitzero" jsonschema:"return: these; default: by PVE's tasks"`
	Failback   string   `json:"failback,omitzero" jsonschema:"return: guests with held failback"`
	Start      string   `json:"start,omitzero" jsonschema:"return: guests to start"`
	Parallel   int      `json:"parallel,omitzero" min:"1" jsonschema:"at a time; default: 2"`
	change.PlanArguments
	change.ConfirmArgument
	change.WaitArgument
}

// holdsHA reports whether HA is kept from moving guests back.
func (in drainIn) holdsHA() bool { return in.HoldHA == nil || *in.HoldHA }

func (in drainIn) copiesDisks() bool { return in.LocalDisks == nil || *in.LocalDisks }

func (in drainIn) isReturn() bool { return in.Action == "return" }

type drainState struct {
	drainIn
	Held string `json:"held,omitzero"` // guests whose failback is held, by id
	Off  string `json:"off,omitzero"`  // guests that are shut down, by id
	// Left is how many guests a call of its own has to move.
	Left    int               `json:"left,omitzero"`
	Moves   []drainMove       `json:"moves,omitzero" plan:"-"`
	Stays   []drainGroup      `json:"stays,omitzero" plan:"-"`
	Cannot  []cannot          `json:"cannot,omitzero" plan:"-"`
	After   map[string]string `json:"after,omitzero" plan:"-"`
	Takes   string            `json:"about,omitzero" plan:"-"`
	HA      string            `json:"ha,omitzero" plan:"-"`
	Notes   []string          `json:"notes,omitzero" plan:"-"`
	LeftOut int               `json:"moves_left_out,omitzero" plan:"-"`
}

// drainMove is where a guest goes, and how.
type drainMove struct {
	Guest string `json:"guest"`
	To    string `json:"to"`
	How   string `json:"how"`
}

// drainGroup are guests that stay for the same reason.
type drainGroup struct {
	Why    string   `json:"why"`
	Guests []string `json:"guests"`
	And    int      `json:"and,omitzero" jsonschema:"more guests"`
}

type drainOut struct {
	change.Answer
	OK       []string          `json:"ok,omitzero"`
	NotOK    []partRow         `json:"not_ok,omitzero"`
	NotBegun []string          `json:"not_begun,omitzero"`
	Moves    []drainMove       `json:"moves,omitzero" jsonschema:"of the plan"`
	LeftOut  int               `json:"moves_left_out,omitzero"`
	Cannot   []cannot          `json:"cannot,omitzero"`
	Stays    []drainGroup      `json:"stays,omitzero"`
	Still    []string          `json:"still_running,omitzero" jsonschema:"on the node, as PVE lists it now"`
	After    map[string]string `json:"after,omitzero"`
	About    string            `json:"about,omitzero" jsonschema:"how much is copied"`
	HA       string            `json:"ha,omitzero"`
	Notes    []string          `json:"notes,omitzero"`
	Then     *tool.NextCall    `json:"then,omitzero" jsonschema:"the call for the guests that are left"`
	Undo     *tool.NextCall    `json:"undo,omitzero" jsonschema:"the call that brings them back"`
}

func drainNode() tool.Tool {
	return change.New(change.Spec[drainIn, drainState, drainOut]{
		Name:  "pve_drain_node",
		Title: "Move everything off a node, and back",
		Doc:   "Move everything off a node before a reboot or maintenance: where each guest goes and how, what cannot move and why; later bring it back. Does not reboot.",
		Examples: []tool.Example{
			{Arguments: `{"node":"pve3","action":"drain","containers":"leave","parallel":1,"confirm":true,"wait":45}`},
			{Arguments: `{"node":"pve3","action":"return","guests":"103","failback":"103","start":"204","wait":45}`},
		},
		Worst: policy.Destructive,
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Migrate"),
			tool.On(tool.OnGuest, "VM.PowerMgmt").If("shutdown, start"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("whether a node has the storage is seen later"),
			tool.On(tool.OnRoot, "Sys.Audit").Else("what HA would do is not seen"),
			tool.On(tool.OnNode, "Sys.Audit").Else("guests that run there and are hidden are not noticed"),
			tool.On(tool.OnRoot, "Sys.Console").If("hold_ha").Else("HA may bring guests back").ForAdmins(),
		},
		Plan: planDrain,
		FinishFleet: func(ctx context.Context, c *tool.Call, s drainState, parts []change.Part) (drainOut, error) {
			return s.describe(ctx, c, parts), nil
		},
	})
}

// usualParallel is how many guests move at a time, if nothing else is said.
const usualParallel = 2

func planDrain(ctx context.Context, c *tool.Call, in drainIn) (change.Plan, drainState, error) {
	p := &drainPlan{drainState: drainState{drainIn: in}, c: c}
	if err := in.check(); err != nil {
		return change.Plan{}, p.drainState, err
	}
	parallel, err := c.Parallel(in.Parallel, usualParallel)
	if err != nil {
		return change.Plan{}, p.drainState, err
	}
	if err := p.read(ctx); err != nil {
		return change.Plan{}, p.drainState, err
	}
	choose := p.chooseLeaving
	if in.isReturn() {
		choose = p.chooseReturning
	}
	if err := choose(ctx); err != nil {
		return change.Plan{}, p.drainState, err
	}
	plan := p.plan()
	switch {
	case len(p.Cannot) > 0 && p.refuses() && !in.Plan:
		return plan, p.drainState, refuseSome(p.about(), " move", p.Cannot, len(p.Cannot)+len(p.items),
			"See to these, or go on without them: immovable: leave, or shutdown. plan: true shows all.")
	case len(p.items) == 0:
		plan.Already = p.nothingToDo()
		return plan, p.drainState, nil
	}
	plan.Fleet = &change.Fleet{Items: p.items, Parallel: parallel}
	return plan, p.drainState, nil
}

// check refuses arguments that do not go together.
func (in drainIn) check() error {
	back := in.isReturn()
	switch {
	case !back && (in.Guests != "" || in.Failback != "" || in.Start != ""):
		return tool.BadArgument("guests", "and failback and start are for action return; a drain is of all guests")
	case back && (in.To != nil || in.Stopped != "" && in.Stopped != "leave"):
		return tool.BadArgument("to", "and stopped are for action drain only")
	case slices.Contains(in.To, in.Node):
		return tool.BadArgument("to", fmt.Sprintf("names %s itself; leave it out", in.Node))
	}
	return nil
}

// refuses reports whether nothing begins if a guest cannot move.
func (in drainIn) refuses() bool { return in.Immovable == "" || in.Immovable == "refuse" }
