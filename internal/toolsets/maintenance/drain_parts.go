package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// The parts of a drain that are no tools of their own.
const (
	holdName  = "pve_hold_failback"
	awaitName = "pve_await_guest"
)

type holdIn struct {
	VMID pve.VMID `json:"vmid"`
	Hold bool     `json:"hold" jsonschema:"false: let HA move it back again"`
	change.WaitArgument
}

type holdState struct {
	holdIn
	SID   string `json:"sid"`
	Group string `json:"group,omitzero"` // whose setting it is, before PVE 9
}

type partOut struct{ change.Answer }

// holdFailback keeps HA from moving a guest back to the node that it prefers, or lets it do so
// again.
func holdFailback() tool.Tool {
	return change.New(change.Spec[holdIn, holdState, partOut]{
		Name:  holdName,
		Title: "Hold the failback of a guest",
		Doc:   "Keeps HA from moving a guest back.",
		Plan:  planHold,
		Start: func(ctx context.Context, c *tool.Call, s *holdState) (change.Job, error) {
			path, params := s.request()
			_, err := c.PVE.Do(ctx, http.MethodPut, proxmox.Join(path...), params)
			return change.Job{}, err
		},
		Finish: func(ctx context.Context, c *tool.Call, s holdState, _ change.End) (out partOut, err error) {
			ha, err := reading.ReadHA(proxmox.ReadAgain(ctx), c.View)
			if err == nil && ha.FailsBack(s.VMID) == s.Hold {
				out.SetOutcome(tool.Failed, "Look at its HA resource.", "The failback of guest %v is not as it was to be.", s.VMID)
			}
			return out, err
		},
	})
}

// request is the one that sets the failback.
func (s holdState) request() (path []string, params url.Values) {
	if s.Group != "" {
		return []string{"cluster", "ha", "groups", s.Group}, url.Values{"nofailback": {tool.Flag(s.Hold)}}
	}
	return []string{"cluster", "ha", "resources", s.SID}, url.Values{"failback": {tool.Flag(!s.Hold)}}
}

func planHold(ctx context.Context, c *tool.Call, in holdIn) (change.Plan, holdState, error) {
	s := holdState{holdIn: in}
	ha, err := reading.ReadHA(ctx, c.View)
	if err != nil {
		return change.Plan{}, s, err
	}
	r, is := ha.Resources[in.VMID]
	if !is {
		return change.Plan{}, s, explain.Refusal("Leave it out.", "Guest %v is not under HA.", in.VMID)
	}
	s.SID, s.Group = r.SID, r.Group
	what := "guest " + in.VMID.String()
	if s.Group != "" {
		what = "the HA group " + render.Text(s.Group, 60)
	}
	plan := change.Plan{Subject: policy.Guest(in.VMID), About: "Holding the failback of " + what}
	if !in.Hold {
		plan.About = "Giving back the failback of " + what
	}
	if ha.FailsBack(in.VMID) != in.Hold {
		plan.Already = plan.About + ": it is so already; nothing was sent."
		return plan, s, nil
	}
	path, params := s.request()
	target, _ := policy.TargetOf(http.MethodPut, path, params)
	return plan, s, c.CheckTarget(ctx, target)
}

type awaitIn struct {
	VMID pve.VMID `json:"vmid"`
	Node string   `json:"node" jsonschema:"to which it goes"`
	With pve.VMID `json:"with" jsonschema:"guest along with which HA moves it"`
	change.WaitArgument
}

type awaitState struct {
	awaitIn
	Running bool  `json:"running"` // before
	Since   int64 `json:"since"`
}

// arrivalTime is how long a guest may take to arrive that HA moves along with another one.
const arrivalTime = 30 * time.Minute

// awaitGuest waits for a guest that HA moves along with another one, by a rule. It sends nothing.
func awaitGuest() tool.Tool {
	return change.New(change.Spec[awaitIn, awaitState, partOut]{
		Name:  awaitName,
		Title: "Wait for a guest on a node",
		Doc:   "Waits for a guest that HA moves along with another one.",
		Plan: func(ctx context.Context, c *tool.Call, in awaitIn) (change.Plan, awaitState, error) {
			s := awaitState{awaitIn: in, Since: c.Now().Unix()}
			g, is, err := c.Live(ctx, in.VMID)
			s.Running = is.Status == "running"
			plan := change.Plan{Subject: policy.Guest(in.VMID), About: fmt.Sprintf("Arrival of %v (%s) on %s, along with %v", g, render.Text(is.Name.Value, 60), in.Node, in.With)}
			if err == nil && g.Node != in.Node && cmp.Or(is.Lock.Value, "migrate") != "migrate" {
				err = explain.Unlocked(g, is.Lock.Value)
			}
			return plan, s, err
		},
		Start: func(context.Context, *tool.Call, *awaitState) (change.Job, error) { return change.Job{}, nil },
		Finish: func(ctx context.Context, c *tool.Call, s awaitState, _ change.End) (out partOut, err error) {
			g, is, err := c.Live(proxmox.ReadAgain(ctx), s.VMID)
			switch late := c.Now().Sub(time.Unix(s.Since, 0)) > arrivalTime; {
			case err == nil && g.Node == s.Node && (!s.Running || is.Status == "running"):
				out.Message = fmt.Sprintf("%v is on %s.", g, s.Node)
				return out, nil
			case late && err != nil:
				return out, err
			case late:
				out.SetOutcome(tool.Failed, "Look with pve_guest_status at what HA does with it.", "%v is %s on %s, and did not come to %s along with %v.", g, is.State(), g.Node, s.Node, s.With)
				return out, nil
			}
			c.ForgetGuest(s.VMID)
			return out, change.ErrNotYet
		},
	})
}
