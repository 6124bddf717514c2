package tool

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Result is the answer to a call.
type Result struct {
	// Structured is the answer as minified JSON; nil for an error that has only its text.
	Structured json.RawMessage
	// Text is the answer for a reader: the same JSON, or the error.
	Text string
	// Content is what the answer has beside its JSON.
	Content []Content
	// IsError says that the call did not do what was asked.
	IsError bool
	// Outcome is that of a change, "" for a tool that reads.
	Outcome Outcome
	// Handle answers for a change that goes on, "" if none does.
	Handle string
	// Detached says that the call did not wait, since its caller follows the change.
	Detached bool
	// Interrupted says that the change failed because somebody has stopped its task.
	Interrupted bool
	// Question, if not nil, is to be asked before the change is made; then the call is
	// made again, with the reply.
	Question *Question
	// Fault says whose fault an error is, as far as that is clear.
	Fault Fault
}

// Outcome says how a change ended.
type Outcome string

// The outcomes of a change.
const (
	OK                Outcome = "ok"
	Warnings          Outcome = "warnings"           // done, and PVE warned
	Failed            Outcome = "failed"             // refused, or tried without success
	Running           Outcome = "running"            // begun, and not over yet
	NeedsConfirmation Outcome = "needs_confirmation" // nothing was sent
	Declined          Outcome = "declined"           // by the human; nothing was sent
	Unknown           Outcome = "unknown"            // sent, and the answer did not come
	Planned           Outcome = "planned"            // nothing was sent, and nothing was to be
)

// Outcomes are all outcomes.
func Outcomes() []Outcome {
	return []Outcome{OK, Warnings, Failed, Running, NeedsConfirmation, Declined, Unknown, Planned}
}

// OutcomeOf returns what a task's status says of the task: Running, OK, Warnings or Failed.
func OutcomeOf(s proxmox.TaskStatus) Outcome {
	switch {
	case s.Running():
		return Running
	case s.Warnings() > 0:
		return Warnings
	case s.Succeeded():
		return OK
	}
	return Failed
}

// Fault is the kind of an error.
type Fault int

// The kinds of errors.
const (
	NoFault      Fault = iota
	BadArguments       // the call was not understood
	Refused            // the policy of this process forbids it
)

// FaultOf returns whose fault an error is.
func FaultOf(err error) Fault {
	var bad *argumentError
	var badName *cluster.NameError
	var refused *policy.RefusedError
	switch {
	case errors.As(err, &bad), errors.As(err, &badName):
		return BadArguments
	case errors.As(err, &refused):
		return Refused
	}
	return NoFault
}

// ResultOf returns the result that has an answer, to which out points. Its lists are not
// null.
func ResultOf(out any) Result {
	fillLists(reflect.ValueOf(out).Elem())
	return resultWith(out, exactjson.Encode(out))
}

func resultWith(out any, data json.RawMessage) Result {
	content, _ := attachmentsOf(out)
	return Result{Structured: data, Text: string(data), Content: content}
}

// fillLists makes the lists of an answer that are nil empty, so that they are not written as
// null. A list that is left out if it is empty stays nil.
func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Kind() == reflect.Slice && f.IsNil() && f.CanSet() && !strings.Contains(v.Type().Field(i).Tag.Get("json"), ",omit") {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			}
			fillLists(f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fillLists(v.Index(i))
		}
	}
}
