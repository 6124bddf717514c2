package sim

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// tellLive tells the stories that can run anywhere on the node of the environment, and says
// of each what came of it. An interrupt ends the process, once it is cleaned up.
func tellLive(t *testing.T, name string, stories []Story) {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // who reads along may be gone before it is cleaned up
	defer func() {
		if ctx.Err() != nil {
			live.Report(live.Failed, name, "interrupted; what was made is removed, unless it says otherwise above")
			os.Exit(1) // no other test of this package may begin
		}
	}()
	node, err := live.Open(ctx, os.Environ())
	if err != nil {
		t.Fatalf("nothing was begun: %v", err)
	}
	for _, s := range stories {
		verdict, remark := s.tellOn(ctx, t, name, node)
		live.Report(verdict, name+": "+s.Name, remark)
	}
	if err := node.CheckEmpty(context.WithoutCancel(ctx)); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// tellOn runs a story on a node, if it can run there, and returns the result.
func (s Story) tellOn(ctx context.Context, t *testing.T, name string, node *live.Node) (v live.Verdict, remark string) {
	if why := s.simOnly(); why != "" {
		return live.SimOnly, why
	}
	if why := s.notHere(name, node); why != "" {
		return live.NotHere, why
	}
	if ctx.Err() != nil {
		return live.NotHere, "it was interrupted before"
	}
	v = live.Failed
	if t.Run(s.Name, func(t *testing.T) { s.live(ctx, t, name, node) }) {
		v = live.Passed
	}
	return v, fmt.Sprintf("on %s, PVE %s", node.Node, node.Version)
}

// live tells a story on a node, with guests that are removed at its end.
func (s Story) live(ctx context.Context, t *testing.T, name string, node *live.Node) {
	t.Cleanup(func() {
		if err := node.Clean(ctx); err != nil {
			t.Errorf("not all could be removed: %v", err)
		}
	})
	vmid, newid := node.IDsOfStory()
	if s.On != NoGuest {
		if err := node.Make(ctx, vmid, s.On.guest()); err != nil {
			t.Fatalf("a %s could not be made: %v", s.On, err)
		}
	}
	host, err := node.Host(s.Policy)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"vmid": vmid.String(), "newid": newid.String()}
	for placeholder := range simulated() {
		if value, _ := node.Value(placeholder); value != "" {
			values[placeholder] = value
		}
	}
	node.Sent()
	s.tell(&World{T: t, Host: host, node: node, ctx: ctx}, name, values)
}

// simOnly returns why a story cannot run anywhere, or "".
func (s Story) simOnly() string {
	switch {
	case s.Fault != (pvesim.Fault{}):
		return "a fault is made to happen"
	case s.Before != nil:
		return "something happens at a certain moment"
	case s.Wire != nil:
		return "an answer that PVE would not give"
	case s.Token != "":
		return "a token with other privileges"
	case s.Model != nil:
		return "a cluster that is made for it"
	case s.On == "":
		return "guests that the simulator has"
	}
	return ""
}

// notHere returns why the node cannot tell a story of a tool, or "".
func (s Story) notHere(name string, node *live.Node) string {
	container := s.On == CT || s.On == RunningCT
	needs := s.placeholders()
	needs["template"] = container
	for placeholder, needed := range needs {
		if value, key := node.Value(placeholder); needed && key != "" && value == "" {
			return key + " is not set"
		}
	}
	if s.On != NoGuest {
		snapshots := strings.Contains(name+" "+s.First, "pve_create_snapshot")
		if why := node.CannotHold(s.On.guest().Kind, snapshots); why != "" {
			return why
		}
	}
	if keeps, typ := node.KeepsBases(); s.Bases != "" && keeps != (s.Bases == KeepsBases) {
		return fmt.Sprintf("it takes a storage that %s, and not %s", s.Bases, typ)
	}
	return ""
}
