package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestexec"
	"github.com/pve-mcp/pve-mcp/internal/localfiles"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type writeFileIn struct {
	fileArguments
	Text   string `json:"text,omitzero" jsonschema:"its new content"`
	Base64 string `json:"base64,omitzero" jsonschema:"or: its new bytes"`
	Append bool   `json:"append,omitzero" jsonschema:"add to its end; default: replace it"`
	localArgument
}

type writeFileState struct {
	writeFileIn
	Place  guestexec.Place `json:"place"`
	Data   []byte          `json:"data"`
	Size   int64           `json:"size"`
	Facts  guestexec.Facts `json:"facts"`
	SHA256 string          `json:"sha256"`
	Other  bool            `json:"other,omitzero"` // what was read afterwards
}

type writeFileOut struct {
	change.Answer
	fileFacts
	SHA256 string `json:"sha256,omitzero" jsonschema:"of the whole file, as the guest has it"`
}

func writeFile() tool.Tool {
	return change.New(change.Spec[writeFileIn, writeFileState, writeFileOut]{
		Name:  "pve_write_file",
		Title: "Write a file in a guest",
		Doc: "Copy, write or change a file or script in a VM (by its agent) or a container (by its console): it is replaced as a whole once all has arrived, with " +
			"its mode and owner, or appended to.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100,"path":"/tmp/pve-mcp.txt","text":"hello"}`},
			{Arguments: `{"vmid":203,"path":"/tmp/pve-mcp.txt","text":"hello"}`, Since: "9.2"},
		},
		Worst:  policy.Exec,
		Risk:   func(writeFileIn) policy.Risk { return policy.Exec },
		Needs:  fileNeeds(),
		Plan:   planWriteFile,
		Start:  startWriteFile,
		Finish: finishWriteFile,
	})
}

const (
	// mostWritten is the most bytes of a call.
	mostWritten = 256 << 20
	// mostByAgent is the most bytes that the agent's own call takes: base64 makes 60 KiB of it.
	mostByAgent = 45 << 10
)

func planWriteFile(ctx context.Context, c *tool.Call, in writeFileIn) (change.Plan, writeFileState, error) {
	s := writeFileState{writeFileIn: in}
	var err error
	if err = s.look(c); err != nil {
		return change.Plan{}, s, err
	}
	if s.Place, err = in.findFile(ctx, c); err != nil {
		return change.Plan{}, s, err
	}
	does := "Writing"
	if in.Append {
		does = "Appending to the end"
	}
	plan := in.planFile(s.Place, does)
	plan.Consequences = append(plan.Consequences, fmt.Sprintf("%d bytes are written", s.Size))
	if !in.Append {
		plan.Consequences = append(plan.Consequences, "what the file has now is lost")
	}
	switch {
	case s.Place.Windows && in.Append:
		err = explain.Refusal("Append with a command of the guest (pve_vm_exec).", "The agent of %v, which runs Windows, can only replace a file.", s.Place.Guest)
	case s.Place.Windows && s.Size > mostByAgent:
		err = explain.Refusal("Bring it there another way, such as by a download in the guest.", "The agent of %v, which runs Windows, writes at most %d bytes; these are %d.", s.Place.Guest, mostByAgent, s.Size)
	}
	return plan, s, err
}

// look sets the content, or the size of a local file that has it.
func (s *writeFileState) look(c *tool.Call) (err error) {
	if s.LocalPath == "" {
		s.Data, err = s.content()
		s.Size, s.Text, s.Base64 = int64(len(s.Data)), "", ""
	} else if s.Text != "" || s.Base64 != "" {
		err = tool.BadArgument("local_path", "is in place of text and base64")
	} else {
		s.Size, err = s.sizeOfLocal(c)
	}
	if err == nil && s.Size > mostWritten {
		err = tool.BadArgument("text", fmt.Sprintf("has %d bytes; a call writes at most %d: write the rest with append: true", s.Size, mostWritten))
	}
	return err
}

