// Package callers knows who may call a server that several share: callers, the scopes
// that they have, and the file with their tokens.
package callers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Scope is what a caller may do.
type Scope string

// The scopes. Each implies the ones before it, but Exec and Access, which stand alone.
const (
	Read    Scope = "pve:read"
	Write   Scope = "pve:write"
	Destroy Scope = "pve:destroy"
	Exec    Scope = "pve:exec"
	Access  Scope = "pve:access"
)

// All returns the scopes, from the least on, each for the risk at its place.
func All() []Scope { return []Scope{Read, Write, Destroy, Exec, Access} }

func (s Scope) standsAlone() bool { return s == Exec || s == Access }

// Of returns the scopes that a server with a policy has a use for.
func Of(p policy.Policy) []Scope {
	if p.Access {
		return All()
	}
	return slices.DeleteFunc(All(), func(s Scope) bool { return s == Access })
}

// For returns the scope that calls of a risk need.
func For(r policy.Risk) Scope { return All()[r] }

// Scopes are those of a caller. Scopes that are not ours mean nothing.
type Scopes []Scope

// ParseScopes reads scopes that are separated by commas or spaces.
func ParseScopes(text string) (Scopes, error) {
	var out Scopes
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(All(), Scope(word)) {
			return nil, fmt.Errorf("there is no scope %q; the scopes are %s", word, Scopes(All()))
		}
		if !slices.Contains(out, Scope(word)) {
			out = append(out, Scope(word))
		}
	}
	if out == nil {
		return nil, fmt.Errorf("no scope is given; the scopes are %s", Scopes(All()))
	}
	return out, nil
}

// Allow reports whether calls of a risk may be made.
func (s Scopes) Allow(r policy.Risk) bool {
	need := For(r)
	return slices.ContainsFunc(s, func(has Scope) bool {
		at := slices.Index(All(), has)
		return has == need || !need.standsAlone() && !has.standsAlone() && at >= 0 && at > slices.Index(All(), need)
	})
}

// Refuse says why calls of a risk may not be made, "" if they may.
func (s Scopes) Refuse(r policy.Risk) string {
	if s.Allow(r) {
		return ""
	}
	return fmt.Sprintf("it needs the scope %s, which this caller does not have", For(r))
}

// String separates the scopes by spaces, as OAuth does.
func (s Scopes) String() string { return strings.Join(s.Strings(), " ") }

// Strings returns the scopes as plain text.
func (s Scopes) Strings() []string {
	out := make([]string, len(s))
	for i, scope := range s {
		out[i] = string(scope)
	}
	return out
}

// ScopesOf returns scopes from plain text.
func ScopesOf(words []string) Scopes {
	out := make(Scopes, len(words))
	for i, word := range words {
		out[i] = Scope(word)
	}
	return out
}
