package change

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

const handlePurpose = "change"

// sealedHandle is what it takes to answer for a change that was begun, in any process: PVE
// knows the rest.
type sealedHandle struct {
	ID      string          `json:"n"`
	Owner   string          `json:"o,omitzero"`
	Cluster string          `json:"c"`
	Tool    string          `json:"t"`
	State   json.RawMessage `json:"i"` // as Plan and the steps have completed it
	About   string          `json:"a"`
	Subject policy.Subject  `json:"g,omitzero"`
	Later   string          `json:"l,omitzero"`
	// At is when the first step was sent, in seconds by this machine's clock.
	At int64 `json:"b"`
	// Step is the last one that was begun. Those before it have succeeded. Of the tasks, the
	// first, that of the whole, the last, those that can be undone and those with warnings are kept.
	Step  int                  `json:"s,omitzero"`
	Tasks map[int]proxmox.UPID `json:"u,omitzero"`
	// Follows says that a process takes the steps that are left.
	Follows bool `json:"f,omitzero"`
	// Fleet are the guests of a change of many. Their tasks are found in PVE.
	Fleet *sealedFleet `json:"v,omitzero"`
}

// stepID names a step of a change for all processes.
func stepID(change string, at int) string { return change + "-" + strconv.Itoa(at) }

// sealHandle makes the handle of the change as far as it was begun.
func (r *run) sealHandle(ctx context.Context) {
	ctx, done := outlive(ctx, answerTime) // a call that is cancelled needs it, too
	defer done()
	h := sealedHandle{
		ID: r.id, Owner: r.req.Owner, Cluster: r.host.Cluster, Tool: r.tool.Name, State: exactjson.Encode(r.state), About: r.plan.About,
		Subject: r.plan.Subject, Later: r.plan.Later, At: r.started.Unix(), Step: r.at, Tasks: map[int]proxmox.UPID{},
		Follows: r.hasStepsToSend() && r.outlivesCall(),
	}
	if h.Fleet = r.plan.Fleet.sealed(); h.Fleet != nil {
		h.Fleet.Consent = r.consent.WasAsked()
		if r.plan.Fleet.untraced() {
			h.Fleet.Process = r.host.Used.Process()
		}
		h.Follows, h.State = r.outlivesCall(), exactjson.Encode(r.stateWithoutRemarks())
	}
	for i, job := range r.jobs {
		warned := i < len(r.ends) && r.ends[i].Outcome == tool.Warnings
		keeps := warned || i == 0 || i == r.mainStep() || i == r.at || r.steps[i].undo != nil
		if keeps && !job.UPID.IsZero() {
			h.Tasks[i] = job.UPID
		}
	}
	keys, err := r.host.Keys(ctx)
	if err == nil {
		r.handle, err = keys.Seal(handlePurpose, h, r.host.Now().Add(tool.HandleTime))
	}
	if err != nil { // the UPID does, for the task alone
		r.host.Logger.ErrorContext(ctx, "no handle", "tool", r.tool.Name, "error", err)
	}
}

// handleFor is the handle that an answer about a task shows, "" if the change is no more than
// the task.
func (r *run) handleFor(task proxmox.UPID) string {
	if len(r.steps) > 1 || pve.EndsEarly(task) {
		return r.handle
	}
	return ""
}

// Handle is the opened handle of a change that this process or another one has begun.
type Handle struct {
	Text string // as the caller has it
	sealedHandle
	host tool.Host
	req  tool.Request
	tool tool.Tool
}

// Open opens the handle of a change. The error explains why the handle is not valid for this
// caller. It waits, as long as ctx lasts, for the secret that opens the handle.
func Open(ctx context.Context, h tool.Host, req tool.Request, text string) (*Handle, error) {
	h = h.WithDefaults()
	out := &Handle{host: h, req: req, Text: text}
	invalid := func(why string) error {
		return explain.Refusal("pve_list_tasks shows what PVE has done.", "The handle is not valid: %s.", why)
	}
	keys, err := h.Keys(ctx)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if err := keys.Open(handlePurpose, text, h.Now(), &out.sealedHandle); err != nil {
		return nil, invalid(err.Error())
	}
	switch {
	case out.Owner != req.Owner:
		return nil, invalid("it was given to another caller")
	case out.Cluster != h.Cluster:
		return nil, invalid("it is of the cluster " + render.Text(out.Cluster, 60))
	}
	known, ok := h.Named(out.Tool)
	if _, isChange := known.Runner.(*spec); !ok || !isChange {
		return nil, invalid("its tool is not part of this server")
	}
	out.tool = known
	return out, nil
}

// Now returns the time.
func (h *Handle) Now() time.Time { return h.host.Now() }

// Start returns when the change was begun, by this machine's clock.
func (h *Handle) Start() time.Time { return time.Unix(h.At, 0) }

// Task returns the first task of the change, zero if it has none.
func (h *Handle) Task() proxmox.UPID {
	if len(h.Tasks) == 0 {
		return proxmox.UPID{}
	}
	return h.Tasks[slices.Min(slices.Collect(maps.Keys(h.Tasks)))]
}

// since returns how long ago the clock of the first task's node has shown a time.
func (h *Handle) since(at time.Time) time.Duration {
	return h.Now().Sub(h.Start()) - at.Sub(h.Task().Start)
}

// Result returns what the change's own call would answer now. It waits for the end of the
// change for up to a time. If that has not come yet, the outcome is Running, with a handle as
// long as it may come. It sends nothing.
func (h *Handle) Result(ctx context.Context, wait time.Duration) tool.Result {
	ctx = proxmox.ReadAgain(ctx) // the change goes on meanwhile
	return h.tool.Answer(ctx, h.host, func(ctx context.Context) tool.Result {
		r := h.newRun()
		return r.resultOf(r.respondLater(ctx, wait))
	})
}

// CurrentTask returns the task that runs for the change now, or else its last one.
func (h *Handle) CurrentTask(ctx context.Context) proxmox.UPID {
	r := h.newRun()
	if out := r.restore(ctx); out != nil {
		return h.Task()
	}
	over, cancel := context.WithCancel(ctx)
	cancel() // it is looked at once
	if r.plan.Fleet != nil {
		return r.newestTask(ctx)
	}
	r.replaySteps(ctx, over)
	return r.lastJob().UPID
}

func (h *Handle) newRun() *run {
	r := h.tool.Runner.(*spec).newRun(h.tool, h.host, h.req)
	r.resumed = h
	return r
}
