package clients

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"path/filepath"
	"strings"
	"testing"
)

// part is a part of an answer, as a client gives it to its host.
type part struct{ Type, Text, MIMEType, Data string }

// shows reports what is wrong with an answer that is facts as text and a picture.
func shows(t *testing.T, content []part, facts string) {
	t.Helper()
	if len(content) != 2 || content[0].Type != "text" || !strings.Contains(content[0].Text, facts) || content[1].Type != "image" || content[1].MIMEType != "image/png" {
		t.Fatalf("%+v", content)
	}
	data, err := base64.StdEncoding.DecodeString(content[1].Data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(data)); err != nil || len(data) > 120_000 {
		t.Errorf("%d bytes: %v", len(data), err)
	}
}

// Clients show the pictures that tools answer with, and the facts as text: they have no
// structured content, which would be all that some hosts give to a model.
func TestPictures(t *testing.T) {
	binary := install(t)
	server := []string{binary, "--demo", "--toolsets", "all"}
	for _, tool := range []struct{ name, arguments, facts string }{
		{"pve_console", `{"vmid":100,"picture":true}`, "The console of VM 100 (web-1)"},
		{"pve_chart", `{"of":"100","period":"24h"}`, "100 web-1"},
	} {
		for _, client := range [][]string{{"v1", "legacy"}, {"v2", "legacy"}, {"v2", "2026-07-28"}} {
			t.Run(tool.name+" TypeScript SDK "+strings.Join(client, " "), func(t *testing.T) {
				out, status := run(t, "node", append([]string{"picture.mjs", client[0], client[1], tool.name, tool.arguments}, server...)...)
				var got struct {
					IsError, Structured bool
					Content             []part
				}
				if err := json.Unmarshal(out, &got); err != nil || status != 0 || got.IsError || got.Structured {
					t.Fatalf("status %d, %v: %.300s", status, err, out)
				}
				shows(t, got.Content, tool.facts)
			})
		}
	}
	for _, era := range []string{"legacy", "modern", "auto"} {
		t.Run("MCP Inspector "+era, func(t *testing.T) {
			inspector := filepath.Join("node_modules", ".bin", "mcp-inspector")
			args := append([]string{"--cli"}, server...)
			args = append(args, "--protocol-era", era, "--method", "tools/call", "--tool-name", "pve_console", "--tool-arg", "vmid=100", "--tool-arg", "picture=true")
			out, status := run(t, inspector, args...)
			var got struct {
				Content           []part
				StructuredContent json.RawMessage
			}
			if err := json.Unmarshal(out, &got); err != nil || status != 0 || got.StructuredContent != nil {
				t.Fatalf("status %d, %v: %.300s", status, err, out)
			}
			shows(t, got.Content, "The console of VM 100 (web-1)")
		})
	}
}
