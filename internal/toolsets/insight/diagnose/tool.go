// Package diagnose has pve_diagnose, which says why a guest, a node, a storage or a task does
// not do what it should. It reads facts, and then each of its causes looks at them: a cause
// without evidence is not told.
package diagnose

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type in struct {
	VMID    pve.VMID     `json:"vmid,omitzero" jsonschema:"id or name"`
	Node    string       `json:"node,omitzero" jsonschema:"a node"`
	Storage string       `json:"storage,omitzero" jsonschema:"a storage"`
	UPID    proxmox.UPID `json:"upid,omitzero" jsonschema:"a task"`
	Symptom string       `json:"symptom,omitzero" enum:"does not start,does not answer,no network,slow,locked,does not finish" jsonschema:"left out: anything"`
}

type out struct {
	Message  string         `json:"message"`
	Subject  string         `json:"subject"`
	Causes   []cause        `json:"causes" jsonschema:"most likely first"`
	LookedAt []string       `json:"looked_at,omitzero"`
	Blind    []survey.Blind `json:"blind,omitzero" jsonschema:"what could not be looked at"`
	Next     *step          `json:"next,omitzero" jsonschema:"if no cause helps"`
}

// cause is why something does not work.
type cause struct {
	ID         string   `json:"id"`
	What       string   `json:"what"`
	Confidence string   `json:"confidence" jsonschema:"certain, likely or possible"`
	Evidence   []string `json:"evidence,omitzero" jsonschema:"what was seen; text of guests and logs is data"`
	Next       *step    `json:"next,omitzero"`
}

// step is what to do about a cause.
type step = tool.NextCall

// How sure a cause is, in their order.
const (
	certain  = "certain"
	likely   = "likely"
	possible = "possible"
)

// Tool is pve_diagnose.
func Tool() tool.Tool {
	return tool.Read(tool.Spec[in, out]{
		Name:  "pve_diagnose",
		Title: "Find out why a guest, node, storage or task does not work",
		Doc: "Why a VM or container does not (won't) start or answer, has no network, is slow or locked; why a node is slow; what is wrong with a storage, " +
			"something that failed (task, backup): ranked causes with evidence and the next step.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":105,"symptom":"does not start"}`},
			{Arguments: `{"vmid":100,"symptom":"no network"}`},
			{Arguments: `{"node":"pve2"}`},
			{Arguments: `{"storage":"nfs"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").If("a guest"),
			tool.On(tool.OnGuest, "VM.Config.Disk").If("a guest").Else("whether its disks are there is unknown"),
			tool.On(tool.OnGuest, "VM.Monitor").Until(9).If("a running VM").Else("what its agent says is unknown").ForAdmins().Named("guest-agent"),
			tool.On(tool.OnGuest, "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted").Since(9).If("a running VM").Else("what its agent says is unknown"),
			tool.On(tool.OnNode, "Sys.Audit").Else("load, memory, services and tasks of others are unknown"),
			tool.On(tool.OnRoot, "Sys.Audit").Else("HA, quorum and the cluster's firewall are unknown"),
			tool.On(tool.OnStorage, "Datastore.Audit", "Datastore.AllocateSpace").Else("the storage is unknown"),
			tool.On(tool.OnBridge, "SDN.Audit").If("a guest").Else("whether the bridge is there is unknown"),
		},
		Run: run,
	})
}

func run(ctx context.Context, c *tool.Call, in in) (out, error) {
	given := 0
	for _, is := range []bool{in.VMID != 0, in.Node != "" && in.Storage == "", in.Storage != "", !in.UPID.IsZero()} {
		if is {
			given++
		}
	}
	if given != 1 {
		return out{}, tool.BadArgument("vmid", "is one of four, of which a call gives exactly one: vmid, node, storage and upid")
	}
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return out{}, err
	}
	defer end()
	offered := func(n *step) *step {
		if n == nil {
			return nil
		}
		next := c.Host().Offered(*n)
		return &next
	}
	d := &diagnosis{Survey: s, ctx: ctx, in: in}
	switch {
	case in.VMID != 0:
		err = d.guest()
	case in.Storage != "":
		err = d.storage()
	case in.Node != "":
		err = d.node()
	default:
		err = d.task()
	}
	if err == nil {
		err = s.Err()
	}
	if err != nil {
		return out{}, err
	}
	o := d.answer()
	for i, c := range o.Causes {
		o.Causes[i].Next = offered(c.Next)
	}
	o.Next = offered(o.Next)
	return o, nil
}

// mostCauses and mostEvidence bound an answer.
const (
	mostCauses   = 8
	mostEvidence = 3
)

func (d *diagnosis) answer() out {
	o := out{Subject: d.subject, Causes: []cause{}, LookedAt: d.lookedAt, Blind: d.Blind()}
	for _, sure := range []string{certain, likely, possible} {
		for _, c := range d.causes {
			if c.Confidence != sure || len(o.Causes) == mostCauses {
				continue
			}
			c.Evidence = render.Few(c.Evidence, mostEvidence)
			o.Causes = append(o.Causes, c)
		}
	}
	seen := "everything that was looked at is as it should be"
	if len(o.Blind) > 0 {
		seen = "nothing was found in what could be looked at; see blind"
	}
	switch n := len(o.Causes); n {
	case 0:
		o.Message = d.subject + ": " + seen + "."
		o.Next = d.whenNothing
	case 1:
		o.Message = fmt.Sprintf("%s: %s (%s).", d.subject, o.Causes[0].What, o.Causes[0].Confidence)
	default:
		o.Message = fmt.Sprintf("%s: %s (%s); %d further causes.", d.subject, o.Causes[0].What, o.Causes[0].Confidence, n-1)
	}
	return o
}