func (s *writeFileState) sizeOfLocal(c *tool.Call) (int64, error) {
	local, err := localfiles.In(c).Open(s.LocalPath)
	if err != nil {
		return 0, err
	}
	defer func() { _ = local.Close() }() // it was only looked at
	info, err := local.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// content is what is to be written.
func (in writeFileIn) content() ([]byte, error) {
	switch {
	case in.Text != "" && in.Base64 != "":
		return nil, tool.BadArgument("text", "is one of two: give text or base64")
	case in.Text == "" && in.Base64 == "":
		return nil, tool.BadArgument("text", "is missing: give text or base64; pve_vm_exec with truncate -s 0 empties a file")
	case in.Text != "":
		return []byte(in.Text), nil
	}
	data, err := base64.StdEncoding.DecodeString(in.Base64)
	if err != nil {
		return nil, tool.BadArgument("base64", "is not base64, such as aGVsbG8K")
	}
	return data, nil
}

func startWriteFile(ctx context.Context, c *tool.Call, s *writeFileState) (change.Job, error) {
	data := io.Reader(bytes.NewReader(s.Data))
	if s.LocalPath != "" {
		local, err := localfiles.In(c).Open(s.LocalPath)
		if err != nil {
			return change.Job{}, err
		}
		defer func() { _ = local.Close() }() // it was only read
		info, err := local.Stat()
		if err != nil {
			return change.Job{}, err
		}
		if info.Size() != s.Size { // which the plan has said
			return change.Job{}, explain.Refusal("Call again when nothing writes there.", "%s had %d bytes, and has %d now. Nothing was written.", render.Text(s.LocalPath, 200), s.Size, info.Size())
		}
		data = io.LimitReader(local, s.Size)
	}
	if s.Place.Windows {
		var err error
		if s.Data, err = io.ReadAll(data); err != nil {
			return change.Job{}, err
		}
		return change.Job{}, s.writeByAgent(ctx, c)
	}
	return change.Job{}, s.withFile(ctx, c, s.Place.Guest, func(f *guestexec.File) (err error) {
		s.Facts, s.SHA256, err = f.Write(ctx, data, s.Size, s.Append)
		return err
	})
}

// writeByAgent writes a file of Windows, and reads what it has then.
func (s *writeFileState) writeByAgent(ctx context.Context, c *tool.Call) error {
	_, _, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (struct{}, error) {
		return struct{}{}, c.PVE.FileWrite(ctx, g, s.Path, s.Data)
	})
	if err != nil {
		return err
	}
	_, got, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) ([]byte, error) {
		data, _, err := c.PVE.FileRead(ctx, g, s.Path)
		return data, err
	})
	sum := sha256.Sum256(got)
	s.Facts.Size, s.SHA256 = int64(len(got)), hex.EncodeToString(sum[:])
	s.Other = err != nil || !bytes.Equal(got, s.Data)
	return nil
}

func finishWriteFile(_ context.Context, _ *tool.Call, s writeFileState, _ change.End) (writeFileOut, error) {
	out := writeFileOut{fileFacts: fileFacts{VMID: s.VMID, Path: render.Text(s.Path, mostPath)}, SHA256: s.SHA256}
	out.set(s.Facts)
	did := "written to"
	if s.Append {
		did = "appended to"
	}
	out.Message = fmt.Sprintf("%d bytes were %s %s in %s, and verified.", s.Size, did, out.Path, s.Place.Label)
	switch {
	case s.Other:
		out.SHA256, out.Size = "", nil
		out.SetOutcome(tool.Unknown, "Read it with pve_read_file.", "%s in %s was written, but what was read afterwards is not the same, or could not be read.", out.Path, s.Place.Label)
	case s.Place.Windows:
		out.Message += " On Windows it is not replaced as a whole, and its mode and owner are not looked at."
	}
	return out, nil
}
