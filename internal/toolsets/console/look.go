package console

import (
	"context"
	"errors"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// lookArguments are those of what is to be seen.
type lookArguments struct {
	WaitFor string `json:"wait_for,omitzero" jsonschema:"a text, or 5s: until nothing changes for 5 s"`
	Picture bool   `json:"picture,omitzero" jsonschema:"a PNG of text, too"`
	Serial  bool   `json:"serial,omitzero" jsonschema:"a VM's serial port"`
	change.TimeoutArgument
}

type lookIn struct {
	VMID pve.VMID `json:"vmid"`
	lookArguments
}

type lookState struct {
	lookIn
	Source source `json:"source"`
	Seen   seen   `json:"seen"`
}

func look() tool.Tool {
	return change.New(change.Spec[lookIn, lookState, out]{
		Name:  "pve_console",
		Title: "Show a guest's screen",
		Doc:   "Show the screen of a VM or console of a container (boot, login, kernel panic): its text, or a screenshot (PNG).",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100}`},
		},
		Idempotent: true,
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Console"),
		},
		Plan:  planLook,
		Start: startLook,
		Finish: func(_ context.Context, c *tool.Call, s lookState, _ change.End) (out, error) {
			return s.Seen.answer(c, s.Source), nil
		},
	})
}

func planLook(ctx context.Context, c *tool.Call, in lookIn) (change.Plan, lookState, error) {
	s := lookState{lookIn: in}
	var err error
	if s.Source, err = find(ctx, c, in.VMID, in.Serial); err != nil {
		return change.Plan{}, s, err
	}
	if err := s.Source.checkLook(c); err != nil {
		return change.Plan{}, s, err
	}
	plan := change.Plan{Subject: policy.Guest(in.VMID), About: "Look at the console of " + s.Source.Label}
	if s.Source.mayBeShell() {
		plan.Risk, plan.Consequences = policy.Exec, []string{"it may be a shell of root; nothing is typed there"}
		if c.Host().Policy.Confirm == policy.Human {
			plan.Target = s.Source.target()
		}
	}
	return plan, s, nil
}

func startLook(ctx context.Context, c *tool.Call, s *lookState) (job change.Job, err error) {
	d, err := open(ctx, c, s.Source)
	if err != nil {
		return job, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	s.Seen, err = s.watch(ctx, c, s.Source, d, goalOf(s.WaitFor))
	return job, err
}

// watch says what a console shows once a goal is reached, or the time for that is over.
func (in lookArguments) watch(ctx context.Context, c *tool.Call, src source, d display, g goal) (seen, error) {
	most := c.Patience(in.Timeout)
	v, reached := d.see(), true
	if !g.none() {
		var err error
		if v, reached, err = watchFor(ctx, c, d, g, most); err != nil {
			return seen{}, explainScreen(src, err)
		}
	}
	s, err := seenOf(v, in.Picture)
	if !reached {
		s.Missed = g.missed(most)
	}
	return s, err
}
