package mcpserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
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
		all, problem := readLine(line)
		switch {
		case len(line) == 0 && err != nil:
			return 0, err
		case len(line) == 0:
		case problem == nil:
			m.rest = apart(line, all)
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

// next reads a line, of which it keeps little if it is too long.
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

// readLine reads the messages of a line, or says what is wrong with it.
func readLine(line []byte) ([]rpc.Message, *rpc.Error) {
	if len(line) > maxMessage {
		return nil, &rpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "the message is longer than 8 MiB"}
	}
	all, problem := rpc.Read(line)
	if problem != nil && problem.Code == jsonrpc.CodeParseError {
		problem.Message = "the line is not JSON; a message is one line"
	}
	return all, problem
}

// apart gives each message of a batch that wants no answer a line of its own: the SDK ends
// the session if a batch has two of them.
func apart(line []byte, all []rpc.Message) []byte {
	var raws, calls []json.RawMessage
	if len(all) == 1 || json.Unmarshal(line, &raws) != nil {
		return append(line, '\n')
	}
	var out []byte
	for i, m := range all {
		if m.Call() {
			calls = append(calls, raws[i])
			continue
		}
		out = append(append(out, raws[i]...), '\n')
	}
	if len(calls) == 0 {
		return out
	}
	batch := []byte("[")
	for _, call := range calls {
		batch = append(append(batch, call...), ',')
	}
	batch[len(batch)-1] = ']'
	return append(append(out, batch...), '\n')
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
