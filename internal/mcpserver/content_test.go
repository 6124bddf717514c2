package mcpserver_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

type drawIn struct {
	As string `json:"as" enum:"words,image,text,data,link" jsonschema:"what comes with the answer"`
	change.WaitArgument
}

type drawOut struct {
	tool.Attachments
	Message string `json:"message"`
}

type paintOut struct {
	change.Answer
	tool.Attachments
}

var drawn = map[string]tool.Content{
	"image": tool.Image{MIMEType: "image/png", Data: []byte("\x89PNG")},
	"text":  tool.Resource{URI: "pve://log", MIMEType: "text/plain", Text: "one line"},
	"data":  tool.Resource{URI: "pve://dump", MIMEType: "application/octet-stream", Data: []byte{0, 1}},
	"link":  tool.Link{URI: "pve://log", Name: "log", Title: "The log", MIMEType: "text/plain"},
}

var sentAs = map[string]mcp.Content{
	"image": &mcp.ImageContent{MIMEType: "image/png", Data: []byte("\x89PNG")},
	"text":  &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "pve://log", MIMEType: "text/plain", Text: "one line"}},
	"data":  &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "pve://dump", MIMEType: "application/octet-stream", Blob: []byte{0, 1}}},
	"link":  &mcp.ResourceLink{URI: "pve://log", Name: "log", Title: "The log", MIMEType: "text/plain"},
}

// drawing is a toolset whose tools answer with content beside JSON.
func drawing() toolset.Selection {
	return toolset.Selection{From: []tool.Set{{
		Name: "drawing",
		Core: []tool.Tool{
			tool.Read(tool.Spec[drawIn, drawOut]{
				Name: "pve_draw", Title: "Draw", Doc: "Draws.", Long: true,
				Run: func(_ context.Context, _ *tool.Call, in drawIn) (out drawOut, err error) {
					out.Message = "Drawn as " + in.As
					if c := drawn[in.As]; c != nil {
						out.Attach(c)
					}
					return out, nil
				},
			}),
			change.New(change.Spec[drawIn, drawIn, paintOut]{
				Name: "pve_paint", Title: "Paint", Doc: "Paints.",
				Plan: func(_ context.Context, _ *tool.Call, in drawIn) (change.Plan, drawIn, error) {
					return change.Plan{About: "Painting"}, in, nil
				},
				Start: func(context.Context, *tool.Call, *drawIn) (change.Job, error) { return change.Job{}, nil },
				Finish: func(_ context.Context, _ *tool.Call, in drawIn, _ change.End) (out paintOut, err error) {
					if c := drawn[in.As]; c != nil {
						out.Attach(c)
					}
					return out, nil
				},
			}),
		},
	}}}
}

// An answer with content beside its JSON has that as text, and no structured content, which
// is all that some clients would give the model; and the tool declares no schema of it.
func TestContentBesideJSON(t *testing.T) {
	for _, era := range eras {
		converseAbout(t, drawing(), era, sim.Options{}, func(*sim.World) {}, nil, func(c *conversation) {
			list, err := c.client.ListTools(c.Context(), nil)
			if err != nil || len(list.Tools) != 2 {
				t.Fatalf("%v %+v", err, list)
			}
			for _, mt := range list.Tools {
				if mt.OutputSchema != nil {
					t.Errorf("%s: %s declares a schema of its answer: %v", era, mt.Name, mt.OutputSchema)
				}
			}
			for _, as := range []string{"words", "image", "text", "data", "link"} {
				for name, facts := range map[string]string{"pve_draw": `{"message":"Drawn as ` + as + `"}`, "pve_paint": `{"message":"Painting: done.","outcome":"ok"}`} {
					res, err := c.call(name, map[string]any{"as": as})
					if err != nil || res.IsError {
						t.Fatalf("%s: %s as %s: %v %+v", era, name, as, err, res)
					}
					want := []mcp.Content{&mcp.TextContent{Text: facts}}
					if sentAs[as] != nil {
						want = append(want, sentAs[as])
					}
					if diff := cmp.Diff(want, res.Content); diff != "" {
						t.Errorf("%s: %s as %s (-want +sent):\n%s", era, name, as, diff)
					}
					if structured := res.StructuredContent != nil; structured != (as == "words") {
						t.Errorf("%s: %s as %s: structured content %v", era, name, as, res.StructuredContent)
					}
				}
			}
		})
	}
}

// The outcome of a change counts, whatever comes with its answer.
func TestOutcomeBesideContent(t *testing.T) {
	res := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: `{"outcome":"warnings"}`}, sentAs["image"]}}
	if got := mcpserver.OutcomeOf(res); got != "warnings" {
		t.Errorf("outcome %q", got)
	}
	if got := mcpserver.OutcomeOf(&mcp.CallToolResult{}); got != "" {
		t.Errorf("outcome %q of nothing", got)
	}
}

// A destructive tool asks hosts that know the word not to let an old "always allow" cover
// it, and a tool whose answer is long says how long it may be.
func TestHints(t *testing.T) {
	const asks, long = "anthropic/requiresUserInteraction", "anthropic/maxResultSizeChars"
	for _, bytes := range []int{0, 100_000, 10_000_000} {
		prepare := func(w *sim.World) { w.Host.AnswerBytes = bytes }
		converseAbout(t, toolset.Selection{Toolsets: []string{"all"}}, eras[0], sim.Options{Policy: policy.Policy{Exec: true}}, prepare, nil, func(c *conversation) {
			list, err := c.client.ListTools(c.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			most := map[int]float64{0: tool.AnswerBytes, 100_000: 100_000, 10_000_000: 500_000}[bytes]
			for _, mt := range list.Tools {
				declared, _ := toolset.Named(mt.Name)
				want := mcp.Meta{}
				if declared.Risk == policy.Destructive {
					want[asks] = true
				}
				if declared.Long {
					want[long] = most
				}
				got, _ := json.Marshal(mt.Meta)
				if data, _ := json.Marshal(want); string(got) != string(data) && len(want)+len(mt.Meta) > 0 {
					t.Errorf("%s: %s, want %s", mt.Name, got, data)
				}
			}
		})
	}
}
