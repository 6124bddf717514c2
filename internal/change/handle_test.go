package change_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// A handle waits for a secret that comes late no longer than its caller does, and without a
// secret nothing is sealed or opened.
func TestHandleWithoutASecret(t *testing.T) {
	never := make(chan string)
	defer close(never)
	late := proxmox.LateSecret(func() (string, error) { return <-never, nil })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(0, cancel)
	if _, err := change.Open(ctx, tool.Host{Secret: late}, tool.Request{}, "x"); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("late: %v", err)
	}
	if _, err := change.Open(t.Context(), tool.Host{}, tool.Request{}, "x"); err == nil || !strings.Contains(err.Error(), "no secret") {
		t.Errorf("none: %v", err)
	}
}
