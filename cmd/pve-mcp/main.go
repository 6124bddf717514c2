// Command pve-mcp lets an AI assistant, through the Model Context Protocol, and its
// human run Proxmox VE.
package main

import (
	"os"

	"github.com/pve-mcp/pve-mcp/internal/cli"
)

func main() { os.Exit(cli.Main()) }
