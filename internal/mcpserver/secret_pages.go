package mcpserver

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/secretpage"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// secretPages are the pages on which a human is to type secrets, by the state of the question
// that they belong to. A form of MCP must not ask for a secret.
type secretPages struct {
	mu    sync.Mutex
	pages map[string]openPage // guarded by mu
}

type openPage struct {
	*secretpage.Page
	until time.Time // when nobody asks for its answer any more
}

// mostPages is how many pages wait at a time.
const mostPages = 20

// open opens a page for a question, and returns what sends the human there.
func (s *secretPages) open(q tool.Question) (*mcp.ElicitParams, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.pages, func(_ string, p openPage) bool { return time.Now().After(p.until) })
	if len(s.pages) >= mostPages {
		return nil, errors.New("too many pages for secrets wait already")
	}
	page, err := secretpage.Open(q.Secrets.About, q.Secrets.Names, change.ConsentTime)
	if err != nil {
		return nil, err
	}
	if s.pages == nil {
		s.pages = map[string]openPage{}
	}
	s.pages[q.State] = openPage{page, time.Now().Add(2 * change.ConsentTime)}
	return &mcp.ElicitParams{
		Mode: "url", URL: page.URL(), ElicitationID: rand.Text(),
		Message: "Type " + strings.Join(q.Secrets.Names, ", ") + " on a page of pve-mcp on this machine. The assistant does not see what you type.",
	}, nil
}

// typedFor returns what waits for the answer on the page that belongs to a call.
func (s *secretPages) typedFor(req *mcp.CallToolRequest) func(context.Context, tool.SecretForm) (map[string]string, error) {
	return func(ctx context.Context, form tool.SecretForm) (map[string]string, error) {
		again := func(why string) error {
			return explain.Refusal("Call again if the user wants to be asked once more.", "%s: %s. Nothing was sent.", form.About, why)
		}
		s.mu.Lock()
		page, waits := s.pages[req.Params.RequestState]
		delete(s.pages, req.Params.RequestState)
		s.mu.Unlock()
		if !waits {
			return nil, again("the page for the secret is gone")
		}
		defer page.Close()
		opened, ok := req.Params.InputResponses[secretsID].(*mcp.ElicitResult)
		if !ok || opened.Action != "accept" {
			return nil, again("the user did not open the page for the secret")
		}
		typed, err := page.Wait(ctx)
		if errors.Is(err, secretpage.ErrGone) {
			return nil, again("the user typed nothing in time")
		}
		return typed, err
	}
}
