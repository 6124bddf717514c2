package mcpserver_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

var proofRE = regexp.MustCompile(`name="proof" value="([^"]+)"`)

var nameRE = regexp.MustCompile(`name="secret-([^"]+)"`)

// typeOnPage types a password on the page of a URL.
func typeOnPage(address, password string) (page string, err error) {
	resp, err := http.Get(address)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	proof := proofRE.FindSubmatch(body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || proof == nil {
		return string(body), errors.Join(err, errors.New("no form"))
	}
	resp, err = http.PostForm(address, url.Values{"proof": {string(proof[1])}, "secret-" + nameRE.FindStringSubmatch(string(body))[1]: {password}})
	if err != nil {
		return string(body), err
	}
	return string(body), resp.Body.Close()
}

// A secret is typed on a page that the client only opens. The form in which the human consents
// asks for none, and what is typed comes to PVE and to nobody else.
func TestSecretsOnAPage(t *testing.T) {
	const secret = "correct horse battery"
	for _, tt := range []struct {
		name, token, action string
		pages               bool // the client can open them
		args                map[string]any
		asked               string // in which ways
		outcome, message    string
	}{
		{"typed", "root@pam!full", "accept", true, map[string]any{"method": "POST", "path": "/access/users", "params": map[string]any{"userid": "new@pve"}, "ask_user": []string{"password"}}, "form url", "ok", "done"},
		{"without consent", "root@pam!full", "accept", true, map[string]any{"method": "PUT", "path": "/nodes/{node}/qemu/100/config", "ask_user": []string{"cipassword"}}, "url", "ok", "done"},
		{"not opened", "root@pam!full", "decline", true, map[string]any{"method": "POST", "path": "/access/users", "params": map[string]any{"userid": "new@pve"}, "ask_user": []string{"password"}}, "form url", "failed", "the user did not open the page"},
		{"a client without pages", "root@pam!full", "accept", false, map[string]any{"method": "POST", "path": "/access/users", "params": map[string]any{"userid": "new@pve"}, "ask_user": []string{"password"}}, "", "failed", "this client cannot ask for one"},
	} {
		for _, era := range []string{"2025-11-25", "2026-07-28"} {
			t.Run(tt.name+" "+era, func(t *testing.T) {
				var mu sync.Mutex
				asked := map[string]*mcp.ElicitParams{}
				w := sim.New(t, sim.Options{Token: tt.token, Policy: policy.Policy{Access: true}})
				ours, theirs := mcp.NewInMemoryTransports()
				s := mcpserver.New(mcpserver.Options{Version: "test", Host: w.Host, LocalPages: true, Selection: toolset.Selection{Toolsets: []string{"standard"}}})
				session, err := s.Connect(t.Context(), theirs, nil)
				if err != nil {
					t.Fatal(err)
				}
				o := &mcp.ClientOptions{ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					mu.Lock()
					asked[req.Params.Mode] = req.Params
					mu.Unlock()
					if req.Params.Mode == "form" {
						return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"confirm": true}}, nil
					}
					if tt.action == "accept" {
						page, err := typeOnPage(req.Params.URL, secret)
						if err != nil || !strings.Contains(page, "new@pve") && !strings.Contains(page, "/qemu/100/config") {
							t.Errorf("%v: %s", err, page)
						}
					}
					return &mcp.ElicitResult{Action: tt.action}, nil
				}}
				if tt.pages {
					o.Capabilities = &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{Form: &mcp.FormElicitationCapabilities{}, URL: &mcp.URLElicitationCapabilities{}}}
				}
				client, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o).Connect(t.Context(), ours, &mcp.ClientSessionOptions{ProtocolVersion: era})
				if err != nil {
					t.Fatal(err)
				}
				res, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: "pve_api_change", Arguments: tt.args})
				if err != nil {
					t.Fatal(err)
				}
				text := res.Content[0].(*mcp.TextContent).Text
				fields, _ := res.StructuredContent.(map[string]any)
				if fields["outcome"] != tt.outcome || !strings.Contains(text, tt.message) || strings.Contains(text, "horse") {
					t.Errorf("%s", text)
				}
				var ways []string
				for _, way := range []string{"form", "url"} {
					if asked[way] != nil {
						ways = append(ways, way)
					}
				}
				if got := strings.Join(ways, " "); got != tt.asked {
					t.Errorf("asked by %q, want %q", got, tt.asked)
				}
				if page := asked["url"]; page != nil && (!strings.HasPrefix(page.URL, "http://127.0.0.1:") || page.RequestedSchema != nil || strings.Contains(page.Message, "horse")) {
					t.Errorf("%+v", page)
				}
				if sent := sim.Writes(w.Sent()); len(sent) > 0 != (tt.outcome == "ok") {
					t.Errorf("%v", sent)
				}
				if err := errors.Join(client.Close(), session.Wait()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
