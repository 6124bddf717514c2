package server

import (
	"context"
	"errors"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"pve-mcp/internal/tool"
)

// questionID is the name of the one question that a call asks.
const questionID = "consent"

// canAsk reports whether a client can ask its human to fill in a form.
func canAsk(req *mcp.CallToolRequest) bool {
	c := req.ClientCapabilities()
	return c != nil && c.Elicitation != nil && (c.Elicitation.Form != nil || c.Elicitation.URL == nil)
}

// reply is what the human said to the question of an earlier round, nil where there was
// none.
func reply(req *mcp.CallToolRequest) *tool.Reply {
	r, ok := req.Params.InputResponses[questionID].(*mcp.ElicitResult)
	if !ok {
		return nil
	}
	return &tool.Reply{Action: r.Action, Content: r.Content}
}

// ask asks for the human's consent. The SDK makes of it what the client's era of the
// protocol wants.
func ask(q tool.Question) *mcp.CallToolResult {
	field, schema := tool.YesField, &jsonschema.Schema{Type: "boolean", Title: "Yes, do it"}
	if q.Typed {
		field, schema = tool.NameField, &jsonschema.Schema{Type: "string", Title: "Its name or vmid"}
	}
	return &mcp.CallToolResult{
		RequestState: q.State,
		InputRequests: mcp.InputRequestMap{questionID: &mcp.ElicitParams{
			Mode: "form", Message: q.Message,
			RequestedSchema: &jsonschema.Schema{
				Type: "object", Properties: map[string]*jsonschema.Schema{field: schema}, Required: []string{field},
			},
		}},
	}
}

// patient gives up a question to a human whose answer would no longer count, so that no
// call waits without end for a client that is gone.
func patient(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if method != "elicitation/create" {
			return next(ctx, method, req)
		}
		asking, cancel := context.WithTimeout(ctx, tool.ConsentTime)
		defer cancel()
		res, err := next(asking, method, req)
		if errors.Is(asking.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			return &mcp.ElicitResult{Action: "cancel"}, nil
		}
		return res, err
	}
}
