package metrics

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// picture is an answer with a picture: its facts are text then.
type picture struct {
	answer
	tool.Attachments
}

const chartName = "pve_chart"

// Chart returns pve_chart.
func Chart() tool.Tool {
	s := spec(func(ctx context.Context, c *tool.Call, in question) (picture, error) {
		r, err := measure(ctx, c, in)
		if err != nil {
			return picture{}, err
		}
		out := picture{answer: r.answer}
		for i := range out.Figures {
			out.Figures[i].Line = "" // the picture shows it
		}
		for i := range out.Top {
			out.Top[i].Line = ""
		}
		panels := r.panels
		if panels == nil {
			panels = r.fillings
		}
		if panels == nil {
			return out, nil
		}
		data, err := picturePNG(r.Of, panels)
		if err != nil {
			return picture{}, err
		}
		out.Attach(tool.Image{MIMEType: "image/png", Data: data})
		return out, nil
	})
	s.Name, s.Title = chartName, "Draw history as a picture"
	s.Doc = "Draw a graph: plot, chart or picture (PNG) of CPU, memory, disk or network of a guest, node, storage or the cluster over time, or of the guests that " +
		"use most."
	s.Examples = []tool.Example{
		{Arguments: `{"of":"100","period":"24h"}`},
		{Arguments: `{"of":"pve2","period":"week"}`},
		{Arguments: `{"of":"nfs"}`},
	}
	return tool.Read(s)
}
