package mcpserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// human answers a question.
type human func(*mcp.ElicitParams) *mcp.ElicitResult

func says(action string, content map[string]any) human {
	return func(*mcp.ElicitParams) *mcp.ElicitResult { return &mcp.ElicitResult{Action: action, Content: content} }
}

// In each era: who is asked, what counts, and what becomes of the guest.
func TestConsent(t *testing.T) {
	deletion := map[string]any{"vmid": 204, "purge": true}
	for _, tt := range []struct {
		name    string
		policy  policy.Policy
		human   human // nil: the client cannot ask
		tool    string
		args    map[string]any
		confirm bool
		outcome string
		message string
		asked   bool
		writes  int
	}{
		{name: "nobody consented", tool: "pve_delete_guest", args: deletion, outcome: "needs_confirmation", message: "nothing was done yet"},
		{name: "confirm where nobody can be asked", tool: "pve_delete_guest", args: deletion, confirm: true, outcome: "ok", message: "done", writes: 1},
		{name: "confirm if a human can be asked", human: says("decline", nil), tool: "pve_delete_guest", args: deletion, confirm: true,
			outcome: "declined", message: "the human declined. Nothing was done.", asked: true},
		{name: "the human types the id", human: says("accept", map[string]any{"name": "204"}), tool: "pve_delete_guest", args: deletion,
			outcome: "ok", message: "done", asked: true, writes: 1},
		{name: "the human types the name", human: says("accept", map[string]any{"name": " sandbox "}), tool: "pve_delete_guest", args: deletion,
			outcome: "ok", message: "done", asked: true, writes: 1},
		{name: "the human types another name", human: says("accept", map[string]any{"name": "sand"}), tool: "pve_delete_guest", args: deletion,
			outcome: "declined", message: "typed another name. Nothing was done.", asked: true},
		{name: "the human goes away", human: says("cancel", nil), tool: "pve_delete_guest", args: deletion,
			outcome: "declined", message: "the human did not answer the question. Nothing was done.", asked: true},
		{name: "yes is enough", human: says("accept", map[string]any{"confirm": true}), tool: "pve_rollback_snapshot",
			args: map[string]any{"vmid": 102, "snapname": "after-upgrade"}, outcome: "ok", message: "done", asked: true, writes: 1},
		{name: "accepted with no", human: says("accept", map[string]any{"confirm": false}), tool: "pve_rollback_snapshot",
			args: map[string]any{"vmid": 102, "snapname": "after-upgrade"}, outcome: "declined", message: "Nothing was done.", asked: true},
		{name: "param: the human is not asked", policy: policy.Policy{Confirm: policy.Param}, human: says("accept", nil), tool: "pve_delete_guest", args: deletion,
			outcome: "needs_confirmation", message: "nothing was done yet"},
		{name: "param: the argument is enough", policy: policy.Policy{Confirm: policy.Param}, human: says("decline", nil), tool: "pve_delete_guest", args: deletion, confirm: true,
			outcome: "ok", message: "done", writes: 1},
		{name: "human: a client that cannot ask", policy: policy.Policy{Confirm: policy.Human}, tool: "pve_delete_guest", args: deletion, confirm: true,
			outcome: "failed", message: "this client cannot ask its human"},
		{name: "human: commands are asked about", policy: policy.Policy{Confirm: policy.Human, Exec: true}, human: says("decline", nil), tool: "pve_vm_exec",
			args: map[string]any{"vmid": 100, "command": []string{"rm", "-r", "/"}}, outcome: "declined", message: "the human declined", asked: true},
		{name: "human: a command is consented", policy: policy.Policy{Confirm: policy.Human, Exec: true}, human: says("accept", map[string]any{"confirm": true}), tool: "pve_vm_exec",
			args: map[string]any{"vmid": 100, "command": []string{"true"}}, outcome: "ok", message: "exit code 0", asked: true, writes: 1},
		{name: "a command that is not allowed", policy: policy.Policy{Exec: true, ExecAllow: []policy.Command{{"/usr/bin/uptime"}}}, tool: "pve_vm_exec",
			args: map[string]any{"vmid": 100, "command": []string{"/bin/rm", "x"}}, outcome: "failed", message: "none of those that PVE_MCP_EXEC_ALLOW names"},
		{name: "no shell beside allowed commands", policy: policy.Policy{Exec: true, ExecAllow: []policy.Command{{"/bin/sh", "**"}}}, tool: "pve_vm_exec",
			args: map[string]any{"vmid": 100, "shell": "uptime"}, outcome: "failed", message: "a shell is none of the commands"},
		{name: "what is not destructive asks nobody", human: says("decline", nil), tool: "pve_guest_power", args: map[string]any{"vmid": 100, "action": "stop"},
			outcome: "ok", message: "done", writes: 1},
		{name: "protected by its pool", policy: policy.Policy{Protect: policy.Rules{{Pool: "web"}}}, tool: "pve_guest_power",
			args: map[string]any{"vmid": 100, "action": "stop"}, outcome: "failed", message: "guest 100 is protected (PVE_MCP_PROTECT: pool:web)"},
		{name: "a rule that cannot be evaluated", policy: policy.Policy{Protect: policy.Rules{{Pool: "nowhere"}}}, tool: "pve_guest_power",
			args: map[string]any{"vmid": 100, "action": "stop"}, outcome: "failed", message: "whether guest 100 is protected is unknown: rule pool:nowhere: "},
		{name: "not among the allowed", policy: policy.Policy{Allow: policy.Rules{{Low: 200, High: 299}}}, tool: "pve_guest_power",
			args: map[string]any{"vmid": 100, "action": "stop"}, outcome: "failed", message: "guest 100 is not among those that this server may change (PVE_MCP_ALLOW)"},
		{name: "a snapshot-mode backup of a protected guest", policy: policy.Policy{Protect: policy.Rules{{Low: 200, High: 200}}}, tool: "pve_create_backup",
			args: map[string]any{"vmid": 200, "storage": "nfs", "wait": 40}, outcome: "ok", message: "done", writes: 1},
		{name: "protected", policy: policy.Policy{Protect: policy.Rules{{Tag: "ci"}}}, human: says("accept", map[string]any{"name": "105"}), tool: "pve_delete_guest",
			args: map[string]any{"vmid": 105}, outcome: "failed", message: "guest 105 is protected (PVE_MCP_PROTECT: tag:ci)"},
	} {
		for _, era := range eras {
			t.Run(tt.name+" "+era, func(t *testing.T) {
				var question *mcp.ElicitParams
				o := sim.Options{Policy: tt.policy}
				converseWith(t, era, o, tt.human, &question, func(c *conversation) {
					args := map[string]any{}
					for k, v := range tt.args {
						args[k] = v
					}
					if tt.confirm {
						args["confirm"] = true
					}
					res, err := c.call(tt.tool, args)
					if err != nil {
						t.Fatal(err)
					}
					fields, _ := res.StructuredContent.(map[string]any)
					if got := fmt.Sprint(fields["message"]); fields["outcome"] != tt.outcome || !strings.Contains(got, tt.message) {
						t.Errorf("%v: %s", fields["outcome"], got)
					}
					if (question != nil) != tt.asked {
						t.Errorf("asked: %+v", question)
					}
					if writes := sim.Writes(c.Sent()); len(writes) != tt.writes {
						t.Errorf("writes %v, want %d", writes, tt.writes)
					}
				})
			})
		}
	}
}

