package media

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type deleteIn struct {
	Node   string    `json:"node" jsonschema:"that deletes it"`
	Volume pve.VolID `json:"volume" jsonschema:"its volid"`
	change.ConfirmArgument
	change.WaitArgument
}

type deleteOut struct {
	change.Answer
	Deleted bool `json:"deleted,omitzero"`
}

func deleteMedium() tool.Tool {
	return change.New(change.Spec[deleteIn, deleteIn, deleteOut]{
		Name:     "pve_delete_medium",
		Title:    "Delete an image",
		Doc:      "Deletes a volume of a storage, for good.",
		Examples: []tool.Example{{Arguments: `{"node":"pve1","volume":"local:iso/debian-12.11.0-amd64-netinst.iso","confirm":true}`}},
		Worst:    policy.Destructive,
		Risk:     func(deleteIn) policy.Risk { return policy.Destructive },
		Needs: []tool.Need{
			tool.On(tool.OnStorage, "Datastore.Audit", "Datastore.AllocateSpace"),
			tool.On(tool.OnStorage, "Datastore.Allocate").ForAdmins(),
		},
		Plan: func(_ context.Context, _ *tool.Call, in deleteIn) (change.Plan, deleteIn, error) {
			subject := policy.Subject{Kind: policy.VolumeKind, ID: in.Volume.String()}
			return change.Plan{
				Subject: subject, About: fmt.Sprintf("Deletion of %v on %s", in.Volume, in.Node),
				Target:       policy.Target{Method: http.MethodDelete, Path: "/nodes/*/storage/*/content/*", Subject: subject},
				Consequences: []string{"it is gone for good"},
			}, in, nil
		},
		Start: func(ctx context.Context, c *tool.Call, in *deleteIn) (change.Job, error) {
			upid, err := c.PVE.DeleteVolume(ctx, in.Node, in.Volume)
			return change.Job{UPID: upid}, err
		},
		Finish: func(ctx context.Context, c *tool.Call, in deleteIn, _ change.End) (deleteOut, error) {
			volumes, err := c.PVE.Content(ctx, in.Node, in.Volume.Storage, pve.VolumeFilter{})
			there := slices.ContainsFunc(volumes, func(v pve.Volume) bool { return v.VolID == in.Volume })
			return deleteOut{Deleted: err == nil && !there}, err
		},
	})
}
