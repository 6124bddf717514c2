// Packaging makes what a release has besides programs: bundles for Claude Desktop, and
// the entry in the MCP Registry. Only server.json names the publisher.
//
//	go run ./packaging env                  # variables for goreleaser
//	go run ./packaging mcpb --os linux --version 1.2.3 --binary FILE --out FILE.mcpb
//	go run ./packaging server --dist dist
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say env, mcpb or server")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	version := flags.String("version", "", "of the release, without a v")
	system := flags.String("os", "", "GOOS of the program")
	binary := flags.String("binary", "", "the program")
	out := flags.String("out", "", "the bundle to be written")
	dist := flags.String("dist", "dist", "folder with what goreleaser has made")
	snapshot := flags.Bool("snapshot", false, "nobody publishes it")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	server, err := readServer("server.json")
	if err != nil {
		return err
	}
	switch args[0] {
	case "env":
		publisher, err := server.publisher(*snapshot)
		if err != nil {
			return err
		}
		fmt.Printf("SERVER_NAME=%s\nPUBLISHER=%s\n", server.Name, publisher)
		return nil
	case "mcpb":
		return bundle(*system, *version, *binary, *out)
	case "server":
		if _, err := server.publisher(false); err != nil {
			return err
		}
		if err := server.release(*dist); err != nil {
			return err
		}
		return server.write(filepath.Join(*dist, "server.json"))
	}
	return fmt.Errorf("there is no %s; say env, mcpb or server", args[0])
}
