package console

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/screen"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// goal is what a console is watched for.
type goal struct {
	text  string        // that appears, or
	quiet time.Duration // without a change
}

var quietRE = lazyregexp.New(`^(\d{1,4}) ?s$`)

// goalOf reads the argument wait_for.
func goalOf(text string) goal {
	if m := quietRE.FindStringSubmatch(text); m != nil {
		seconds, _ := strconv.Atoi(m[1]) // four digits at most
		return goal{quiet: time.Duration(seconds) * time.Second}
	}
	return goal{text: text}
}

func (g goal) none() bool { return g == goal{} }

// reached reports whether a view, unchanged for some time, is what is waited for.
func (g goal) reached(v view, unchanged time.Duration) bool {
	if g.text == "" {
		return unchanged >= g.quiet
	}
	find := func(between string) bool {
		return strings.Contains(strings.ToLower(strings.Join(v.lines, between)), strings.ToLower(g.text))
	}
	return find("\n") || find("") // that goes on in the next line
}

// missed says that the goal was not reached.
func (g goal) missed(after time.Duration) string {
	if g.text == "" {
		return fmt.Sprintf("it has not stood still for %s within %s", render.Duration(g.quiet), render.Duration(after))
	}
	return fmt.Sprintf("%q has not appeared within %s", render.Said(g.text, 60), render.Duration(after))
}

const (
	// glance is how often a console is looked at.
	glance = 500 * time.Millisecond
	// tells is how often a caller hears of the waiting.
	tells = 3 * time.Second
)

// watchFor watches a console until a goal is reached, for some time at most.
func watchFor(ctx context.Context, c *tool.Call, d display, g goal, most time.Duration) (v view, reached bool, err error) {
	begun := time.Now()
	changedAt, toldAt := begun, begun
	for v = d.see(); ; {
		now := time.Now()
		switch {
		case g.reached(v, now.Sub(changedAt)):
			return v, true, nil
		case now.Sub(begun) >= most, v.ended && g.text != "":
			return v, false, nil
		case ctx.Err() != nil:
			return v, false, ctx.Err()
		}
		if now.Sub(toldAt) >= tells {
			toldAt = now
			c.Report(cluster.Progress{Message: g.waiting(v, now.Sub(begun))})
		}
		changed, err := watchOnce(ctx, d, min(glance, most-now.Sub(begun)))
		if err != nil {
			return v, false, err
		}
		if !changed {
			continue
		}
		next := d.see()
		if !next.sameAs(v) {
			changedAt = time.Now()
		}
		v = next
	}
}

// watchOnce watches for some time at most.
func watchOnce(ctx context.Context, d display, most time.Duration) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return d.watch(ctx)
}

// waiting tells how the waiting goes, with the last line that is shown.
func (g goal) waiting(v view, since time.Duration) string {
	what := "waits for " + strconv.Quote(render.Said(g.text, 60))
	if g.text == "" {
		what = "waits until nothing changes for " + render.Duration(g.quiet)
	}
	what += ", " + render.Duration(since.Round(time.Second)) + " so far"
	if v.kind == screen.Textual && len(v.lines) > 0 {
		what += ": " + render.Said(v.lines[len(v.lines)-1], 80)
	}
	return what
}
