package ctshell

import "fmt"

// Reason says why no command can be run by a console.
type Reason int

// The reasons.
const (
	Refused   Reason = iota // PVE's terminal proxy does not let the token in
	Login                   // it asks for a login
	Ended                   // it ended by itself
	InUse                   // somebody uses it
	NoPrompt                // there is no prompt of a shell
	Elsewhere               // its shell is not that of the container
	Lacks                   // a program is missing in the container
)

// UnusableError says why no command can be run by a console. Nothing was run.
type UnusableError struct {
	Why    Reason
	Detail string // such as what the console shows
}

var reasons = map[Reason]string{
	Refused:   "the terminal proxy did not let the connection in",
	Login:     "the console asks for a login",
	Ended:     "the console has ended",
	InUse:     "somebody uses the console",
	NoPrompt:  "the console shows no prompt of a shell",
	Elsewhere: "the shell on the console is not the container's own",
	Lacks:     "the container lacks a program",
}

func (e *UnusableError) Error() string {
	if e.Detail == "" {
		return reasons[e.Why]
	}
	return fmt.Sprintf("%s: %s", reasons[e.Why], e.Detail)
}

// LostError says that the connection was lost, or that the console stopped answering, while a
// command may have been running. The container ends the command by itself after some time.
type LostError struct{ Err error }

func (e *LostError) Error() string { return fmt.Sprintf("the console stopped answering: %v", e.Err) }

func (e *LostError) Unwrap() error { return e.Err }
