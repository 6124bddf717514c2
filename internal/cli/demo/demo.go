// Package demo shows the program on an embedded simulated cluster.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// speed is that of the demo's cluster, relative to real time.
const speed = 6

// TokenID is the token that the demo uses.
const TokenID = "ops@pve!mcp"

// Model is the demo's cluster: the simulator's preset, in which the demo's token may also fetch
// images and make guests of them. It may delete files on one storage, for the CDs from which VMs
// boot at first. Its PVE lets a token use the consoles of containers.
func Model() pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = "9.2.0"
	m.Roles = map[string][]string{"Provisioner": {"Datastore.AllocateTemplate", "Sys.AccessNetwork"}}
	user, _, _ := strings.Cut(TokenID, "!")
	for _, who := range []string{user, TokenID} {
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: who, Role: "Provisioner"}, pvesim.ACL{Path: "/storage/local", Who: who, Role: "PVEDatastoreAdmin"})
	}
	return m
}

// Host returns a host whose cluster is simulated, at the other end of a wire.
func Host(url string, wire http.RoundTripper, token pvesim.Token, policy policy.Policy) (tool.Host, error) {
	return Connect(Options(url, wire, token), policy)
}

// Options are those of a client of a simulated cluster, at the other end of a wire.
func Options(url string, wire http.RoundTripper, token pvesim.Token) proxmox.Options {
	return proxmox.Options{
		Endpoints: []string{url},
		Token:     proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)},
		Transport: wire,
		UserAgent: "pve-mcp demo",
	}
}

// Connect returns a host whose cluster is simulated.
func Connect(o proxmox.Options, policy policy.Policy) (tool.Host, error) {
	return toolset.Connect("simulated", o, policy)
}

// Run tells a short story to w: what an assistant sees of a simulated cluster, by a
// real MCP client that is connected to the real server in process.
func Run(ctx context.Context, w io.Writer, version string) error {
	model := Model()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(speed)})
	if err != nil {
		return err
	}
	s := &story{out: w}
	s.say("pve-mcp demo: a real MCP client and the real server, on a %v.\nIt needs no network and reads no configuration; simulated time runs %d times as fast as real time.", sim, speed)
	for _, part := range []struct {
		policy policy.Policy
		tell   func(*story, context.Context)
	}{
		{policy.Policy{}, (*story).operate},
		{policy.Policy{ReadOnly: true}, (*story).lookOnly},
	} {
		host, err := Host(sim.URL(), sim.Transport(), model.Token(TokenID), part.policy)
		if err != nil {
			return err
		}
		if err := s.connect(ctx, host, version, part.tell); err != nil {
			return err
		}
	}
	s.say("\nThat is all. Next: pve-mcp doctor --role operator makes a token, and pve-mcp install tells your client; or add --demo to any command.")
	return s.err
}

// story is a conversation that is shown while it happens.
type story struct {
	client *mcp.ClientSession
	step   int

	mu      sync.Mutex
	out     io.Writer // guarded by mu
	err     error     // the first failure to write; guarded by mu
	waiting string    // progress token of the call under way; guarded by mu
}

// connect tells a part of the story over a connection of its own.
func (s *story) connect(ctx context.Context, host tool.Host, version string, tell func(*story, context.Context)) error {
	ours, theirs := mcp.NewInMemoryTransports()
	session, err := mcpserver.New(mcpserver.Options{Version: version, Host: host}).Connect(ctx, theirs, nil)
	if err != nil {
		return err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "demo", Version: version}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			s.progress(req.Params)
		},
	})
	if s.client, err = client.Connect(ctx, ours, nil); err != nil {
		return err
	}
	tell(s, ctx)
	return errors.Join(s.client.Close(), session.Wait(), ctx.Err())
}

func (s *story) operate(ctx context.Context) {
	s.head("What runs here? The three busiest guests")
	s.call(ctx, "pve_list_guests", map[string]any{"status": "running", "sort": "cpu", "limit": 3})
	s.head("One of them, live")
	s.call(ctx, "pve_guest_status", map[string]any{"vmid": 104})
	s.head("Shut it down, and see it happen")
	s.call(ctx, "pve_guest_power", map[string]any{"vmid": 104, "action": "shutdown"})
	s.head("Start a VM whose disk is gone: a failed task is a failure, and says why")
	s.call(ctx, "pve_guest_power", map[string]any{"vmid": 105, "action": "start"})
	s.head("An id that does not exist")
	s.call(ctx, "pve_guest_status", map[string]any{"vmid": 110})
}

func (s *story) lookOnly(ctx context.Context) {
	s.head("The same server with PVE_MCP_READ_ONLY=true: a write does not exist")
	s.call(ctx, "pve_guest_power", map[string]any{"vmid": 100, "action": "stop"})
}

func (s *story) head(text string) {
	s.step++
	s.say("\n%d. %s", s.step, text)
}

// call shows a call and its answer.
func (s *story) call(ctx context.Context, name string, args map[string]any) {
	data, err := json.Marshal(args)
	if err != nil {
		panic(err) // the arguments stand above
	}
	s.say("   → %s %s", name, data)
	token := fmt.Sprintf("step-%d", s.step)
	params := &mcp.CallToolParams{Name: name, Arguments: args}
	params.SetProgressToken(token)
	s.await(token)
	res, err := s.client.CallTool(ctx, params)
	s.await("")
	if err != nil {
		s.say("   ← refused: %v", err)
		return
	}
	word := "answer"
	if res.IsError {
		word = "error"
	}
	s.say("   ← %s\n%s", word, outline(res.Content[0].(*mcp.TextContent).Text))
}

// await says for which call progress is shown. What arrives after the answer is not.
func (s *story) await(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = token
}

func (s *story) progress(p *mcp.ProgressNotificationParams) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.ProgressToken == s.waiting {
		s.write("   … %s\n", p.Message)
	}
}

func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(format+"\n", args...)
}

// write is called with mu held.
func (s *story) write(format string, args ...any) {
	if _, err := fmt.Fprintf(s.out, format, args...); err != nil && s.err == nil {
		s.err = err
	}
}

// outline writes an answer for a terminal: a line for each field, and for each
// element of a list that is long.
func outline(text string) string {
	const margin, short = "       ", 60
	dec := json.NewDecoder(strings.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return margin + text
	}
	var lines []string
	for dec.More() {
		name, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			return margin + text
		}
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil || len(value) < short {
			lines = append(lines, fmt.Sprintf("%s%v: %s", margin, name, value))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s%v:", margin, name))
		for _, element := range list {
			lines = append(lines, fmt.Sprintf("%s- %s", margin, element))
		}
	}
	return strings.Join(lines, "\n")
}
