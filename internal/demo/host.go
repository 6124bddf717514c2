// Package demo shows the program on an embedded simulated cluster.
package demo

import (
	"context"
	"net/http"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
	"pve-mcp/pvesim"
)

// TokenID is the token of the simulated cluster that the demo uses.
const TokenID = "ops@pve!mcp"

// Host returns a host for tools whose cluster is simulated, behind a transport.
func Host(url string, wire http.RoundTripper, token pvesim.Token, policy guard.Policy) (tool.Host, error) {
	client, err := pve.New(pve.Options{
		Endpoints: []string{url},
		Token:     pve.Token{ID: token.ID, Secret: pve.NewSecret(token.Secret)},
		Transport: policy.Transport(wire),
		UserAgent: "pve-mcp demo",
	})
	if err != nil {
		return tool.Host{}, err
	}
	return tool.Host{
		Cluster: "simulated",
		Client:  func(context.Context) (*pve.Client, error) { return client, nil },
		Policy:  policy,
		Explain: explain.Explainer{TokenID: token.ID},
	}, nil
}
