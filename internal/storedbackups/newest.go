package storedbackups

import (
	"context"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// NewestGood finds the newest good backup of a guest, with notes about which that is, which
// newer ones were passed over, and where there may be others. unfit says why what is on a store
// is of no use to the caller, "" if it is.
func NewestGood(ctx context.Context, c *tool.Call, perms pve.Permissions, guest pve.VMID, unfit func(on cluster.Store) string) (coverage.Backup, []string, error) {
	stores, err := c.Stores(ctx)
	if err != nil {
		return coverage.Backup{}, nil, err
	}
	stores = cluster.StoresFor("backup", stores)
	found, unseen, err := List(ctx, c, stores, guest)
	if err != nil {
		return coverage.Backup{}, nil, err
	}
	unseen = append(Hidden(perms, stores, ""), unseen...)
	kind, whose := "", fmt.Sprintf("guest %v, which is not there or cannot be seen", guest)
	if g, err := c.Guest(ctx, guest); err == nil {
		kind, whose = g.Type, fmt.Sprintf("%v (%s)", g.Ref(), render.Text(g.Name.Value, 60))
	}
	var passed []string
	for _, s := range found {
		b := coverage.BackupOf(s.Volume, s.On)
		label := fmt.Sprintf("%s, made %s", render.Text(b.Volume.String(), 200), render.Time(b.Made))
		if why := reasonPassed(b, s, kind, unfit); why != "" {
			passed = append(passed, label+": "+why)
			continue
		}
		notes := []string{fmt.Sprintf("the backup is %s, the newest good one of %s%s", label, whose, verification(b))}
		notes = append(notes, few("a newer one was passed over: ", passed)...)
		return b, append(notes, few("a newer one may be there: ", unseen)...), nil
	}
	next := "pve_list_backups shows what there is."
	if len(unseen) > 0 {
		next = "What is not seen: " + render.Text(strings.Join(unseen, "; "), 600) + "."
	}
	if passed != nil {
		return coverage.Backup{}, nil, explain.Refusal("To restore one of them all the same, give it as archive. "+next, "No backup of %s is good that can be restored here: %s. Nothing was sent.", whose, render.Text(strings.Join(passed, "; "), 800))
	}
	return coverage.Backup{}, nil, explain.Refusal(next, "There is no backup of %s that this token can see. Nothing was sent.", whose)
}

// reasonPassed says why a backup is not taken, "" if it is.
func reasonPassed(b coverage.Backup, s Backup, kind string, unfit func(on cluster.Store) string) string {
	switch {
	case b.Verified == "failed":
		return "it failed its verification"
	case b.Unfinished:
		return "it is not finished"
	case kind != "" && b.Kind != "unknown" && b.Kind != kind:
		return "it is of another guest, which had the id before"
	}
	return unfit(s.On)
}

// verification says what is known of a good backup on a server.
func verification(b coverage.Backup) string {
	switch {
	case b.Verified == "ok":
		return " (verified)"
	case b.OnServer:
		return " (never verified)"
	}
	return ""
}

// mostPassed is how many backups are named that were passed over.
const mostPassed = 5

func few(what string, all []string) []string {
	var out []string
	for _, one := range all[:min(mostPassed, len(all))] {
		out = append(out, what+one)
	}
	if more := len(all) - mostPassed; more > 0 {
		out = append(out, fmt.Sprintf("%s%d more", what, more))
	}
	return out
}
