// Package packages makes what a release is made of, and lets those read it for whom it is:
// goreleaser, MCPB's own tool, Claude Code, dpkg, and the schema of the MCP Registry.
package packages
