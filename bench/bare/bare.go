// Package bare is the least MCP server that the SDK makes, with one tool. What it takes to
// start, to be idle and to answer is the price of the SDK and of Go.
package bare

import (
	"context"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type in struct {
	Text  string `json:"text" jsonschema:"what to say again"`
	Times int    `json:"times,omitzero" jsonschema:"how often, one after the other"`
}

type out struct {
	Text string `json:"text"`
}

// Server has the tool echo.
func Server() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "bare", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "echo", Description: "Says it again."}, func(_ context.Context, _ *mcp.CallToolRequest, in in) (*mcp.CallToolResult, out, error) {
		return nil, out{strings.Repeat(in.Text, in.Times)}, nil
	})
	return s
}

// Handler serves Server over Streamable HTTP without sessions, as pve-mcp http serves the
// stateless protocol.
func Handler() http.Handler {
	s := Server()
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{
		Stateless: true, PropagateRequestCancellation: true, DisableLocalhostProtection: true,
	})
}
