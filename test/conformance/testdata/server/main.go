// The program serves what the conformance suite wants to see (the fixtures of the SDK's
// own conformance server, which are compiled in beside this file) over the HTTP stack of
// pve-mcp.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	capabilities := &mcp.ServerCapabilities{}
	capabilities.AddExtension(mcptask.Extension, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "pve-mcp conformance", Version: "1"}, &mcp.ServerOptions{
		CompletionHandler: completionHandler, SubscribeHandler: subscribeHandler, UnsubscribeHandler: unsubscribeHandler,
		Capabilities: capabilities,
	})
	registerTools(server)
	registerResources(server)
	registerPrompts(server)
	registerTasks(server)
	go watchedResourceUpdater(ctx, server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "http://%v%s\n", l.Addr(), mcphttp.Path)
	if err := mcphttp.Serve(ctx, l, mcphttp.Options{Server: server}); err != nil {
		log.Fatal(err)
	}
}
