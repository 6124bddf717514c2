package ha

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

type setIn struct {
	Change      string   `json:"change" enum:"add,update,remove,migrate,relocate,set_rule,remove_rule,set_group,remove_group,replicate,remove_replication,run_replication,disarm,arm" jsonschema:"set_*, replicate: make or change"`
	Resource    string   `json:"resource,omitzero" jsonschema:"guest: 101, vm:101 or its name"`
	State       string   `json:"state,omitzero" enum:"started,stopped,disabled,ignored" jsonschema:"that HA keeps"`
	Failback    *bool    `json:"failback,omitzero" jsonschema:"goes back to its best node"`
	MaxRestart  *int     `json:"max_restart,omitzero" min:"0" jsonschema:"starts tried on a node"`
	MaxRelocate *int     `json:"max_relocate,omitzero" min:"0" jsonschema:"nodes tried then"`
	Group       string   `json:"group,omitzero" jsonschema:"of resource (PVE 8)"`
	Node        string   `json:"node,omitzero" jsonschema:"of move or replication"`
	Name        string   `json:"name,omitzero" jsonschema:"of rule, group or job"`
	Resources   []string `json:"resources,omitzero" jsonschema:"guests of the rule"`
	Nodes       []string `json:"nodes,omitzero" jsonschema:"pve1:2 has priority 2"`
	Strict      *bool    `json:"strict,omitzero" jsonschema:"only on these nodes"`
	Affinity    string   `json:"affinity,omitzero" enum:"positive,negative" jsonschema:"together, or apart"`
	Schedule    string   `json:"schedule,omitzero" jsonschema:"every 15 minutes"`
	Rate        string   `json:"rate,omitzero" jsonschema:"limit in MB/s"`
	Enabled     *bool    `json:"enabled,omitzero" jsonschema:"of a rule or job"`
	Comment     string   `json:"comment,omitzero" jsonschema:"a note"`
	Unset       []string `json:"unset,omitzero" jsonschema:"PVE's keys to clear"`
	Purge       *bool    `json:"purge,omitzero" jsonschema:"from rules, too; default: true"`
	Keep        bool     `json:"keep,omitzero" jsonschema:"removed job: copies stay"`
	Mode        string   `json:"mode,omitzero" enum:"freeze,ignore" jsonschema:"of disarm; default: freeze"`
	change.PlanArguments
	change.ConfirmArgument
	change.WaitArgument
}

// setState is a change as it is carried out: one request, and what is true when it is done.
type setState struct {
	About  string     `json:"about"`
	Method string     `json:"method"`
	Path   []string   `json:"path"`
	Form   url.Values `json:"form,omitzero"`
	// Kind and Name say what is read before it is sent and afterwards; Before and After are its
	// settings then, nil for none. Digests says that PVE takes the digest.
	Kind    string  `json:"kind,omitzero"`
	Name    string  `json:"section,omitzero"`
	Before  section `json:"before"`
	After   section `json:"after"`
	Digests bool    `json:"digests,omitzero"`
	// Asks says that a human agrees to it before it is sent.
	Asks bool `json:"asks,omitzero"`
	// Sent is when it was sent, in seconds by this machine's clock.
	Sent int64          `json:"sent,omitzero" plan:"-"`
	Goal goal           `json:"goal,omitzero"`
	Note []string       `json:"notes,omitzero" plan:"-"`
	Undo *tool.NextCall `json:"undo,omitzero" plan:"-"`
}

type setOut struct {
	change.Answer
	Before section        `json:"before,omitzero" jsonschema:"what has changed"`
	After  section        `json:"after,omitzero" jsonschema:"read back"`
	Notes  []string       `json:"notes,omitzero"`
	Undo   *tool.NextCall `json:"undo,omitzero" jsonschema:"the call that takes it back"`
}

// Change is pve_set_ha.
func Change() tool.Tool {
	return change.New(change.Spec[setIn, setState, setOut]{
		Name:  "pve_set_ha",
		Title: "Change high availability and replication",
		Doc: "Put a guest under HA or take it out, set its state, keep guests together or apart (on different nodes), prefer a node, hold failback; " +
			"replicate a guest to another node; disarm HA. Says first what moves or stops.",
		Examples: []tool.Example{
			{Arguments: `{"change":"replicate","resource":"102","node":"pve3","schedule":"every 15 minutes"}`},
			{Arguments: `{"change":"add","resource":"101","max_restart":2,"wait":0}`},
			{Arguments: `{"change":"update","resource":"vm:103","failback":false}`, Since: "9"},
			{Arguments: `{"change":"set_rule","name":"apart","affinity":"negative","resources":["vm:103","ct:201"]}`, Since: "9"},
			{Arguments: `{"change":"remove","resource":"db-2","confirm":true}`},
		},
		Worst: policy.Destructive,
		Risk:  riskOf,
		Needs: []tool.Need{
			tool.On(tool.OnRoot, "Sys.Audit").If("not replication"),
			tool.On(tool.OnRoot, "Sys.Console").If("not replication").ForAdmins(),
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnStorage, "Datastore.Audit").If("add").Else("whether other nodes have its disks is not known"),
			tool.On(tool.OnGuest, "VM.Replicate").If("replication").Since(9),
			tool.On(tool.OnStorage, "Datastore.Allocate").If("replication, on /storage itself").Until(9).ForAdmins(),
		},
		Plan:   planSet,
		Steps:  setSteps,
		Finish: finishSet,
	})
}

