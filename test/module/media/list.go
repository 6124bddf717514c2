package media

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listIn struct {
	Node    string `json:"node" jsonschema:"that looks"`
	Storage string `json:"storage" jsonschema:"where they are"`
}

type listOut struct {
	Media []pve.VolID `json:"media"`
}

func listMedia() tool.Tool {
	return tool.Read(tool.Spec[listIn, listOut]{
		Name:     "pve_list_media",
		Title:    "List the images on a storage",
		Doc:      "Lists the ISO images on a storage.",
		Examples: []tool.Example{{Arguments: `{"node":"pve1","storage":"local"}`}},
		Needs:    []tool.Need{tool.On(tool.OnStorage, "Datastore.Audit", "Datastore.AllocateSpace")},
		Run: func(ctx context.Context, c *tool.Call, in listIn) (out listOut, err error) {
			volumes, err := c.PVE.Content(ctx, in.Node, in.Storage, pve.VolumeFilter{Content: "iso"})
			for _, v := range volumes {
				out.Media = append(out.Media, v.VolID)
			}
			return out, err
		},
	})
}
