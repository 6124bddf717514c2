package maintenance

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// allNodes is the word for every node of the cluster.
const allNodes = "all"

type nodePowerIn struct {
	Node   string `json:"node" jsonschema:"a node, or all"`
	Action string `json:"action" enum:"reboot,shutdown" jsonschema:"what it does"`
	Guests string `json:"guests,omitzero" jsonschema:"guests that may go down: ids, names, tag:lab, node:pve2, all; default: none"`
	change.PlanArguments
	change.ConfirmArgument
	change.WaitArgument
}

type nodePowerState struct {
	nodePowerIn
	Nodes []nodeToGo `json:"nodes"`          // in the order in which they go
	Alone bool       `json:"alone,omitzero"` // there is no cluster, and no quorum
	// At is when the first request was sent, and Sent when that to each node was, in seconds
	// by this machine's clock. A process that takes over may know the first alone.
	At   int64            `json:"at,omitzero" plan:"-"`
	Sent map[string]int64 `json:"sent,omitzero" plan:"-"`
	// Up is for how many seconds each node had been up before.
	Up map[string]int64 `json:"up,omitzero" plan:"-"`
	// Off are the other nodes that were seen to be offline before the own one was shut down.
	Off []string `json:"off,omitzero" plan:"-"`
}

// nodeToGo is a node that reboots or shuts down, with its guests as lists of ids.
type nodeToGo struct {
	Name string `json:"name"`
	Own  bool   `json:"own,omitzero"`  // this server talks to the API through it
	Runs bool   `json:"runs,omitzero"` // this server runs in a guest on it
	// Back run, and PVE starts them again with the node; HA does that with those it manages.
	Back string `json:"back,omitzero"`
	HA   string `json:"ha,omitzero"`
	// Stay run, and nothing starts them again. Start are stopped, and start with the node.
	Stay  string `json:"stay,omitzero"`
	Start string `json:"start,omitzero"`
}

type nodePowerOut struct {
	change.Answer
	Nodes []nodePowerRow `json:"nodes,omitzero"`
}

type nodePowerRow struct {
	Node       string   `json:"node"`
	State      string   `json:"state"`
	Up         string   `json:"up_since,omitzero"`
	NotRunning []string `json:"not_running,omitzero" jsonschema:"guests that ran before, or start with the node"`
	And        int      `json:"and,omitzero" jsonschema:"more guests"`
}

func nodePower() tool.Tool {
	return change.New(change.Spec[nodePowerIn, nodePowerState, nodePowerOut]{
		Name:  "pve_node_power",
		Title: "Reboot or shut down a node",
		Doc: "Reboot, shut down or power off a node (host) or the whole cluster (all: one node after another, for a UPS or an update). Refused while guests run there that guests does not name; " +
			"pve_drain_node moves them away first. Waits until the node is back with its guests.",
		Examples: []tool.Example{
			{Arguments: `{"node":"pve3","action":"reboot","guests":"node:pve3","plan":true}`},
			{Arguments: `{"node":"pve3","action":"reboot","guests":"node:pve3","confirm":true,"wait":0}`},
			{Arguments: `{"node":"pve2","action":"shutdown","guests":"all","confirm":true,"wait":0}`},
		},
		Worst: policy.Destructive,
		Risk:  func(nodePowerIn) policy.Risk { return policy.Destructive },
		Needs: []tool.Need{
			tool.On(tool.OnNode, "Sys.PowerMgmt").ForAdmins(),
			tool.On(tool.OnNode, "Sys.Audit"),
			tool.On(tool.OnRoot, "Sys.Audit"),
			tool.On(tool.OnGuest, "VM.Audit"),
		},
		Plan:   planNodePower,
		Steps:  nodePowerSteps,
		Finish: finishNodePower,
	})
}

// aboutNode begins sentences about what is done to a node.
func (s nodePowerState) aboutNode(name string) string {
	if s.Action == "reboot" {
		return "Reboot of node " + name
	}
	return "Shutdown of node " + name
}

func (s nodePowerState) about() string {
	switch {
	case s.Node != allNodes:
		return s.aboutNode(s.Node)
	case s.Action == "reboot":
		return "Reboot of every node, one after another"
	}
	return "Shutdown of every node"
}

// nodePowerSteps are a request to each node, and the wait for the last one.
func nodePowerSteps(s nodePowerState) []change.Step[nodePowerState] {
	var out []change.Step[nodePowerState]
	for i, n := range s.Nodes {
		target, _ := policy.TargetOf(http.MethodPost, []string{"nodes", n.Name, "status"}, url.Values{"command": {s.Action}})
		step := change.Step[nodePowerState]{
			About: s.aboutNode(n.Name), Target: target,
			Taken: fmt.Sprintf("Node %s has taken the order to %s.", n.Name, strings.Replace(s.Action, "shutdown", "shut down", 1)),
			Rest:  "Look with pve_cluster_status, then call pve_node_power for each node that is left: " + strings.Join(namesOf(s.Nodes[i:]), ", ") + ".",
			Send: func(ctx context.Context, c *tool.Call, s *nodePowerState) (change.Job, error) {
				if s.Action == "shutdown" && n.Own && i > 0 {
					s.Off, _ = offlineOf(ctx, c, s.Nodes[:i])
				}
				looks := ctx
				if i > 0 { // of the first, this call has read it for the plan
					looks = proxmox.ReadAgain(ctx)
				}
				if err := s.checkStillNamed(looks, c, n.Name); err != nil {
					return change.Job{}, err
				}
				s.noteSent(c, n.Name)
				return change.Job{}, c.PVE.NodePower(ctx, n.Name, s.Action)
			},
			Done: func(ctx context.Context, c *tool.Call, s nodePowerState) (bool, error) {
				return s.wasOrdered(ctx, c, n)
			},
		}
		if i > 0 {
			step.Ready = func(ctx context.Context, c *tool.Call, s nodePowerState) (string, error) {
				return s.waitsBefore(ctx, c, i), nil
			}
		}
		out = append(out, step)
	}
	if len(s.Nodes) == 0 {
		return nil
	}
	last := "Return of node " + s.Nodes[len(s.Nodes)-1].Name + " and its guests"
	if s.Action == "shutdown" {
		last = "Wait until the cluster sees it offline"
	}
	return append(out, change.Step[nodePowerState]{About: last})
}

// noteSent notes when a request was sent.
func (s *nodePowerState) noteSent(c *tool.Call, node string) {
	now := c.Now().Unix()
	if s.At == 0 {
		s.At = now
	}
	if s.Sent == nil {
		s.Sent = map[string]int64{}
	}
	s.Sent[node] = now
}

func namesOf(nodes []nodeToGo) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}