// riskOf is what a call can do, as far as its arguments tell.
func riskOf(in setIn) policy.Risk {
	if slices.Contains([]string{"remove", "migrate", "relocate", "remove_rule", "remove_group", "remove_replication", "disarm"}, in.Change) {
		return policy.Destructive
	}
	return policy.Write
}

// kinds are the kinds of sections by name.
func kinds(name string) kind {
	return map[string]kind{"resource": resourceKind, "rule": ruleKind, "group": groupKind, "job": jobKind}[name]
}

func (s setState) target() policy.Target {
	t, _ := policy.TargetOf(s.Method, s.Path, s.Form)
	return t
}

func setSteps(s setState) []change.Step[setState] {
	step := change.Step[setState]{About: s.About, Send: send}
	if s.Asks {
		step.Target = s.target()
	}
	if !s.Goal.isAwaited() {
		return []change.Step[setState]{step}
	}
	return []change.Step[setState]{step, {About: "What follows from it"}}
}

// send sends the request if what it changes still is as it was.
func send(ctx context.Context, c *tool.Call, s *setState) (change.Job, error) {
	form := maps.Clone(s.Form)
	if form == nil {
		form = url.Values{}
	}
	if s.Kind != "" {
		now, digest, err := s.current(ctx, c)
		if err != nil {
			return change.Job{}, err
		}
		if !maps.Equal(now, s.Before) {
			return change.Job{}, explain.Refusal("Look at it with pve_ha, and make the call anew.", "%s: not sent, since somebody has changed it meanwhile.", s.About)
		}
		if s.Digests && digest != "" {
			form.Set("digest", digest)
		}
	}
	s.Sent = c.Now().Unix()
	_, err := c.PVE.Do(ctx, s.Method, proxmox.Join(s.Path...), form)
	return change.Job{}, err
}

// current are the settings of what is changed as they are now, nil if it is not there.
func (s setState) current(ctx context.Context, c *tool.Call) (settings section, digest string, err error) {
	k := kinds(s.Kind)
	all, err := k.read(ctx, c.PVE)
	found := k.named(all, s.Name)
	if err != nil || found == nil || found["remove_job"] != "" {
		return nil, "", err
	}
	digest = found["digest"]
	if s.Digests && digest == "" { // of a replication job, whose list has none
		var one map[string]any
		if err := readExact(ctx, c.PVE, &one, append(slices.Clone(k.path), s.Name)...); err != nil {
			return nil, "", err
		}
		digest = sectionOf(one)["digest"]
	}
	return k.settings(found), digest, nil
}

// finishSet reads back what was changed, and looks whether HA has done what follows from it.
func finishSet(ctx context.Context, c *tool.Call, s setState, end change.End) (setOut, error) {
	ctx = proxmox.ReadAgain(ctx)
	out := setOut{Notes: s.Note}
	if s.Kind != "" {
		now, _, err := s.current(ctx, c)
		if err != nil {
			return out, err
		}
		out.Before, out.After = differences(s.Before, now)
		if !maps.Equal(now, s.After) && s.Goal.Gone == "" {
			out.SetOutcome(tool.Failed, "pve_ha shows what there is.", "%s: PVE reported success, and it is not as it was to be; somebody may have changed it meanwhile.", s.About)
			return out, nil
		}
	}
	if s.Undo != nil {
		undo := c.Host().Offered(*s.Undo)
		out.Undo = &undo
	}
	err := s.Goal.look(ctx, c, s.About, &out)
	if since := c.Now().Sub(time.Unix(s.Sent, 0)); errors.Is(err, change.ErrNotYet) && since > followedFor {
		out.SetOutcome(tool.Warnings, "pve_ha shows what it waits for.", "%s: PVE accepted it %s ago, and it is not done. %s", s.About, render.Duration(since.Round(time.Minute)), out.Message)
		err = nil
	}
	return out, err
}

// followedFor is how long what follows from a change is awaited: HA may have to copy disks.
const followedFor = 2 * time.Hour

// differences are the settings that differ.
func differences(before, after section) (was, is section) {
	was, is = section{}, section{}
	for key, value := range before {
		if now, has := after[key]; !has || now != value {
			was[key] = render.Text(value, 300)
		}
	}
	for key, value := range after {
		if then, had := before[key]; !had || then != value {
			is[key] = render.Text(value, 300)
		}
	}
	return was, is
}

// begin makes the request one about a section.
func (s *setState) begin(method, kind, name string, before section) {
	k := kinds(kind)
	s.Method, s.Kind, s.Name, s.Before, s.Path = method, kind, name, before, slices.Clone(k.path)
	if method != http.MethodPost {
		s.Path = append(s.Path, name)
	}
	s.Digests = method == http.MethodPut
	s.Form = url.Values{}
}

// sendDifferences fills in the parameters that make the settings what they are to be.
func (s *setState) sendDifferences(after section) {
	s.After = after
	for key, value := range after {
		if s.Before[key] != value {
			s.Form.Set(key, value)
		}
	}
	var cleared []string
	for key := range s.Before {
		if _, stays := after[key]; !stays {
			cleared = append(cleared, key)
		}
	}
	slices.Sort(cleared)
	if s.Method == http.MethodPut && cleared != nil {
		s.Form.Set("delete", strings.Join(cleared, ","))
	}
}
