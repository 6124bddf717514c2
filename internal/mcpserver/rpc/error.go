package rpc

import (
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// Error says why what was sent is no message.
type Error struct {
	Code    int64
	Message string
	ID      json.RawMessage // of the message, nil if it is not certain
}

// Error implements [error].
func (e *Error) Error() string { return e.Message }

// Answer is the answer that tells the client.
func (e *Error) Answer() []byte {
	id := e.ID
	if id == nil {
		id = json.RawMessage("null")
	}
	answer, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   *jsonrpc.Error  `json:"error"`
	}{"2.0", id, &jsonrpc.Error{Code: e.Code, Message: e.Message}})
	if err != nil {
		panic(err) // the id came out of JSON
	}
	return answer
}

func parseError(why string) *Error { return &Error{Code: jsonrpc.CodeParseError, Message: why} }

func invalid(id json.RawMessage, why string) *Error {
	return &Error{Code: jsonrpc.CodeInvalidRequest, Message: why, ID: id}
}
