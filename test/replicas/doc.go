// Package replicas lets three processes of pve-mcp http serve one endpoint behind Debian's
// nginx, with the configuration that is shipped, and a simulated cluster behind them.
package replicas
