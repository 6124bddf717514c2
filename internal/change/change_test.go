package change_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// idle reads nothing.
var idle = tool.Read(tool.Spec[struct{}, struct{}]{
	Name: "idle", Title: "Idle", Doc: "Answers.",
	Run: func(context.Context, *tool.Call, struct{}) (struct{}, error) { return struct{}{}, nil },
})

// power changes the state of a guest, as far as a test asks it to be more than that.
type powerIn struct {
	VMID   pve.VMID `json:"vmid"`
	Action string   `json:"action"`
	change.WaitArgument
	change.ConfirmArgument
}

type powerOut struct {
	change.Answer
	Status string `json:"status,omitzero"`
}

func power(risk policy.Risk) tool.Tool {
	return change.New(change.Spec[powerIn, powerIn, powerOut]{
		Name: "power", Title: "Power", Doc: "Changes a power state.", Worst: risk,
		Risk: func(powerIn) policy.Risk { return risk },
		Plan: func(ctx context.Context, c *tool.Call, in powerIn) (change.Plan, powerIn, error) {
			_, err := c.Guest(ctx, in.VMID)
			return change.Plan{Subject: policy.Guest(in.VMID), About: fmt.Sprintf("%s of %v", in.Action, in.VMID), Consequences: []string{"it is gone"}}, in, err
		},
		Start: func(ctx context.Context, c *tool.Call, in *powerIn) (change.Job, error) {
			if in.Action == "panic" {
				panic("a mistake")
			}
			g, err := c.Guest(ctx, in.VMID)
			if err != nil {
				return change.Job{}, err
			}
			upid, err := c.PVE.Power(ctx, g.Ref(), in.Action, pve.PowerOptions{})
			return change.Job{UPID: upid}, err
		},
		Finish: func(ctx context.Context, c *tool.Call, in powerIn, _ change.End) (powerOut, error) {
			g, err := c.Guest(ctx, in.VMID)
			if err != nil {
				return powerOut{}, err
			}
			s, err := c.PVE.GuestStatus(ctx, g.Ref())
			return powerOut{Status: s.State()}, err
		},
	})
}

func TestOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		risk       policy.Risk
		policy     policy.Policy
		want       tool.Outcome
		isError    bool
		message    string
		writes     int
	}{
		{name: "done", args: `{"vmid":104,"action":"stop"}`, want: tool.OK, message: "stop of 104: done.", writes: 1},
		{name: "with warnings", args: `{"vmid":204,"action":"start"}`, want: tool.Warnings, message: "with warnings (1)", writes: 1},
		{name: "task fails", args: `{"vmid":105,"action":"start"}`, want: tool.Failed, isError: true, message: "QEMU exited with code 1", writes: 1},
		{name: "refused by PVE", args: `{"vmid":204,"action":"stop"}`, want: tool.Failed, isError: true, message: "CT 204 not running", writes: 1},
		{name: "no such guest", args: `{"vmid":999,"action":"stop"}`, want: tool.Failed, isError: true, message: "There is no guest 999"},
		{name: "bad argument", args: `{"vmid":104}`, want: tool.Failed, isError: true, message: `"action" is missing`},
		{name: "does not wait", args: `{"vmid":102,"action":"shutdown","wait":0}`, want: tool.Running, message: "is under way", writes: 1},
		{name: "waits too short", args: `{"vmid":102,"action":"shutdown","wait":5}`, want: tool.Running, message: "is under way after 5s", writes: 1},
		{name: "destructive, unconfirmed", args: `{"vmid":104,"action":"stop"}`, risk: policy.Destructive, want: tool.NeedsConfirmation, message: "nothing was done yet"},
		{name: "destructive, confirmed", args: `{"vmid":104,"action":"stop","confirm":true}`, risk: policy.Destructive, want: tool.OK, message: "done", writes: 1},
		{name: "read-only", args: `{"vmid":104,"action":"stop"}`, policy: policy.Policy{ReadOnly: true}, want: tool.Failed, isError: true, message: "read-only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Policy: tt.policy})
				a := w.Run(power(max(tt.risk, policy.Write)), tt.args)
				if a.Outcome != tt.want || a.Fields["outcome"] != string(tt.want) || a.IsError != tt.isError {
					t.Errorf("outcome %q, error %v, want %q, %v: %s", a.Outcome, a.IsError, tt.want, tt.isError, a.Text)
				}
				if got := fmt.Sprint(a.Fields["message"]); !strings.Contains(got, tt.message) {
					t.Errorf("message %q, want %q in it", got, tt.message)
				}
				if writes := sim.Writes(w.Sent()); len(writes) != tt.writes {
					t.Errorf("writes %v, want %d", writes, tt.writes)
				}
			})
		})
	}
}

func TestFailureKeepsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sim.New(t, sim.Options{}).Run(power(policy.Write), `{"vmid":105,"action":"start"}`)
		log, _ := a.Fields["log"].([]any)
		if len(log) != 1 || !strings.Contains(log[0].(string), "No such file or directory") {
			t.Errorf("log %v, want the line of the log that says why", log)
		}
		if a.Fields["exit_status"] != "start failed: QEMU exited with code 1" || a.Fields["status"] != "stopped" {
			t.Errorf("%s", a.Text)
		}
	})
}

// lossy loses the answer to a write: after PVE has done it, before PVE has seen it, or
// together with all that come later.
type lossy struct {
	http.RoundTripper
	how  string
	dead bool
}

func (l *lossy) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case l.dead:
		return nil, errors.New("no route to host")
	case req.Method == http.MethodGet:
		return l.RoundTripper.RoundTrip(req)
	case l.how == "unsent":
		return nil, errors.New("connection refused")
	}
	l.dead = l.how == "and all later ones"
	if l.how == "unseen" {
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{})
	} else if resp, err := l.RoundTripper.RoundTrip(req); err == nil {
		resp.Body.Close()
	}
	return nil, errors.New("connection reset by peer")
}

// Where it is unknown what became of a change, the answer says what can be seen of it.
func TestLostAnswers(t *testing.T) {
	for how, tt := range map[string]struct {
		want   tool.Outcome
		found  []string // patterns of the lines
		writes int      // that PVE saw
	}{
		"done": {tool.Unknown, []string{
			`^sent at \S+ by this machine's clock$`, `^VM 104 on pve1 is running now$`,
			`^task qmstop by ops@pve!mcp, begun at \S+, running: UPID:pve1:.*:qmstop:104:ops@pve!mcp:$`,
		}, 1},
		"unseen": {tool.Unknown, []string{`^sent at`, `^VM 104 on pve1 is running now$`, `^it has no task there that this token may see$`}, 0},
		"and all later ones": {tool.Unknown, []string{`^sent at`,
			`^guest 104 cannot be looked at: No connection to https://pve1:8006: no route to host.$`}, 1},
		"unsent": {tool.Failed, nil, 0},
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Wire: func(rt http.RoundTripper) http.RoundTripper {
					return &lossy{RoundTripper: rt, how: how}
				}})
				a := w.Run(power(policy.Write), `{"vmid":104,"action":"stop"}`)
				if a.Outcome != tt.want || !a.IsError {
					t.Errorf("outcome %q, want %q: %s", a.Outcome, tt.want, a.Text)
				}
				found, _ := a.Fields["found"].([]any)
				if len(found) != len(tt.found) {
					t.Errorf("found %q", found)
				}
				for i, pattern := range tt.found[:min(len(found), len(tt.found))] {
					if !regexp.MustCompile(pattern).MatchString(found[i].(string)) {
						t.Errorf("found %q, want %s", found[i], pattern)
					}
				}
				if n := len(sim.Writes(w.Sent())); n != tt.writes {
					t.Errorf("PVE saw %d writes", n)
				}
			})
		})
	}
}

func TestProgressOnlyIncreases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		a := w.Run(power(policy.Write), `{"vmid":102,"action":"shutdown","wait":40}`) // takes 25 s
		if a.Outcome != tool.OK || len(a.Progress) < 5 {
			t.Fatalf("outcome %q with %d notifications", a.Outcome, len(a.Progress))
		}
		last := 0.0
		for _, p := range a.Progress {
			if p.Done <= last || p.Message == "" {
				t.Errorf("progress %+v after %v", p, last)
			}
			last = p.Done
		}
	})
}

func TestWaitIsCapped(t *testing.T) {
	for _, wait := range []string{"600", "9223372036854775807"} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{})
			begun := time.Now()
			a := w.Run(power(policy.Write), `{"vmid":106,"action":"shutdown","wait":`+wait+`}`) // times out after 60 s
			if took := time.Since(begun); a.Outcome != tool.Running || took != 45*time.Second {
				t.Errorf("wait %s: outcome %q after %v, want running after 45s", wait, a.Outcome, took)
			}
		})
	}
}

func TestCancelledCallReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		res := power(policy.Write).Call(ctx, w.Host, tool.Request{Arguments: []byte(`{"vmid":106,"action":"shutdown"}`)})
		if took := time.Since(begun); took != 2*time.Second || res.Outcome != tool.Running {
			t.Errorf("outcome %q after %v", res.Outcome, took)
		}
	})
}

// slow answers writes after a while, which the request may not survive.
type slow struct {
	http.RoundTripper
	takes time.Duration
}

func (s slow) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return s.RoundTripper.RoundTrip(req)
	}
	httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{})
	resp, err := s.RoundTripper.RoundTrip(req)
	select {
	case <-time.After(s.takes):
		return resp, err
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// A write on its way is given a moment to be answered when its call is cancelled.
func TestCancelledWhileAWriteIsOnItsWay(t *testing.T) {
	for _, tt := range []struct {
		takes, cancelled, ends time.Duration
		want                   tool.Outcome
	}{
		{2 * time.Second, time.Second, 2 * time.Second, tool.Running},
		{20 * time.Second, time.Second, 4 * time.Second, tool.Unknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Wire: func(rt http.RoundTripper) http.RoundTripper { return slow{rt, tt.takes} }})
			ctx, cancel := context.WithTimeout(t.Context(), tt.cancelled)
			defer cancel()
			begun := time.Now()
			res := power(policy.Write).Call(ctx, w.Host, tool.Request{Arguments: []byte(`{"vmid":106,"action":"shutdown"}`)})
			if took := time.Since(begun); took != tt.ends || res.Outcome != tt.want {
				t.Errorf("an answer after %v: outcome %q after %v: %s", tt.takes, res.Outcome, took, res.Text)
			}
		})
	}
}

func TestCancelledBeforeTheWrite(t *testing.T) {
	w := sim.New(t, sim.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	planned := change.New(change.Spec[powerIn, powerIn, powerOut]{
		Name: "cancelled", Title: "Cancelled", Doc: "Is cancelled while it is planned.",
		Plan: func(_ context.Context, _ *tool.Call, in powerIn) (change.Plan, powerIn, error) {
			cancel()
			return change.Plan{}, in, nil
		},
		Start: func(context.Context, *tool.Call, *powerIn) (change.Job, error) {
			t.Error("it was started")
			return change.Job{}, nil
		},
	})
	res := planned.Call(ctx, w.Host, tool.Request{Arguments: []byte(`{"vmid":106,"action":"shutdown"}`)})
	if res.Outcome != tool.Failed || !strings.Contains(res.Text, "The call was cancelled.") {
		t.Errorf("%s", res.Text)
	}
}

// A call that may wait for hours does not, where the task has ended and the guest does not
// get where it should.
func TestGoalThatIsNeverReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		w.Host.Wait = 5 * time.Hour
		hoping := change.New(change.Spec[powerIn, powerIn, powerOut]{
			Name: "hoping", Title: "Hoping", Doc: "Waits for what does not come.",
			Plan: func(_ context.Context, _ *tool.Call, in powerIn) (change.Plan, powerIn, error) {
				return change.Plan{Subject: policy.Guest(in.VMID), About: "stop of 104"}, in, nil
			},
			Start: func(ctx context.Context, c *tool.Call, in *powerIn) (change.Job, error) {
				g, err := c.Guest(ctx, in.VMID)
				if err != nil {
					return change.Job{}, err
				}
				upid, err := c.PVE.Power(ctx, g.Ref(), in.Action, pve.PowerOptions{})
				return change.Job{UPID: upid}, err
			},
			Finish: func(context.Context, *tool.Call, powerIn, change.End) (powerOut, error) {
				return powerOut{}, change.ErrNotYet
			},
		})
		begun := time.Now()
		a := w.Run(hoping, `{"vmid":104,"action":"stop"}`)
		if took := time.Since(begun); a.Outcome != tool.Running || took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("after %v: %s", took, a.Text)
		}
	})
}

func TestPanicCostsOneCall(t *testing.T) {
	w := sim.New(t, sim.Options{})
	a := w.Run(power(policy.Write), `{"vmid":104,"action":"panic"}`)
	if !a.IsError || a.Outcome != tool.Unknown || a.Fields["message"] != "power failed because of a bug in pve-mcp: a mistake." {
		t.Errorf("%s", a.Text)
	}
}
