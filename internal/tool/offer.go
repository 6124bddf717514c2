package tool

import "github.com/pve-mcp/pve-mcp/internal/policy"

// RefusalOf says why this caller may make no call of some risk, "" where it may.
func (c *Call) RefusalOf(risk policy.Risk) string { return c.req.refusal(c.host.Policy, risk) }