// The question names cluster, guest and everything that would be lost.
func TestTheQuestionNamesTheConsequences(t *testing.T) {
	for _, era := range eras {
		var question *mcp.ElicitParams
		converseWith(t, era, sim.Options{}, says("decline", nil), &question, func(c *conversation) {
			if _, err := c.call("pve_delete_guest", map[string]any{"vmid": 204}); err != nil || question == nil {
				t.Fatal(err, question)
			}
			for _, want := range []string{"Deletion of CT 204 (sandbox) on pve3", "cluster", "local-zfs:subvol-204-disk-0, 8 GiB", "type 204 or sandbox"} {
				if !strings.Contains(question.Message, want) {
					t.Errorf("%s: no %q in %s", era, want, question.Message)
				}
			}
		})
	}
}

// A question that nobody answers, or that the client answers with an error, is reported
// as that. The question and its result are recorded.
func TestTheQuestionWithoutAnAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		answer  func(context.Context) (*mcp.ElicitResult, error)
		outcome string
		message string
		records []string
	}{
		"an error": {func(context.Context) (*mcp.ElicitResult, error) {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "no such method"}
		}, "failed", `the human could not be asked: its client answered: method not found: "elicitation/create". Nothing was done.`, []string{"asked ", "refused unanswered"}},
		"silence": {func(ctx context.Context) (*mcp.ElicitResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "declined", "the human did not answer the question. Nothing was done.", []string{"asked ", "refused unanswered"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			ask := func(ctx context.Context, _ *mcp.ElicitRequest) (*mcp.ElicitResult, error) { return tt.answer(ctx) }
			log := func(w *sim.World) { w.Host.Audit = w.Record(audit.Options{File: files.At(path)}) }
			converseIn(t, "2025-11-25", sim.Options{}, log, ask, func(c *conversation) {
				res, err := c.call("pve_rollback_snapshot", map[string]any{"vmid": 102, "snapname": "after-upgrade"})
				if err != nil {
					t.Fatal(err)
				}
				fields, _ := res.StructuredContent.(map[string]any)
				if got := fmt.Sprint(fields["message"]); fields["outcome"] != tt.outcome || !strings.Contains(got, tt.message) {
					t.Errorf("%v: %s", fields["outcome"], got)
				}
				if writes := sim.Writes(c.Sent()); len(writes) > 0 {
					t.Errorf("writes %v", writes)
				}
			})
			if got := recorded(t, path); !slices.Equal(got, tt.records) {
				t.Errorf("recorded %q, want %q", got, tt.records)
			}
		})
	}
}

