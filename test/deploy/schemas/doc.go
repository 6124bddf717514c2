// Package schemas reads the files for containers with the libraries of those who read them
// in earnest: Kubernetes' types and its pod security standards, Compose's loader, BuildKit's
// parser. It is a module of its own, because pve-mcp itself needs none of them.
package schemas
