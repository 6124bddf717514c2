package pve

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// FileRead reads a file in a VM by its guest agent, at most 16 MiB (VM.Monitor up to PVE 8,
// VM.GuestAgent.FileRead from 9). truncated means that there is more.
func (c *Client) FileRead(ctx context.Context, g GuestRef, file string) (data []byte, truncated bool, err error) {
	type answer struct {
		Content   lenient.Opt[string] `json:"content"`
		Truncated lenient.Opt[bool]   `json:"truncated"`
	}
	got, err := proxmox.Get[answer](ctx, c.Client, g.path("agent", "file-read"), url.Values{"file": {file}})
	if err != nil {
		return nil, false, err
	}
	return fromAgentText(got.Content.Value), got.Truncated.Value, nil
}

// FileWrite makes data, of at most 45 KiB, the content of a file in a VM by its guest agent
// (VM.Monitor up to PVE 8, VM.GuestAgent.FileWrite from 9).
func (c *Client) FileWrite(ctx context.Context, g GuestRef, file string, data []byte) error {
	_, err := c.Do(ctx, http.MethodPost, g.path("agent", "file-write"), url.Values{
		"file": {file}, "content": {base64.StdEncoding.EncodeToString(data)}, "encode": {"0"},
	})
	return err
}
