package firewall

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type setIn struct {
	Change     string      `json:"change" enum:"add_rule,change_rule,move_rule,delete_rule,add_group,delete_group,add_set,delete_set,add_addresses,remove_addresses,set_alias,delete_alias,set_options" jsonschema:"what to do"`
	VMID       pve.VMID    `json:"vmid,omitzero"`
	Node       string      `json:"node,omitzero" jsonschema:"neither: the cluster"`
	Group      string      `json:"group,omitzero" jsonschema:"whose rules to change"`
	Position   *int        `json:"position,omitzero" min:"0" jsonschema:"0 is first, and default"`
	To         *int        `json:"to,omitzero" min:"0" jsonschema:"new position"`
	Direction  string      `json:"direction,omitzero" enum:"in,out,forward" jsonschema:"default: in"`
	Action     string      `json:"action,omitzero" jsonschema:"accept, drop, reject or group:NAME"`
	Protocol   string      `json:"protocol,omitzero" jsonschema:"default: tcp"`
	Port       string      `json:"port,omitzero" jsonschema:"80,443 or 8000-8010"`
	SourcePort string      `json:"source_port,omitzero" jsonschema:"or range"`
	Source     string      `json:"source,omitzero" jsonschema:"CIDR, range, alias or +SET"`
	Dest       string      `json:"dest,omitzero" jsonschema:"as source"`
	Macro      string      `json:"macro,omitzero" jsonschema:"such as SSH, in place of port"`
	ICMPType   string      `json:"icmp_type,omitzero" jsonschema:"echo-request"`
	Iface      string      `json:"iface,omitzero" jsonschema:"net0 or vmbr0"`
	Log        string      `json:"log,omitzero" jsonschema:"info, nolog, ..."`
	Enable     *bool       `json:"enable,omitzero" jsonschema:"default: true"`
	Comment    string      `json:"comment,omitzero" jsonschema:"a note"`
	Name       string      `json:"name,omitzero" jsonschema:"of set or alias"`
	Addresses  []string    `json:"addresses,omitzero" jsonschema:"of set or alias; !IP: except"`
	Options    tool.Values `json:"options,omitzero" jsonschema:"such as {\"enable\":1,\"policy_in\":\"DROP\"}"`
	Unset      []string    `json:"unset,omitzero" jsonschema:"fields or options to clear"`
	Digest     string      `json:"digest,omitzero" jsonschema:"refuse if changed since"`
	change.ConfirmArgument
	change.PlanArguments
	change.TimeoutArgument
}

// written is a call with names as PVE keeps them: those of groups and sets in lower case.
func (in setIn) written() setIn {
	in.Group = strings.ToLower(in.Group)
	if !strings.Contains(in.Change, "alias") {
		in.Name = strings.ToLower(in.Name)
	}
	return in
}

// request is one of those of a change. It is sent if what it changes still is as it was.
type request struct {
	About   string     `json:"about"`
	Method  string     `json:"method"`
	Path    []string   `json:"path"`
	Form    url.Values `json:"form,omitzero"`
	Guard   source     `json:"guard"`  // what it changes, as it was
	Result  source     `json:"result"` // as it will be
	Digests bool       `json:"digests,omitzero"`
}

// source is a list or an object of PVE, and what identifies it as it is or will be.
type source struct {
	Path   []string `json:"path"`
	Object bool     `json:"object,omitzero"`
	Is     string   `json:"is"`
}

// sourceOf identifies a list. The order is a part of rules, and of nothing else.
func sourceOf(path []string, all []entry) source { return source{Path: path, Is: identify(path, all)} }

func identify(path []string, all []entry) string {
	if slices.Contains(path, "rules") || slices.Contains(path, "groups") && path[len(path)-1] != "groups" {
		return exactjson.Digest(append([]entry{}, all...))
	}
	var out []string
	for _, e := range all {
		out = append(out, string(exactjson.Encode(e)))
	}
	slices.Sort(out)
	return exactjson.Digest(out)
}

type setState struct {
	About    string         `json:"about"`
	Requests []request      `json:"requests"`
	Diff     []string       `json:"diff,omitzero"`
	Idle     string         `json:"idle,omitzero" plan:"-"` // why it has no effect now
	Undo     *tool.NextCall `json:"undo,omitzero" plan:"-"`
}

type setOut struct {
	change.Answer
	Diff   []string       `json:"diff,omitzero" jsonschema:"- before, + after, with positions"`
	Digest string         `json:"digest,omitzero" jsonschema:"for the next change"`
	Undo   *tool.NextCall `json:"undo,omitzero" jsonschema:"the call that takes it back"`
}

