// Package memory loads a process of pve-mcp http with as much as its limits let callers
// have under way, and looks at what memory that takes.
package memory
