package policy

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Ask describes a call whose consent is to be decided.
type Ask struct {
	Risk Risk
	// Many means that it concerns so many at once that it needs consent whatever its risk.
	Many bool
	// Confirmed means that its arguments have confirm: true.
	Confirmed bool
	// CanAsk means that the client can ask its human.
	CanAsk bool
	// Answer is the human's answer to exactly this question, nil if nobody was asked.
	Answer *Answer
}

// Answer is the answer of a human.
type Answer struct {
	Action string // accept, decline or cancel, as MCP has it
	// Agreed means that an accepted answer also says yes, or has the right name.
	Agreed bool
}

// Decision says what happens to a call.
type Decision int

// The decisions.
const (
	Granted    Decision = iota
	AskHuman            // the human is to be asked
	AskParam            // it may be called again with confirm: true
	Declined            // the human said no
	Cancelled           // the human did not answer
	Mismatched          // the human accepted, but did not say yes or typed another name
	Refused             // nobody can consent
)

// Consent is the proof that a call may be made. Only [Policy.Decide] makes a valid one.
type Consent struct {
	by      string
	granted bool
}

// WasAsked reports whether somebody was asked for it.
func (c Consent) WasAsked() bool { return c.by == "human" || c.by == "param" }

// By says who consented: human, param, or none if none was needed.
func (c Consent) By() string { return c.by }

// NeedsConsent reports whether a call needs consent.
func (p Policy) NeedsConsent(a Ask) bool {
	return a.Many || a.Risk == Destructive || a.Risk == Access || a.Risk == Exec && p.Confirm == Human
}

// Decide says what happens to a call.
func (p Policy) Decide(a Ask) (Decision, Consent) {
	byHuman := a.Risk == Access || p.Confirm == Human || p.Confirm == Auto && a.CanAsk
	switch {
	case !p.NeedsConsent(a):
		return Granted, Consent{by: "none", granted: true}
	case !byHuman && a.Confirmed:
		return Granted, Consent{by: "param", granted: true}
	case !byHuman:
		return AskParam, Consent{by: "none"}
	case !a.CanAsk:
		return Refused, Consent{by: "none"}
	case a.Answer == nil:
		return AskHuman, Consent{by: "none"}
	case a.Answer.Action == "decline":
		return Declined, Consent{by: "human"}
	case a.Answer.Action != "accept":
		return Cancelled, Consent{by: "human"}
	case !a.Answer.Agreed:
		return Mismatched, Consent{by: "human"}
	}
	return Granted, Consent{by: "human", granted: true}
}

// Target is one request: a method, a path as in the table of endpoints, and its subject.
type Target struct {
	Method  string
	Path    string
	Subject Subject
	// Also has what it changes besides its subject, such as other guests whose volumes it
	// names.
	Also []Subject
	// Snapshot names the snapshot of the guest that it is about, as in [Where].
	Snapshot string
	// Command and Stdin are what a call types into the console of a container that it opens: one
	// command, and whether that has standard input. It is judged as a command of the agent is.
	Command []string
	Stdin   bool
	// File is the file in a VM that the target is about: as many commands for files as that
	// takes, all with that path.
	File string
}

// covers reports whether a request changes the subject of the target, and nothing beyond the
// target. The name of a volume or a replication job includes its guest.
func (t Target) covers(e effect) bool {
	agreed := append(slices.Clone(t.Also), t.Subject)
	said := func(s Subject) bool {
		return slices.ContainsFunc(agreed, func(a Subject) bool { return a == s || s.VMID() != 0 && a.owner() == s.VMID() })
	}
	changed := e.all()
	all := slices.Concat(changed, Guests(Owners(e.named)))
	return e.complete && slices.Contains(changed, t.Subject) && !slices.ContainsFunc(all, func(s Subject) bool { return !said(s) })
}

// grant lets one request pass.
type grant struct {
	target Target
	by     string // who consented
	used   atomic.Bool
}

// grantKey is the key of a grant in a context.
type grantKey struct{}

// Grant returns a context in which one request to the target may be destructive. For an invalid
// consent it returns ctx itself.
func (c Consent) Grant(ctx context.Context, t Target) context.Context {
	if !c.granted {
		return ctx
	}
	return context.WithValue(ctx, grantKey{}, &grant{target: t, by: c.by})
}

// grantOf is the grant of a context, nil without one.
func grantOf(ctx context.Context) *grant {
	g, _ := ctx.Value(grantKey{}).(*grant)
	return g
}

// byHuman reports whether there is a grant, and a human has given it.
func (g *grant) byHuman() bool { return g != nil && g.by == "human" }

// granted reports whether a context has a grant for a row of the table.
func granted(ctx context.Context, e row, r request) bool {
	g := grantOf(ctx)
	return g != nil && g.target.Method == e.method && g.target.Path == e.target(r)
}

// spend uses up the grant of a context for a request, or returns why the grant does not cover
// it.
func spend(ctx context.Context, e row, r request, changes effect) (used *grant, reason string) {
	g := grantOf(ctx)
	switch {
	case g == nil && e.class == changesAccess:
		return nil, "it decides who may do what, and no human has consented"
	case g == nil, g.target.Method == "": // or the call is good for requests that need none
		return nil, "it would lose data, and nobody has consented"
	case e.class == changesAccess && !g.byHuman():
		return nil, "it decides who may do what, to which only a human can consent"
	case !granted(ctx, e, r) || !g.target.covers(changes):
		return nil, fmt.Sprintf("the consent was for %s %s of %v", g.target.Method, g.target.Path, g.target.Subject)
	case g.target.File != "":
		if _, name, _, ok := fileOf(r.params["command"]); !ok || name != g.target.File {
			return nil, fmt.Sprintf("the consent was for the file %q", g.target.File)
		}
		return g, ""
	case g.used.Swap(true):
		return nil, "the consent was used already"
	}
	return g, ""
}

// restore makes a grant valid again if PVE itself refused the request. Nothing was done then,
// and the request may have to go to the node to which the guest has moved.
func (g *grant) restore(resp *http.Response) {
	if g != nil && proxmox.NothingDone(resp) {
		g.used.Store(false)
	}
}