// Change is pve_set_firewall.
func Change() tool.Tool {
	return change.New(change.Spec[setIn, setState, setOut]{
		Name:  "pve_set_firewall",
		Title: "Change the firewall",
		Doc: "Open, allow or block a port, service (SSH) or address in a firewall of a guest, node or cluster; change or delete rules, groups, IP sets; switch it " +
			"on. Says what could lock people out.",
		Examples: []tool.Example{
			{Arguments: `{"change":"add_rule","vmid":100,"action":"accept","port":"443","source":"10.0.0.0/8","comment":"web"}`},
			{Arguments: `{"change":"set_options","vmid":100,"options":{"policy_in":"DROP"},"confirm":true}`},
			{Arguments: `{"change":"add_set","name":"office","addresses":["192.0.2.0/24"]}`},
			{Arguments: `{"change":"add_rule","node":"pve1","action":"accept","port":"9100","source":"10.0.0.0/8"}`},
		},
		Worst: policy.Destructive,
		Risk:  riskOf,
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").If("a guest"),
			tool.On(tool.OnGuest, "VM.Config.Network").If("a guest"),
			tool.On(tool.OnNode, "Sys.Audit").If("a node"),
			tool.On(tool.OnNode, "Sys.Modify").If("a node").ForAdmins(),
			tool.On(tool.OnRoot, "Sys.Audit").If("the cluster"),
			tool.On(tool.OnRoot, "Sys.Modify").If("the cluster").ForAdmins(),
		},
		Plan:   planSet,
		Steps:  setSteps,
		Finish: finishSet,
	})
}

// riskOf is what a call can do, as far as its arguments tell: what is deleted is gone, and a
// switch or a policy may cut everybody off.
func riskOf(in setIn) policy.Risk {
	if slices.Contains([]string{"delete_rule", "delete_group", "delete_set", "remove_addresses", "delete_alias"}, in.Change) {
		return policy.Destructive
	}
	if in.Change == "set_options" && in.VMID == 0 {
		return policy.Destructive
	}
	return policy.Write
}

func setSteps(s setState) []change.Step[setState] {
	var out []change.Step[setState]
	for i, q := range s.Requests {
		target, _ := policy.TargetOf(q.Method, q.Path, q.Form)
		about := q.About
		if i == len(s.Requests)-1 {
			about = s.About
		}
		out = append(out, change.Step[setState]{
			About: about, Target: target,
			Send: func(ctx context.Context, c *tool.Call, _ *setState) (change.Job, error) {
				return change.Job{}, q.send(ctx, c)
			},
			Done: func(ctx context.Context, c *tool.Call, _ setState) (bool, error) {
				_, same, err := q.Result.read(ctx, c)
				return same, err
			},
			Rest: "Look with pve_firewall at what was done, and make the call anew for the rest.",
		})
	}
	return out
}

// read reads the list or object, and reports whether it still is what it was.
func (s source) read(ctx context.Context, c *tool.Call) (list, bool, error) {
	read := readList
	if s.Object {
		read = readOptions
	}
	now, err := read(ctx, c.PVE, s.Path...)
	return now, err == nil && identify(s.Path, now.Entries) == s.Is, err
}

// send sends the request with the digest of what it changes, if PVE takes one.
func (q request) send(ctx context.Context, c *tool.Call) error {
	now, same, err := q.Guard.read(ctx, c)
	if err != nil {
		return err
	}
	if !same {
		return explain.Refusal("Look at it with pve_firewall, and make the call anew.", "%s: not sent, since somebody has changed it meanwhile.", q.About)
	}
	form := url.Values{}
	for name, values := range q.Form {
		form[name] = values
	}
	if q.Digests && now.Digest != "" {
		form.Set("digest", now.Digest)
	}
	_, err = c.PVE.Do(ctx, q.Method, proxmox.Join(q.Path...), form)
	return err
}

// finishSet looks whether all is as it was to be.
func finishSet(ctx context.Context, c *tool.Call, s setState, end change.End) (setOut, error) {
	out := setOut{}
	if len(s.Requests) == 0 || end.Failed() {
		return out, nil
	}
	now, same, err := s.Requests[len(s.Requests)-1].Result.read(ctx, c)
	if err != nil {
		return out, err
	}
	out.Digest = now.Digest
	if !same {
		out.SetOutcome(tool.Failed, "Look at it with pve_firewall.", "%s: PVE reported success, and it is not as it was to be; somebody may have changed it meanwhile.", s.About)
		return out, nil
	}
	out.Diff = s.Diff
	if s.Undo != nil {
		undo := c.Host().Offered(*s.Undo)
		out.Undo = &undo
	}
	if s.Idle != "" {
		out.Message = fmt.Sprintf("%s: done. It has no effect now: %s.", s.About, s.Idle)
	}
	return out, nil
}
