package tool

import (
	"context"
	"encoding/json"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Request is one call.
type Request struct {
	Arguments json.RawMessage // an object, or nothing
	Caller    string
	// Owner is the part of Caller that owns a change which goes on after its call.
	Owner string
	// Detach says that the caller follows a change by its handle: the call does not wait
	// for the end of a task, unless it asks for no wait at all.
	Detach bool
	// Refuse, if not nil, says why this caller may not make a call of some risk, "" if it
	// may. The host's policy holds besides.
	Refuse func(policy.Risk) string
	// CanAsk says that the caller can ask its human.
	CanAsk bool
	// Reply is what the human said, nil if nobody was asked, and State what came with the
	// question.
	Reply *Reply
	State string
	// TypeSecrets has the person type secrets, so that they pass through no model. It is nil
	// if the caller has no way to do that.
	TypeSecrets func(context.Context, SecretForm) (map[string]string, error)
	// TypedLater says that the person types only after a question.
	TypedLater bool
	// Progress, if not nil, is called with how a long call goes. Done only increases.
	Progress func(cluster.Progress)
}

// Refusal says why a call of some risk is not made, "" if it is.
func (r Request) Refusal(p policy.Policy, risk policy.Risk) string {
	if reason := p.Refusal(risk); reason != "" || r.Refuse == nil {
		return reason
	}
	return r.Refuse(risk)
}

// Question is what a client is to ask its human before a change is made.
type Question struct {
	Message string
	// Typed says that the human types a name; otherwise yes or no is enough.
	Typed bool
	// State comes back with the answer.
	State string
	// Secrets, if not nil, are what the person types beside; with OnlySecrets that is all
	// that is asked, since no consent is needed.
	Secrets     *SecretForm
	OnlySecrets bool
}

// SecretForm asks a person for secrets.
type SecretForm struct {
	About string   // what they are for
	Names []string // of the secrets
}

// The field of a question's form.
const (
	YesField  = "confirm" // a boolean
	NameField = "name"    // text
)

// Reply is a client's answer to a question.
type Reply struct {
	Action  string // accept, decline or cancel
	Content map[string]any
	// Problem says why the human could not be asked, "" if that is not known.
	Problem string
}
