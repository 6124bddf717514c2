// Package policy decides what this process may do to a cluster, whatever its tools ask for. It
// decides before a tool runs, and again in the transport below the PVE client.
package policy

import (
	"errors"
	"fmt"
)

// Risk is what a call can do.
type Risk int

// The risks, from the least on.
const (
	Read        Risk = iota // changes nothing
	Write                   // changes something that can be changed back
	Destructive             // loses data or state for good
	Exec                    // runs commands inside a guest
	Access                  // decides who may do what
)

func (r Risk) String() string {
	return [...]string{"read", "write", "destructive", "exec", "access"}[r]
}

// Policy is what the operator of this process allows.
type Policy struct {
	// ReadOnly lets only GET leave the process.
	ReadOnly bool
	// KeepData refuses every destructive call.
	KeepData bool
	// Exec allows commands inside guests.
	Exec bool
	// Access allows changes of users, tokens, roles, permissions and realms.
	Access bool
	// ExecAllow are the allowed commands; empty allows all.
	ExecAllow []Command
	// FilesAllow are the paths in guests that may be read, written and listed. Empty allows
	// all, or with ExecAllow none.
	FilesAllow []FilePattern
	// DownloadFrom are the hosts from which nodes may fetch; empty means every public one.
	DownloadFrom Hosts
	// Fetch lets this process itself read the checksums of publishers.
	Fetch bool
	// Confirm says whose consent a destructive call needs.
	Confirm Confirm
	// Protect are the guests that are never changed.
	Protect Rules
	// Allow are the only guests that may be changed; empty allows all.
	Allow Rules
}

// Confirm says whose consent a destructive call needs.
type Confirm string

// The kinds of consent.
const (
	Auto  Confirm = ""      // a human's if the client can ask one, else an argument
	Param Confirm = "param" // the argument confirm: true
	Human Confirm = "human" // a human's, for commands inside guests too
)

// ParseConfirm reads auto, param or human.
func ParseConfirm(s string) (Confirm, error) {
	switch s {
	case "auto":
		return Auto, nil
	case string(Param), string(Human):
		return Confirm(s), nil
	}
	return Auto, errors.New("it is neither auto nor param nor human")
}

// Refusal returns why calls of a risk are off, or "".
func (p Policy) Refusal(r Risk) string {
	switch {
	case p.ReadOnly && r != Read:
		return "this server is read-only (PVE_MCP_READ_ONLY=true)"
	case r == Access && !p.Access:
		return "changes of users, groups, tokens, roles, permissions and realms are off (PVE_MCP_ENABLE_ACCESS is not true)"
	case (r == Destructive || r == Access) && p.KeepData:
		return "destructive changes are off (PVE_MCP_DESTRUCTIVE=false)"
	case r == Exec && !p.Exec:
		return "commands in guests are off (PVE_MCP_ENABLE_EXEC is not true)"
	}
	return ""
}

// RefusedError means that a request was not sent because the policy forbids it.
type RefusedError struct {
	Method string
	Path   string
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s %s was not sent: %s", e.Method, e.Path, e.Reason)
}
