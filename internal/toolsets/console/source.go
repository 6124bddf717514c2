package console

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

// source is the console that a call is about.
type source struct {
	Guest    pve.GuestRef `json:"guest"`
	Label    string       `json:"label"`
	Terminal bool         `json:"terminal"` // a container's, or a serial port
	Keyboard string       `json:"keyboard"` // that QEMU was started with
	Mode     string       `json:"mode"`     // of a container's console
}

// mayBeShell reports whether the console may be a shell of root.
func (s source) mayBeShell() bool { return s.Guest.Kind == pve.LXC }

// find looks up the console of a guest: of a VM its screen, or the serial port if that is
// wanted or takes the place of the screen.
func find(ctx context.Context, c *tool.Call, id pve.VMID, serial bool) (source, error) {
	g, status, err := c.Live(ctx, id)
	if err != nil {
		return source{}, err
	}
	src := source{Guest: g, Label: fmt.Sprintf("%v (%s)", g, render.Text(status.Name.Value, 60)), Terminal: serial || g.Kind == pve.LXC}
	if state := status.State(); state == "stopped" || state == "suspended" {
		return src, explain.Refusal("Start it first, with pve_guest_power.", "%v is %s, so its console shows nothing.", g, state)
	}
	_, config, err := c.CurrentConfig(ctx, id)
	if err != nil {
		return src, err
	}
	if g.Kind == pve.LXC {
		src.Mode = config.Values["cmode"]
		return src, nil
	}
	src.Keyboard = config.Values["keyboard"]
	display := displayOf(config)
	hasPort := slices.ContainsFunc([]string{"serial0", "serial1", "serial2", "serial3"}, func(key string) bool { return config.Values[key] != "" })
	switch {
	case strings.HasPrefix(display, "serial"):
		src.Terminal = true
	case serial && !hasPort:
		return src, explain.Refusal(`Add one with pve_update_guest_config, set: {"serial0":"socket"}, and shut the VM down and start it again. Its system has to use it, too: Linux with console=ttyS0.`, "%v has no serial port.", g)
	case !serial && display == "none":
		return src, explain.Refusal(`If it has a serial port, call with serial: true. Else give it a screen with pve_update_guest_config, set: {"vga":"std"}, and restart it.`, "%v has no screen (vga: none).", g)
	}
	return src, nil
}

// displayRE matches the kind of a screen in the VM's option vga.
var displayRE = lazyregexp.New(`^(?:type=)?([a-z0-9-]+)`)

func displayOf(config pve.GuestConfig) string {
	if m := displayRE.FindStringSubmatch(config.Values["vga"]); m != nil {
		return m[1]
	}
	return "std"
}

// target is the request that carries the console, and what is typed there.
func (s source) target() policy.Target {
	return change.GuestTarget("GET", s.Guest, "/vncwebsocket")
}

// checkLook refuses the console of a container to a caller that may run no commands: it may be
// a shell of root.
func (s source) checkLook(c *tool.Call) error {
	const what = "the console of a container may be a shell of root, and "
	if !s.mayBeShell() {
		return nil
	}
	if reason := c.RefusalOf(policy.Exec); reason != "" {
		return &policy.RefusedError{Reason: what + reason}
	}
	if len(c.Host().Policy.ExecAllow) > 0 {
		return &policy.RefusedError{Reason: what + "PVE_MCP_EXEC_ALLOW limits commands in guests"}
	}
	return nil
}
