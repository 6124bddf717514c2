package tool

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// Call is what the functions of a tool see of a call: the cluster, and what its caller asked
// for.
type Call struct {
	*cluster.View

	host  Host
	req   Request
	typed map[string]string
	id    string
}

// Unique returns 26 lower-case letters and digits that no other call gets for a purpose, but the
// one that carries out the plan that this one makes.
func (c *Call) Unique(purpose string) string {
	sum := sha256.Sum256([]byte(c.id + " " + purpose))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

// SetID says of which change the call is a part.
func (c *Call) SetID(id string) { c.id = id }

// SetTyped keeps the secrets that the person has typed for this call, by name.
func (c *Call) SetTyped(secrets map[string]string) { c.typed = secrets }

// Typed are the secrets that the person has typed for this call, by name.
func (c *Call) Typed() map[string]string { return c.typed }

// NewCall returns the call that a request makes.
func NewCall(ctx context.Context, h Host, req Request) (*Call, error) {
	client, err := h.Client(ctx)
	if err != nil {
		return nil, err
	}
	view := cluster.New(client, cluster.Options{
		Name: h.Cluster, Policy: h.Policy, Guard: h.Guard, Explain: h.Explain, Recent: h.Recent, Now: h.Now, Report: req.Progress,
	})
	return &Call{View: view, host: h, req: req, id: rand.Text()}, nil
}

// Fork returns a call for another goroutine, with the same client and id, and what this one knows
// of guests. What the typed secrets are, both know.
func (c *Call) Fork(req Request) *Call {
	out := *c
	out.View, out.req = c.View.Fork(req.Progress), req
	return &out
}

// Host returns the host of the call.
func (c *Call) Host() Host { return c.host }

// Request returns the request that makes the call.
func (c *Call) Request() Request { return c.req }

// RefusalOf says why this caller may make no call of some risk, "" if it may.
func (c *Call) RefusalOf(risk policy.Risk) string { return c.req.Refusal(c.host.Policy, risk) }

// maxWait bounds the wait that a call may ask for, since many clients give up after 60 s. A
// longer setting of the host counts.
const maxWait = 45 * time.Second

// Patience returns how long a call waits if it asks for wait seconds, or for nothing.
func (c *Call) Patience(wait *int) time.Duration {
	if wait == nil {
		return c.host.Wait
	}
	if most := c.longestWait(); *wait > int(most/time.Second) {
		return most
	}
	return time.Duration(*wait) * time.Second
}

func (c *Call) longestWait() time.Duration { return max(maxWait, c.host.Wait) }

// CutWait says that a call has waited for less than it asked for, "" if it has not.
func (c *Call) CutWait(wait *int) string {
	if most := c.longestWait(); wait != nil && *wait > int(most/time.Second) {
		return fmt.Sprintf("A call waits for %s at most, and this one asked for %d s.", render.Duration(most), *wait)
	}
	return ""
}

// HandleTime is how long a handle is valid.
const HandleTime = 24 * time.Hour

// ownedBody is what one caller hands back, and nobody else.
type ownedBody struct {
	Owner string          `json:"o,omitzero"`
	Body  json.RawMessage `json:"b"`
}

// Seal makes a handle of a body for a purpose, with which this caller goes on later, in any
// process. It returns "" if there is no secret to seal with, which is logged.
func (c *Call) Seal(ctx context.Context, purpose string, body any) string {
	keys, err := c.host.Keys(ctx)
	sealed := ""
	if err == nil {
		sealed, err = keys.Seal(purpose, ownedBody{c.req.Owner, exactjson.Encode(body)}, c.host.Now().Add(HandleTime))
	}
	if err != nil {
		c.host.Logger.ErrorContext(ctx, "no handle", "purpose", purpose, "error", err)
	}
	return sealed
}

// Unseal opens what [Call.Seal] has made for this caller.
func (c *Call) Unseal(ctx context.Context, purpose, text string, body any) error {
	keys, err := c.host.Keys(ctx)
	if err != nil {
		return err
	}
	var sealed ownedBody
	if err := keys.Open(purpose, text, c.host.Now(), &sealed); err != nil {
		return err
	}
	if sealed.Owner != c.req.Owner {
		return errors.New("it was given to another caller")
	}
	return json.Unmarshal(sealed.Body, body)
}
