package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"pve-mcp/internal/rpc"
)

// maxMessage bounds the bytes of a message from the client.
const maxMessage = 8 << 20

// messages passes on the lines of a client that are messages of JSON-RPC 2.0, or
// batches of them, and answers the others with an error. The SDK's own reader would end
// the session at the first mistake.
type messages struct {
	in   *bufio.Reader
	out  io.Writer // takes whole lines
	rest []byte    // of a line that is being passed on
}

func newMessages(in io.Reader, out io.Writer) *messages {
	return &messages{in: bufio.NewReaderSize(in, 64<<10), out: out}
}

// Read implements [io.Reader].
func (m *messages) Read(p []byte) (int, error) {
	for len(m.rest) == 0 {
		line, err := m.next()
		line = bytes.TrimSpace(line)
		problem := problemWith(line)
		switch {
		case len(line) == 0 && err != nil:
			return 0, err
		case len(line) == 0:
		case problem == nil:
			m.rest = append(line, '\n')
		default:
			if err := m.refuse(line, problem); err != nil {
				return 0, err
			}
		}
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// next reads a line, of which it keeps little where it is too long.
func (m *messages) next() ([]byte, error) {
	var line []byte
	for {
		part, err := m.in.ReadSlice('\n')
		if len(line) <= maxMessage {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// problemWith returns what is wrong with a line, nil where it is a message.
func problemWith(line []byte) *rpc.Error {
	if len(line) > maxMessage {
		return &rpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "the message is longer than 8 MiB"}
	}
	_, problem := rpc.Read(line)
	if problem != nil && problem.Code == jsonrpc.CodeParseError {
		problem.Message = "the line is not JSON; a message is one line"
	}
	return problem
}

// refuse answers a line that is no message, unless it was meant as an answer itself.
func (m *messages) refuse(line []byte, problem *rpc.Error) error {
	var seen struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	_ = json.Unmarshal(line, &seen) // what cannot be read is absent
	if seen.Result != nil || seen.Error != nil {
		return nil
	}
	_, err := m.out.Write(append(problem.Answer(), '\n'))
	return err
}
