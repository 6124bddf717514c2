package pvesim

import (
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
)

// mostRead is how much of a file PVE reads at once.
const mostRead = 16 << 20

// latin1 is how PVE hands on bytes that an agent sends: each as the character of that number.
func latin1(b []byte) string {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return string(out)
}

// fromLatin1 are the bytes of a text that PVE sends to an agent.
func fromLatin1(text, where string) (string, error) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return "", die("Wide character in subroutine entry at %s.", where)
		}
		out = append(out, byte(r))
	}
	return string(out), nil
}

// windows reports whether the system of a guest is Windows.
func (g *guest) windows() bool {
	return strings.HasPrefix(g.Config["ostype"], "w")
}

// openByAgent opens a file as the guest's agent does.
func (c *call) openByAgent(g *guest, mode string, flags int) (*memfs.File, error) {
	name := c.str("file")
	path := name
	if g.windows() {
		path = "/" + strings.ReplaceAll(name, `\`, "/")
	}
	f, err := c.insideOf(g).FS.Open(path, flags, 0o644)
	if err == nil {
		return f, nil
	}
	text := err.Error()
	if g.windows() && errors.Is(err, memfs.ErrNotExist) {
		text = "The system cannot find the file specified."
	}
	return nil, agentError("failed to open file '%s' (mode: '%s'): %s", name, mode, text)
}

func agentFileRead(c *call, g *guest) (any, error) {
	f, err := c.openByAgent(g, "r", os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	f.StartAt(int64(c.number("offset", 0)))
	data, err := io.ReadAll(io.LimitReader(f, int64(c.number("count", mostRead))))
	if err != nil {
		return nil, agentError("failed to read file: %v", err)
	}
	out := map[string]any{"content": latin1(data), "bytes-read": len(data)}
	if c.str("decode") == "0" {
		out["content"] = base64.StdEncoding.EncodeToString(data)
	}
	if int64(c.number("offset", 0)+len(data)) < f.Info().Size() {
		out["truncated"] = 1
	}
	return out, nil
}

func agentFileWrite(c *call, g *guest) (any, error) {
	content, err := fromLatin1(c.str("content"), "/usr/share/perl5/PVE/API2/Qemu/Agent.pm line 569")
	if err != nil {
		return nil, err
	}
	if c.str("encode") == "0" {
		decoded, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			return nil, agentError("failed to decode base64 data")
		}
		content = string(decoded)
	}
	f, err := c.openByAgent(g, "wb", os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write([]byte(content)); err != nil {
		return nil, agentError("failed to write to file: %v", err)
	}
	return nil, nil
}
