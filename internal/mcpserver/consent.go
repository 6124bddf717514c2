package mcpserver

import (
	"context"
	"errors"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// questionID is the name of the one question that a call asks.
const questionID = "consent"

// canAsk reports whether a client can ask its human to fill in a form.
func canAsk(req *mcp.CallToolRequest) bool {
	c := req.ClientCapabilities()
	return c != nil && c.Elicitation != nil && (c.Elicitation.Form != nil || c.Elicitation.URL == nil)
}

// secretsID is the name of the page on which the human types secrets.
const secretsID = "secrets"

// canOpenPage reports whether a client can send its human to a page.
func canOpenPage(req *mcp.CallToolRequest) bool {
	c := req.ClientCapabilities()
	return c != nil && c.Elicitation != nil && c.Elicitation.URL != nil
}

// reply is what the human said to the question of an earlier round, nil if there was
// none.
func reply(req *mcp.CallToolRequest) *tool.Reply {
	r, ok := req.Params.InputResponses[questionID].(*mcp.ElicitResult)
	if !ok { // only secrets were asked for
		r, ok = req.Params.InputResponses[secretsID].(*mcp.ElicitResult)
	}
	if !ok {
		return nil
	}
	problem, _ := r.Meta[problemKey].(string)
	return &tool.Reply{Action: r.Action, Content: r.Content, Problem: problem}
}

// ask asks for the human's consent. The SDK makes of it what the client's era of the
// protocol wants.
func ask(q tool.Question, pages *secretPages) (*mcp.CallToolResult, error) {
	asked := mcp.InputRequestMap{}
	if !q.OnlySecrets {
		asked[questionID] = consentForm(q)
	}
	if q.Secrets != nil {
		page, err := pages.open(q)
		if err != nil {
			return nil, err
		}
		asked[secretsID] = page
	}
	return &mcp.CallToolResult{RequestState: q.State, InputRequests: asked}, nil
}

// consentForm is the form in which the human consents.
func consentForm(q tool.Question) *mcp.ElicitParams {
	field, schema := tool.YesField, &jsonschema.Schema{Type: "boolean", Title: "Yes, do it"}
	if q.Typed {
		field, schema = tool.NameField, &jsonschema.Schema{Type: "string", Title: "Its name or vmid"}
	}
	return &mcp.ElicitParams{
		Mode: "form", Message: q.Message,
		RequestedSchema: &jsonschema.Schema{
			Type: "object", Properties: map[string]*jsonschema.Schema{field: schema}, Required: []string{field},
		},
	}
}

// problemKey is the key under which a question that was not answered says why.
const problemKey = "pve-mcp/problem"

// asking makes an answer of whatever comes of a question to a human, so that the tool hears
// of it, and records it: an error of the client, and silence for so long that an answer would
// no longer count, since no call waits without end for a client that is gone.
func asking(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if method != "elicitation/create" {
			return next(ctx, method, req)
		}
		asking, cancel := context.WithTimeout(ctx, change.ConsentTime)
		defer cancel()
		res, err := next(asking, method, req)
		switch answer, ok := res.(*mcp.ElicitResult); {
		case errors.Is(asking.Err(), context.DeadlineExceeded) && ctx.Err() == nil:
			return &mcp.ElicitResult{Action: "cancel"}, nil
		case err != nil:
			return &mcp.ElicitResult{Action: "cancel", Meta: mcp.Meta{problemKey: problemOf(err)}}, nil
		case ok && answer.Action == "accept" && !fits(answer.Content, req.GetParams()):
			return &mcp.ElicitResult{Action: "accept"}, nil // the SDK would fail the call
		}
		return res, err
	}
}

// problemOf is what a client said that could not ask.
func problemOf(err error) string {
	var said *jsonrpc.Error
	if errors.As(err, &said) {
		return "its client answered: " + said.Message
	}
	return err.Error()
}

// fits reports whether an answer has the form that was asked for.
func fits(content map[string]any, params mcp.Params) bool {
	asked, ok := params.(*mcp.ElicitParams)
	if !ok {
		return true
	}
	schema, ok := asked.RequestedSchema.(*jsonschema.Schema)
	if !ok {
		return true
	}
	resolved, err := schema.Resolve(nil)
	return err == nil && resolved.Validate(content) == nil
}
