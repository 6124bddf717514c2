package evals

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

var (
	every = flag.Bool("every", false, "play every task, as make evals does, instead of some")
	only  = flag.String("task", "", "play the tasks whose name has this in it")
	show  = flag.Bool("show", false, "print each answer")

	update = flag.Bool("update", false, "write docs/recipes.md anew")
)

func tasks(t *testing.T) []Task {
	t.Helper()
	all, err := Load(os.DirFS("tasks"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// chosen are the tasks of this run: a fixed part of them, unless all are wanted.
func chosen(t *testing.T) []Task {
	part := effort.Of(uint32(20), 5, 1)
	if *every || *only != "" {
		part = 1
	}
	return slices.DeleteFunc(tasks(t), func(task Task) bool {
		h := fnv.New32a()
		_, _ = h.Write([]byte(task.Metadata.Name))
		return h.Sum32()%part != 0 || !strings.Contains(task.Metadata.Name, *only)
	})
}

// The reference solution of a task does what was asked, within the task's bounds, and the
// check catches the wrong one.
func TestTasks(t *testing.T) {
	all := chosen(t)
	measured, calls, size := make([]string, len(all)), atomic.Int64{}, atomic.Int64{}
	t.Run("all", func(t *testing.T) {
		for i, task := range all {
			t.Run(task.Metadata.Name, func(t *testing.T) {
				t.Parallel()
				p := playThrough(t, task, task.Spec.Reference)
				for _, wrong := range p.wrong {
					t.Errorf("the reference: %s", wrong)
				}
				b := task.Spec.Bounds
				if p.calls > b.Calls || p.bytes > b.Bytes {
					t.Errorf("the reference takes %d calls and %d bytes, over %d and %d", p.calls, p.bytes, b.Calls, b.Bytes)
				}
				calls.Add(int64(p.calls))
				size.Add(int64(p.bytes))
				caught := "caught"
				if w := playThrough(t, task, task.Spec.Wrong); len(w.wrong) == 0 {
					caught = "NOT CAUGHT"
					t.Errorf("the check accepts a wrong solution: %s", task.Spec.Wrong.Why)
				}
				verdict := "pass"
				if t.Failed() {
					verdict = "FAIL"
				}
				measured[i] = fmt.Sprintf("%s\t%d\t%d\t%s\t%s", task.Metadata.Name, p.calls, p.bytes, verdict, caught)
			})
		}
	})
	table := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "task\tcalls\tbytes\treference\twrong solution")
	for _, line := range measured {
		_, _ = fmt.Fprintln(table, line)
	}
	_, _ = fmt.Fprintf(table, "%d tasks\t%d\t%d\n", len(all), calls.Load(), size.Load())
	_ = table.Flush()
}

// played is what came of a solution.
type played struct {
	calls, bytes int
	wrong        []string
}

// There are tasks of every kind: all sixty of the commonest requests, on clusters of each size,
// with faults.
func TestTaskSet(t *testing.T) {
	all := tasks(t)
	count := map[string]int{}
	for _, task := range all {
		start := task.Spec.Setup[0].Start
		count["preset "+start.Preset]++
		count["ask "+task.Metadata.Labels["ask"]]++
		if len(start.Faults) > 0 {
			count["faults"]++
		}
	}
	want := map[string]int{"preset lab": 5, "preset cluster": 50, "preset thirty": 5, "preset thirty-healthy": 1, "faults": 5}
	for ask := range 60 {
		want[fmt.Sprint("ask ", ask+1)] = 1
	}
	for what, least := range want {
		if count[what] < least {
			t.Errorf("%s: %d tasks, want %d", what, count[what], least)
		}
	}
	if len(all) < 100 {
		t.Errorf("%d tasks, want 100", len(all))
	}
}

// playThrough makes the calls of a solution on a cluster of its own, and checks what came of
// them. It fails the test if a call fails that should not.
func playThrough(t *testing.T, task Task, s Solution) (p played) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if p, err = play(t, task, s); err != nil {
			t.Error(err)
			p.wrong = append(p.wrong, err.Error())
		}
	})
	return p
}

