package tool

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// HandleTime is how long the handle of a change answers for it.
const HandleTime = 24 * time.Hour

const handlePurpose = "change"

// handle is what it takes to answer for a change that was begun, in any process: PVE
// knows the rest.
type handle struct {
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
	// first, that of the whole and the last are kept.
	Step  int                  `json:"s,omitzero"`
	Tasks map[int]proxmox.UPID `json:"u,omitzero"`
	// Follows says that a process takes the steps that are left.
	Follows bool `json:"f,omitzero"`
}

// stepID names a step of a change for all processes.
func stepID(change string, at int) string { return change + "/" + strconv.Itoa(at) }

// seal makes the handle of the change as far as it was begun.
func (r *change) seal(ctx context.Context) {
	ctx, done := outlive(ctx, answerTime) // a call that is cancelled needs it, too
	defer done()
	r.id = cmp.Or(r.id, rand.Text())
	h := handle{
		ID: r.id, Owner: r.req.Owner, Cluster: r.host.Cluster, Tool: r.tool.Name, State: encode(r.state), About: r.plan.About,
		Subject: r.plan.Subject, Later: r.plan.Later, At: r.begun.Unix(), Step: r.at, Tasks: map[int]proxmox.UPID{},
		Follows: r.goesOn() && r.stays(),
	}
	for _, i := range []int{0, r.main(), r.at} {
		if i <= r.at && !r.jobs[i].UPID.IsZero() {
			h.Tasks[i] = r.jobs[i].UPID
		}
	}
	keys, err := r.host.keys(ctx)
	if err == nil {
		r.sealed, err = keys.Seal(handlePurpose, h, r.host.Now().Add(HandleTime))
	}
	if err != nil { // the UPID does, for the task alone
		r.host.Logger.ErrorContext(ctx, "no handle", "tool", r.tool.Name, "error", err)
	}
}

// shownHandle is the handle for a model: where the change is more than a task.
func (r *change) shownHandle(task proxmox.UPID) string {
	if len(r.steps) > 1 || pve.EndsEarly(task) {
		return r.sealed
	}
	return ""
}

// Begun is a change that was begun, by this process or another one.
type Begun struct {
	Handle string
	handle
	host Host
	req  Request
	tool Tool
}

// Open returns the change that a handle stands for. The error explains why there is none
// for this caller. It waits, as long as ctx lasts, for the secret that opens the handle.
func Open(ctx context.Context, h Host, req Request, text string) (*Begun, error) {
	h = h.complete()
	b := &Begun{host: h, req: req, Handle: text}
	unknown := func(why string) error {
		return explain.Refusal("pve_list_tasks shows what PVE has done.", "The handle is not valid: %s.", why)
	}
	keys, err := h.keys(ctx)
	if err != nil {
		return nil, unknown(err.Error())
	}
	if err := keys.Open(handlePurpose, text, h.Now(), &b.handle); err != nil {
		return nil, unknown(err.Error())
	}
	switch {
	case b.Owner != req.Owner:
		return nil, unknown("it was given to another caller")
	case b.Cluster != h.Cluster:
		return nil, unknown("it is of the cluster " + render.Text(b.Cluster, 60))
	}
	var ok bool
	if b.tool, ok = h.Named(b.Tool); !ok {
		return nil, unknown("its tool is not part of this server")
	}
	return b, nil
}

// Open returns the change that a handle stands for, of this call's caller.
func (c *Call) Open(ctx context.Context, handle string) (*Begun, error) {
	return Open(ctx, c.host, c.req, handle)
}

// owned is what a caller hands back, and nobody else.
type owned struct {
	Owner string          `json:"o,omitzero"`
	Body  json.RawMessage `json:"b"`
}

// Seal makes a handle of a body for a purpose, with which this caller goes on later, in any
// process. It returns "" where there is no secret to seal with, which is logged.
func (c *Call) Seal(ctx context.Context, purpose string, body any) string {
	keys, err := c.host.keys(ctx)
	sealed := ""
	if err == nil {
		sealed, err = keys.Seal(purpose, owned{c.req.Owner, encode(body)}, c.host.Now().Add(HandleTime))
	}
	if err != nil {
		c.host.Logger.ErrorContext(ctx, "no handle", "purpose", purpose, "error", err)
	}
	return sealed
}

// Unseal opens what Seal has made for this caller.
func (c *Call) Unseal(ctx context.Context, purpose, text string, body any) error {
	keys, err := c.host.keys(ctx)
	if err != nil {
		return err
	}
	var is owned
	if err := keys.Open(purpose, text, c.host.Now(), &is); err != nil {
		return err
	}
	if is.Owner != c.req.Owner {
		return errors.New("it was given to another caller")
	}
	return json.Unmarshal(is.Body, body)
}

// Now is the time.
func (b *Begun) Now() time.Time { return b.host.Now() }

// Start is when the change was begun, by this machine's clock.
func (b *Begun) Start() time.Time { return time.Unix(b.At, 0) }

// Task is the first task of the change, zero where it has none.
func (b *Begun) Task() proxmox.UPID {
	if len(b.Tasks) == 0 {
		return proxmox.UPID{}
	}
	return b.Tasks[slices.Min(slices.Collect(maps.Keys(b.Tasks)))]
}

// since is how long ago the clock of the first task's node has shown a time.
func (b *Begun) since(at time.Time) time.Duration {
	return b.Now().Sub(b.Start()) - at.Sub(b.Task().Start)
}

// Result is what the change's own call would answer now. It waits for up to a time for its
// end; where that is not there yet, the outcome is Running, with a handle as long as it may
// come. It begins nothing.
func (b *Begun) Result(ctx context.Context, wait time.Duration) Result {
	ctx = proxmox.ReadAgain(ctx) // the change goes on meanwhile
	return b.tool.guarded(ctx, b.host, func(ctx context.Context) Result { return b.tool.resume(ctx, b, wait) })
}

// Current is the task that runs for the change now, or else its last one.
func (b *Begun) Current(ctx context.Context) (proxmox.UPID, error) {
	r := change{spec: b.tool.spec, host: b.host, req: b.req, tool: b.tool, resumed: b}
	if out := r.restore(ctx); out != nil {
		return b.Task(), nil
	}
	over, cancel := context.WithCancel(ctx)
	cancel() // it is looked at once
	r.replay(ctx, over)
	return r.lastJob().UPID, nil
}

// EndOf returns when a task ended, which only the list of tasks says; ok is false where
// it does not.
func (c *Call) EndOf(ctx context.Context, upid proxmox.UPID) (end time.Time, ok bool) {
	at := strconv.FormatInt(upid.Start.Unix(), 10)
	list, _, err := c.PVE.NodeTasks(ctx, upid.Node, url.Values{
		"since": {at}, "until": {at}, "typefilter": {upid.Type}, "limit": {"100"},
	})
	if err != nil {
		return time.Time{}, false
	}
	for _, t := range list {
		if t.UPID.String() == upid.String() && t.EndTime.Set {
			return time.Unix(t.EndTime.Value, 0), true
		}
	}
	return time.Time{}, false
}
