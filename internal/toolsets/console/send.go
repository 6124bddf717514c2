package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/keyboard"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const sendName = "pve_console_send"

type sendIn struct {
	VMID   pve.VMID `json:"vmid"`
	Text   string   `json:"text,omitzero" jsonschema:"typed first; a new line is Enter"`
	Keys   []string `json:"keys,omitzero" jsonschema:"then keys, such as enter, f2, ctrl-alt-del"`
	Layout string   `json:"layout,omitzero" enum:"us,gb,de,fr,es,it" jsonschema:"the guest's keyboard; default: the VM's option keyboard, or us"`
	lookArguments
}

type sendState struct {
	sendIn
	Source source `json:"source"`
	Seen   seen   `json:"seen"`
	Typed  int    `json:"typed"` // keys
	All    int    `json:"all"`
	Broken string `json:"broken,omitzero"` // why no more were typed
}

func send() tool.Tool {
	return change.New(change.Spec[sendIn, sendState, out]{
		Name:  sendName,
		Title: "Type at a guest's console",
		Doc: "Type text and press keys or enter, such as ctrl-alt-del, at the screen or login prompt of a VM or the terminal of a container; shows what comes " +
			"of it.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100,"keys":["enter"]}`},
		},
		Worst: policy.Exec,
		Risk:  func(sendIn) policy.Risk { return policy.Exec },
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Console"),
		},
		Plan:   planSend,
		Start:  startSend,
		Finish: finishSend,
	})
}

// mostTyped is how many characters are typed at most: a keyboard is slow.
const mostTyped = 1000

func planSend(ctx context.Context, c *tool.Call, in sendIn) (change.Plan, sendState, error) {
	s := sendState{sendIn: in}
	switch {
	case in.Text == "" && len(in.Keys) == 0:
		return change.Plan{}, s, tool.BadArgument("text", "is missing: give text, keys, or both")
	case len(in.Text) > mostTyped || len(in.Keys) > mostTyped:
		return change.Plan{}, s, tool.BadArgument("text", fmt.Sprintf("is too long: at most %d characters are typed, and as many keys", mostTyped))
	case len(c.Host().Policy.ExecAllow) > 0:
		return change.Plan{}, s, &policy.RefusedError{Reason: "what is typed can be any command, and PVE_MCP_EXEC_ALLOW limits commands in guests"}
	}
	var err error
	if s.Source, err = find(ctx, c, in.VMID, in.Serial); err != nil {
		return change.Plan{}, s, err
	}
	if s.Source.Terminal {
		_, err = s.sequences()
	} else {
		_, err = s.chords()
	}
	return change.Plan{
		Subject: policy.Guest(in.VMID), About: "Typing at the console of " + s.Source.Label, Target: s.Source.target(),
		Consequences: []string{"whatever has the keyboard there gets it, a shell of root too"},
	}, s, err
}

// sequences are what is typed into a terminal, in parts.
func (in sendState) sequences() ([]string, error) {
	var out []string
	if in.Text != "" {
		out = append(out, strings.NewReplacer("\r\n", "\r", "\n", "\r").Replace(in.Text))
	}
	for _, name := range in.Keys {
		sequence, err := keyboard.Sequence(name)
		if err != nil {
			return nil, tool.BadArgument("keys", err.Error())
		}
		out = append(out, sequence)
	}
	return out, nil
}

// chords are the keys that are typed at a screen.
func (in sendState) chords() ([]keyboard.Chord, error) {
	board, err := keyboard.For(in.Layout, in.Source.Keyboard)
	if err != nil {
		return nil, tool.BadArgument("layout", "cannot be used: "+err.Error())
	}
	out, err := board.Text(in.Text)
	if err != nil {
		return nil, tool.BadArgument("text", err.Error())
	}
	for _, name := range in.Keys {
		chord, err := board.Chord(name)
		if err != nil {
			return nil, tool.BadArgument("keys", err.Error())
		}
		out = append(out, chord)
	}
	return out, nil
}

// settles is how long nothing changes after the last key until the screen is shown.
const settles = time.Second

func startSend(ctx context.Context, c *tool.Call, s *sendState) (job change.Job, err error) {
	d, err := open(ctx, c, s.Source)
	if err != nil {
		return job, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := s.typeAll(ctx, c, d); err != nil {
		s.Broken = c.Explain(err).What
		return job, nil // how far it came is the answer
	}
	g := goalOf(s.WaitFor)
	if !g.none() {
		s.Seen, err = s.watch(ctx, c, s.Source, d, g)
	} else {
		s.Seen, err = s.settle(ctx, c, d)
	}
	if err != nil {
		s.Broken = c.Explain(err).What
	}
	return job, nil
}

// settle waits a moment for what the keys do, and says what the console shows then.
func (s *sendState) settle(ctx context.Context, c *tool.Call, d display) (seen, error) {
	const most = 5 * time.Second
	v, _, err := watchFor(ctx, c, d, goal{quiet: settles}, most)
	if err != nil {
		return seen{}, err
	}
	return seenOf(v, s.Picture)
}

// Keys come as fast as from somebody who types fast: QEMU's keyboard loses what comes faster.
// On a terminal a program needs time to begin before a key can be for it.
const (
	perKey      = 15 * time.Millisecond
	perSequence = 200 * time.Millisecond
	keysATell   = 200
)

// typeAll types everything.
func (s *sendState) typeAll(ctx context.Context, c *tool.Call, d display) error {
	if t, ok := d.(*guestTerminal); ok {
		return s.typeToTerminal(ctx, t)
	}
	chords, err := s.chords()
	if err != nil {
		return err
	}
	v := d.(*vmScreen)
	s.All = len(chords)
	for i, chord := range chords {
		for _, p := range chord.Presses() {
			if err := v.Key(p.Keysym, p.Down); err != nil {
				return err
			}
		}
		s.Typed = i + 1
		if err := pause(ctx, v, perKey); err != nil {
			return err
		}
		if s.Typed%keysATell == 0 {
			c.Report(cluster.Progress{Message: fmt.Sprintf("%d of %d keys are typed", s.Typed, s.All)})
		}
	}
	return nil
}

// pause lets some time pass, and takes what the console shows meanwhile.
func pause(ctx context.Context, d display, most time.Duration) error {
	until := time.Now().Add(most)
	for left := most; left > 0; left = time.Until(until) {
		if _, err := watchOnce(ctx, d, left); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sendState) typeToTerminal(ctx context.Context, t *guestTerminal) error {
	sequences, err := s.sequences()
	if err != nil {
		return err
	}
	s.All = len(sequences)
	if t.Ended != nil {
		return explain.Refusal("", "The console of %v has ended the connection.", s.Source.Guest)
	}
	for i, sequence := range sequences {
		if err := t.Type(sequence); err != nil {
			return err
		}
		s.Typed = i + 1
		if err := pause(ctx, t, perSequence); err != nil {
			return err
		}
	}
	return nil
}

func finishSend(_ context.Context, c *tool.Call, s sendState, _ change.End) (out, error) {
	if s.Broken != "" && s.Seen.Shows == "" {
		o := out{VMID: s.VMID}
		o.SetOutcome(tool.Unknown, "Look with pve_console at what has come of it before you type again.",
			"The connection to the console of %s was lost after %d of %d keys or texts: %s", s.Source.Label, s.Typed, s.All, s.Broken)
		return o, nil
	}
	o := s.Seen.answer(c, s.Source)
	o.Message = "Typed. " + o.Message
	return o, nil
}