func play(t *testing.T, task Task, s Solution) (p played, err error) {
	start := task.Spec.Setup[0].Start
	m, err := start.Model()
	if err != nil {
		return p, err
	}
	cfg, err := config.Simulated(start.Environ())
	if err != nil {
		return p, err
	}
	var waiting atomic.Int64
	w := sim.New(t, sim.Options{Model: &m, Token: AgentToken, Policy: cfg.Policy, Waiting: func(change int) { waiting.Add(int64(change)) }})
	defer w.Sim.Close()
	w.Host.FilesDir = t.TempDir()
	player := &player{T: t, human: s.Human, asked: []string{}}
	ours, theirs := mcp.NewInMemoryTransports()
	selection := toolset.Selection{Policy: cfg.Policy, Toolsets: cfg.Toolsets, Tools: cfg.Tools}
	session, err := mcpserver.New(mcpserver.Options{Version: "evals", Host: w.Host, Selection: selection}).Connect(t.Context(), theirs, nil)
	if err != nil {
		return p, err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "evals", Version: "1"}, &mcp.ClientOptions{ElicitationHandler: player.ask})
	if player.client, err = client.Connect(t.Context(), ours, nil); err == nil {
		err = player.makeCalls(s.Calls)
		for quiet := 0; quiet < 2; quiet++ { // what goes on in the background ends, step by step
			if _, busy := w.Sim.Model(); busy != nil || waiting.Load() > 0 {
				quiet = 0
			}
			time.Sleep(10 * time.Second)
		}
		err = errors.Join(err, player.client.Close())
	}
	if err = errors.Join(err, session.Wait()); err != nil {
		return p, err
	}
	p = played{calls: len(s.Calls), bytes: player.bytes}
	answer := player.last
	if s.Answer != "" {
		if answer, err = filled(s.Answer, player.answers); err != nil {
			return p, err
		}
	}
	p.wrong = task.Verify(t.Context(), Result{Sim: w.Sim, Model: m, Answer: answer, Asked: player.asked})
	return p, nil
}

// player is a client that makes the calls of a solution, and its human.
type player struct {
	*testing.T
	client  *mcp.ClientSession
	human   string
	asked   []string
	args    map[string]any // of the call under way
	answers []any          // structured ones
	last    string
	bytes   int
}

// ask answers a question as its human does, who types the id if the name is wanted.
func (p *player) ask(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
	p.asked = append(p.asked, req.Params.Message)
	if p.human == "decline" {
		return &mcp.ElicitResult{Action: "decline"}, nil
	}
	content := map[string]any{tool.YesField: true}
	if schema, _ := json.Marshal(req.Params.RequestedSchema); strings.Contains(string(schema), `"`+tool.NameField+`"`) {
		content = map[string]any{tool.NameField: shown(p.args["vmid"])}
	}
	return &mcp.ElicitResult{Action: "accept", Content: content}, nil
}

func (p *player) makeCalls(calls []Call) error {
	for _, c := range calls {
		if err := p.call(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) call(c Call) error {
	args, err := c.filled(p.answers)
	if err != nil {
		return err
	}
	p.args = args
	sent, err := json.Marshal(args)
	if err != nil {
		return err
	}
	res, err := p.client.CallTool(p.Context(), &mcp.CallToolParams{Name: c.Tool, Arguments: args})
	var said strings.Builder
	failed := err != nil
	if err != nil {
		said.WriteString(err.Error())
	} else {
		failed = res.IsError
		for _, content := range res.Content {
			switch content := content.(type) {
			case *mcp.TextContent:
				said.WriteString(content.Text)
			case *mcp.ImageContent:
				p.bytes += len(content.Data)
			}
		}
	}
	if *show {
		p.Logf("%s %s\n%s", c.Tool, sent, said.String())
	}
	if failed != c.Fails {
		return fmt.Errorf("%s %s: failed: %v, want %v: %s", c.Tool, sent, failed, c.Fails, said.String())
	}
	p.last = said.String()
	p.bytes += len(c.Tool) + len(sent) + len(p.last)
	var answer any
	_ = json.Unmarshal([]byte(p.last), &answer) // an answer with an image has text alone
	p.answers = append(p.answers, answer)
	return nil
}
