// Package rpc reads messages of JSON-RPC 2.0 before the MCP SDK does, so that what is
// looked at of a message is what is carried out: of whatever two programs could read in
// two ways, no message is made.
package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
)

// Limits of what is read at once. They lie far above what any client sends, and bound what
// becomes of a message in memory.
const (
	MaxBatch  = 32    // messages
	maxDepth  = 100   // of objects and lists in each other
	maxValues = 10000 // objects, lists, names and what they have, of all messages at once
	maxID     = 1<<53 - 1
	maxIDText = 1024 // bytes
)

// Message is what is looked at of a message.
type Message struct {
	ID     json.RawMessage // nil for none
	Method string          // "" of an answer
	Params Params
}

// Params are those that decide about a message.
type Params struct {
	Name      string // of a tool
	Arguments json.RawMessage
	TaskID    string
	Meta      map[string]any
}

// Call reports whether a message wants an answer.
func (m Message) Call() bool { return m.Method != "" && m.ID != nil }

// Read reads a message, or a batch of them. The error says which message it answers to,
// if that is certain.
func Read(data []byte) ([]Message, *Error) {
	if !utf8.Valid(data) {
		return nil, parseError("the message is not UTF-8")
	}
	if !json.Valid(data) {
		return nil, parseError("the message is not JSON, or is nested too deeply")
	}
	if err := exactjson.Check(data, exactjson.Limits{Depth: maxDepth, Tokens: maxValues, FoldCase: true}); err != nil {
		var repeated *exactjson.RepeatedKeyError
		if errors.As(err, &repeated) {
			return nil, invalid(nil, fmt.Sprintf("the name %.100q stands twice in an object of the message", repeated.Key))
		}
		return nil, invalid(nil, "the message "+err.Error())
	}
	var raws []json.RawMessage
	batch := bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("["))
	if !batch {
		raws = append(raws, data)
	} else if err := json.Unmarshal(data, &raws); err != nil {
		return nil, invalid(nil, err.Error())
	}
	if len(raws) == 0 {
		return nil, invalid(nil, "the batch is empty")
	}
	if len(raws) > MaxBatch {
		return nil, invalid(nil, fmt.Sprintf("the batch has %d messages; at most %d are taken at once", len(raws), MaxBatch))
	}
	all, seen := make([]Message, len(raws)), map[string]bool{}
	for i, raw := range raws {
		m, err := readOne(raw)
		if err == nil && m.Call() && seen[string(m.ID)] {
			err = invalid(nil, "two requests of the batch have the same id")
		}
		if err != nil {
			if batch {
				err.ID = nil
			}
			return nil, err
		}
		seen[string(m.ID)] = true
		all[i] = m
	}
	return all, nil
}

// readOne reads a message in which each name stands once.
func readOne(raw json.RawMessage) (m Message, _ *Error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return m, invalid(nil, "a message is a JSON object")
	}
	var ok bool
	if m.ID, ok = readID(fields["id"]); !ok {
		return m, invalid(nil, "the id of a message is a text of at most 1,024 bytes, or a whole number of at most 2^53-1")
	}
	if version, ok := text(fields["jsonrpc"]); !ok || version != "2.0" {
		return m, invalid(m.ID, `not a message of JSON-RPC 2.0: the member jsonrpc is not "2.0"`)
	}
	decoded, err := jsonrpc.DecodeMessage(raw)
	if err != nil {
		return m, invalid(m.ID, "not a message of JSON-RPC 2.0: "+err.Error())
	}
	request, given := decoded.(*jsonrpc.Request)
	if !given { // an answer
		if m.ID == nil || fields["result"] == nil && fields["error"] == nil {
			return m, invalid(m.ID, "the message has no method, and is no answer")
		}
		return m, nil
	}
	if m.Method, ok = text(fields["method"]); !ok || m.Method == "" || m.Method != request.Method {
		return m, invalid(m.ID, "the method of a message is a text")
	}
	return m, m.readParams(fields["params"])
}

func (m *Message) readParams(raw json.RawMessage) *Error {
	var params map[string]json.RawMessage
	if raw != nil && json.Unmarshal(raw, &params) != nil {
		return invalid(m.ID, "the params of a message are an object")
	}
	_ = json.Unmarshal(params["_meta"], &m.Params.Meta) // what is none is the SDK's to refuse
	name, named := text(params["name"])
	task, tasked := text(params["taskId"])
	if m.Method == "tools/call" && !named {
		return &Error{Code: jsonrpc.CodeInvalidParams, Message: "the params of tools/call have the name of a tool, as a text", ID: m.ID}
	}
	if strings.HasPrefix(m.Method, "tasks/") && params["taskId"] != nil && !tasked {
		return &Error{Code: jsonrpc.CodeInvalidParams, Message: "a taskId is a text", ID: m.ID}
	}
	m.Params.Name, m.Params.TaskID, m.Params.Arguments = name, task, params["arguments"]
	return nil
}

// text is a JSON string; null is none.
func text(raw json.RawMessage) (s string, ok bool) {
	return s, len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
}

// readID reads an id, or returns nil. A number has to be one that every reader takes for
// the same.
func readID(raw json.RawMessage) (id json.RawMessage, ok bool) {
	if raw == nil || string(raw) == "null" {
		return nil, true
	}
	if _, isText := text(raw); isText {
		return raw, len(raw) <= maxIDText
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return raw, err == nil && string(raw) != "-0" && -maxID <= n && n <= maxID
}