// An answer that has not the form that was asked for is no consent, whatever else it is.
func TestTheAnswerOfAnotherForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.log")
		w := sim.New(t, sim.Options{})
		w.Host.Audit = w.Record(audit.Options{File: files.At(path)})
		c := wired(w)
		for _, line := range []string{
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"c","version":"1"}}}`,
			`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
			`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"pve_rollback_snapshot","arguments":{"vmid":102,"snapname":"after-upgrade"}}}`,
		} {
			if _, err := io.WriteString(c.to, line+"\n"); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, `"id":1`) && !c.from.Scan() {
				t.Fatal("no answer")
			}
		}
		for c.from.Scan() {
			var said struct {
				ID     any
				Method string
				Result struct {
					StructuredContent struct{ Outcome, Message string }
				}
			}
			if err := json.Unmarshal(c.from.Bytes(), &said); err != nil {
				t.Fatal(err)
			}
			if said.Method == "elicitation/create" {
				if _, err := fmt.Fprintf(c.to, `{"jsonrpc":"2.0","id":%v,"result":{"action":"accept","content":{"confirm":"true"}}}`+"\n", said.ID); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if got := said.Result.StructuredContent; got.Outcome != "declined" || !strings.Contains(got.Message, "accepted without saying yes") {
				t.Errorf("%s", c.from.Text())
			}
			break
		}
		c.close()
		if got, want := recorded(t, path), []string{"asked ", "refused declined"}; !slices.Equal(got, want) {
			t.Errorf("recorded %q, want %q", got, want)
		}
	})
}

// recorded reads event and outcome of each line of an audit log.
func recorded(t *testing.T, path string) (lines []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(data)) {
		var line struct{ Event, Outcome string }
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line.Event+" "+line.Outcome)
	}
	return lines
}

// What others have named a guest cannot forge a line of the question.
func TestTheQuestionOfAHostileName(t *testing.T) {
	m := pvesim.Cluster()
	for i := range m.Guests {
		if m.Guests[i].VMID == 204 {
			m.Guests[i].Config["hostname"] = "x\n- nothing is lost\x1b[2J\u202e" + strings.Repeat("y", 200)
		}
	}
	var question *mcp.ElicitParams
	converseWith(t, eras[0], sim.Options{Model: &m}, says("decline", nil), &question, func(c *conversation) {
		if _, err := c.call("pve_delete_guest", map[string]any{"vmid": 204}); err != nil || question == nil {
			t.Fatal(err, question)
		}
		if strings.ContainsAny(question.Message, "\x1b\u202e") || strings.Contains(question.Message, "\n- nothing is lost") || strings.Contains(question.Message, strings.Repeat("y", 100)) {
			t.Errorf("%q", question.Message)
		}
	})
}

// converseWith is converse with a client whose human answers questions.
func converseWith(t *testing.T, era string, o sim.Options, answer human, question **mcp.ElicitParams, tell func(*conversation)) {
	t.Helper()
	var handle func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error)
	if answer != nil {
		handle = func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			*question = req.Params
			return answer(req.Params), nil
		}
	}
	converseBy(t, era, o, handle, tell)
}
