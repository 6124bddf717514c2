package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"pve-mcp/internal/guard"
	"pve-mcp/internal/server"
	"pve-mcp/internal/tool"
	"pve-mcp/pvesim"
)

// speed is how much faster than time the demo's cluster lives.
const speed = 6

// Run tells a short story to w: what an assistant sees of a simulated cluster, by a
// real MCP client that is connected to the real server in process.
func Run(ctx context.Context, w io.Writer, version string) error {
	model := pvesim.Cluster()
	sim, err := pvesim.New(model, pvesim.Options{Clock: pvesim.Scaled(speed)})
	if err != nil {
		return err
	}
	s := &story{Context: ctx, out: w}
	s.say("pve-mcp demo: a real MCP client and the real server, on a %v.\nIt needs no network and reads no configuration; the cluster lives %d times as fast as time.", sim, speed)
	for _, part := range []struct {
		policy guard.Policy
		tell   func(*story)
	}{
		{guard.Policy{}, (*story).operate},
		{guard.Policy{ReadOnly: true}, (*story).lookOnly},
	} {
		host, err := Host(sim.URL(), sim.Transport(), model.Token(TokenID), part.policy)
		if err != nil {
			return err
		}
		host.Wait = 20 * time.Second
		if err := s.connect(host, version, part.tell); err != nil {
			return err
		}
	}
	s.say("\nThat is all. Next: configure PVE_HOST, PVE_TOKEN_ID and PVE_TOKEN_SECRET (README), or add --demo to any command.")
	return s.err
}

// story is a conversation that is shown while it happens.
type story struct {
	context.Context
	out    io.Writer
	client *mcp.ClientSession
	step   int
	err    error // the first failure to write, or to get an answer at all
}

// connect tells a part of the story over a connection of its own.
func (s *story) connect(host tool.Host, version string, tell func(*story)) error {
	ours, theirs := mcp.NewInMemoryTransports()
	session, err := server.New(server.Options{Version: version, Host: host}).Connect(s, theirs, nil)
	if err != nil {
		return err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "demo", Version: version}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			s.say("   … %s", req.Params.Message)
		},
	})
	if s.client, err = client.Connect(s, ours, nil); err != nil {
		return err
	}
	tell(s)
	return errors.Join(s.client.Close(), session.Wait())
}

func (s *story) operate() {
	s.head("What runs here? The three busiest guests")
	s.call("pve_list_guests", map[string]any{"status": "running", "sort": "cpu", "limit": 3})
	s.head("One of them, live")
	s.call("pve_guest_status", map[string]any{"vmid": 104})
	s.head("Shut it down, and see it happen")
	s.call("pve_guest_power", map[string]any{"vmid": 104, "action": "shutdown"})
	s.head("Start a VM whose disk is gone: a failed task is a failure, and says why")
	s.call("pve_guest_power", map[string]any{"vmid": 105, "action": "start"})
	s.head("An id that does not exist")
	s.call("pve_guest_status", map[string]any{"vmid": 110})
}

func (s *story) lookOnly() {
	s.head("The same server with PVE_MCP_READ_ONLY=true: a write does not exist")
	s.call("pve_guest_power", map[string]any{"vmid": 100, "action": "stop"})
}

func (s *story) head(text string) {
	s.step++
	s.say("\n%d. %s", s.step, text)
}

// call shows a call and its answer.
func (s *story) call(name string, args map[string]any) {
	s.say("   → %s %s", name, compact(args))
	params := &mcp.CallToolParams{Name: name, Arguments: args}
	params.SetProgressToken(fmt.Sprintf("step-%d", s.step))
	res, err := s.client.CallTool(s, params)
	if err != nil {
		s.say("   ← refused: %v", err)
		s.err = errors.Join(s.err, s.Err()) // that of a cancelled demo
		return
	}
	text := res.Content[0].(*mcp.TextContent).Text
	if res.IsError {
		s.say("   ← error")
	} else {
		s.say("   ← answer")
	}
	s.say("%s", outline(text))
}

func (s *story) say(format string, args ...any) {
	if _, err := fmt.Fprintf(s.out, format+"\n", args...); err != nil && s.err == nil {
		s.err = err
	}
}

func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
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
