package tool

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// HandleTime is how long the handle of a change answers for it.
const HandleTime = 24 * time.Hour

const handlePurpose = "change"

// handle is what it takes to answer for a change that was begun, in any process: PVE
// knows the rest.
type handle struct {
	Owner string          `json:"o,omitzero"`
	Tool  string          `json:"t"`
	In    json.RawMessage `json:"i"`          // as Plan and Start have completed it
	Found json.RawMessage `json:"f,omitzero"` // what they have found out besides
	About string          `json:"a"`
	Guest pve.VMID        `json:"g,omitzero"`
	UPID  proxmox.UPID    `json:"u"`
	// What the plan says of the start after the task.
	Starts bool   `json:"s,omitzero"`
	Later  string `json:"l,omitzero"`
	// Follows says that a process goes on with Then.
	Follows bool `json:"n,omitzero"`
	// Apart is how many whole seconds this machine's clock was ahead of the node's when the
	// task began, with the time that the answer took.
	Apart int64 `json:"c,omitzero"`
}

// finds is implemented by the In of a change whose Plan or Start finds out what Finish
// needs besides: a pointer to it, which JSON can write.
type finds interface{ found() any }

// Finds is what a change found out; In embeds it, out of the schema.
type Finds[T any] struct {
	Found T `json:"-"`
}

func (f *Finds[T]) found() any { return &f.Found }

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
	if b.Owner != req.Owner {
		return nil, unknown("it was given to another caller")
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
func (b *Begun) Start() time.Time { return b.UPID.Start.Add(time.Duration(b.Apart) * time.Second) }

// since is how long ago the clock of the task's node has shown a time.
func (b *Begun) since(at time.Time) time.Duration {
	return b.Now().Sub(b.Start()) - at.Sub(b.UPID.Start)
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
	c, err := newCall(ctx, b.host, b.req)
	if err != nil {
		return proxmox.UPID{}, err
	}
	status, err := c.PVE.TaskStatus(ctx, b.UPID)
	if err != nil || !status.Succeeded() || !b.Starts {
		return b.UPID, err
	}
	next, err := c.startedAfter(ctx, b.Guest, b.UPID)
	if err != nil || next.IsZero() {
		return b.UPID, err
	}
	return next, nil
}

// startedAfter finds the task in which a guest was started for a change, after the task
// of its first step, none where there is no such task.
func (c *Call) startedAfter(ctx context.Context, id pve.VMID, first proxmox.UPID) (proxmox.UPID, error) {
	g, err := c.Guest(ctx, id)
	if err != nil {
		return proxmox.UPID{}, err
	}
	list, _, err := c.PVE.NodeTasks(ctx, g.Node.Value, url.Values{
		"vmid": {id.String()}, "source": {"all"}, "since": {strconv.FormatInt(first.Start.Unix(), 10)}, "limit": {"20"},
	})
	if err != nil {
		return proxmox.UPID{}, err
	}
	for _, t := range list {
		if strings.HasSuffix(t.Type, "start") && t.UPID.User == first.User {
			return t.UPID, nil
		}
	}
	return proxmox.UPID{}, nil
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
