// Command live runs the tools' stories that can run anywhere against the PVE node in the
// environment, and prints which story passed where: make live. Its arguments, if any, are
// the packages of the stories.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
)

func main() {
	packages := os.Args[1:]
	if len(packages) == 0 {
		packages = []string{"./internal/toolsets/..."}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, packages); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

// run looks whether the run may begin, and has the tests tell the stories, one package after
// the other. An interrupt is for them, too: they clean up before they end.
func run(ctx context.Context, packages []string) error {
	node, err := live.Open(ctx, os.Environ())
	if errors.Is(err, live.ErrNoNode) {
		fmt.Printf("live: skipped: %v. These settings are wanted beside those of pve-mcp:\n%s", err, live.Help())
		return nil
	}
	if err != nil {
		return fmt.Errorf("nothing was begun:\n%w", err)
	}
	fmt.Printf("live: %s, PVE %s, at %s: guests %v, disks on %s\n", node.Node, node.Version, node.Config.Hosts[0], node.IDs, node.Storage)
	for _, warning := range node.Config.Warnings {
		fmt.Println("live:", warning)
	}
	tests := exec.Command("go", append([]string{"test", "-count=1", "-p=1", "-timeout=0", "-v"}, packages...)...)
	tests.Env, tests.Stderr = append(os.Environ(), live.Wanting()), os.Stderr
	out, err := tests.StdoutPipe()
	if err != nil {
		return err
	}
	if err := tests.Start(); err != nil {
		return err
	}
	counted, err := live.Tally(os.Stdout, out)
	if tests.Wait() != nil {
		err = errors.Join(err, errors.New("not all is well, see above"))
	}
	fmt.Printf("live: %s\n", counted)
	return errors.Join(err, ctx.Err())
}
