package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// How much a line says about the reason why a task failed or warned.
const (
	saysNothing = iota
	near        // it stands just before the end
	mentioned   // it sounds like a failure
	reported    // it is marked as an error or a warning
	guestLost   // it says why a guest of a backup job is not backed up
)

// weighed is how much lines say that look like something.
type weighed struct {
	re     *lazyregexp.Regexp
	weight int
}

// weights are what lines look like; the first that fits counts.
var weights = []weighed{
	{lazyregexp.New(`^INFO: (?:Failed at |Backup job finished |aborting backup job|resuming VM again)|^aborting phase \d+ - cleanup|` +
		`^WARN: Skipping (?:VM|CT) \d+, already |` +
		// What it is about to do, and what a download says of itself.
		`^(?:update (?:VM|CT) \d+: |trying to acquire lock|starting file import from: |(?:Starting|Stopping|Suspending|Migrating) (?:(?:VM|CT) \d+$|guests to \S+: )|` +
		`downloading |--\d{4}-|Connecting to \S+ connected|HTTP request sent, |Length: |Saving to: |\(.* saved \[|calculating checksum)`), saysNothing},
	{lazyregexp.New(`^ERROR: Backup of (?:VM|CT) \d+ failed - `), guestLost},
	{lazyregexp.New(`^(?:ERROR|WARN|WARNING|Warning|error|warning|fatal)\b`), reported},
	{lazyregexp.New(`(?i)\b(?:error|errors|failed|failure|fatal|cannot|can't|could not|couldn't|unable|denied|refused|invalid|not permitted|` +
		`no space left|no such|not found|does not exist|timeout|timed out|aborted|interrupted|killed|out of memory|warning|problem)\b`), mentioned},
	{lazyregexp.New(`^INFO: `), saysNothing},
	{lazyregexp.New(``), near},
}

// nearEnd is how many lines before the end of a failed task are shown, whatever they say.
const nearEnd = 2

// stampRE is the time before each line of a migration.
var stampRE = lazyregexp.New(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `)

// ReasonLines returns up to most lines of the log of a task that say why it failed or warned,
// in their order. If there are more, one more line says how many.
func ReasonLines(lines []proxmox.LogLine, most int) []string {
	type reason struct {
		text, core string
		weight     int
	}
	var all []reason
	tail := nearEnd
	for _, l := range slices.Backward(lines) {
		if strings.HasPrefix(l.Text.Value, "TASK WARNINGS") {
			tail = 0 // it went on to its end
		}
		core := stampRE.ReplaceAllString(l.Says(), "")
		if core == "" || pve.Measures(l) {
			continue
		}
		i := slices.IndexFunc(weights, func(w weighed) bool { return w.re.MatchString(core) })
		weight := weights[i].weight
		core = strings.TrimPrefix(core, "ERROR: ")
		repeated := slices.ContainsFunc(all, func(r reason) bool { return strings.Contains(r.core, core) })
		if weight == saysNothing || repeated || weight == near && tail <= 0 {
			continue
		}
		tail--
		all = append(all, reason{render.Said(l.Says(), maxLine), core, weight})
	}
	kept := slices.Clone(all)
	slices.SortStableFunc(kept, func(a, b reason) int { return b.weight - a.weight })
	kept = kept[:min(most, len(kept))]
	out := []string{}
	for _, r := range slices.Backward(all) {
		if slices.Contains(kept, r) {
			out = append(out, r.text)
		}
	}
	if left := len(all) - len(out); left > 0 {
		out = append(out, fmt.Sprintf("(and %d more such lines)", left))
	}
	return out
}

// failureRE matches what the log says of a failure if the exit status says no more than that
// the task failed.
var failureRE = lazyregexp.New(`^ERROR: (?:Backup of (?:VM|CT) \d+ failed - |migration aborted \(duration [\d:]+\): )(.+)$|^ERROR:? (\d{3}: .+|removing local copy of .+)$`)

// reasonOf returns the reason of a failure: the exit status, or the log's last word if that
// says more.
func reasonOf(exit string, lines []proxmox.LogLine) string {
	saysLittle := exit == "job errors" || exit == "migration aborted" || exit == "migration problems" ||
		strings.HasPrefix(exit, "download failed: exit code ")
	if !saysLittle {
		return exit
	}
	for _, l := range slices.Backward(lines) {
		if m := failureRE.FindStringSubmatch(stampRE.ReplaceAllString(l.Says(), "")); m != nil {
			return m[1] + m[2]
		}
	}
	return exit
}

// logEndsRead is how many lines of the start and of the end of a log are read to find a
// reason.
const logEndsRead = 2000

// TaskReason returns why a task failed or warned, and up to most lines of its log that say
// so; none if the log cannot be read.
func (v *View) TaskReason(ctx context.Context, upid proxmox.UPID, status proxmox.TaskStatus, most int) (reason string, log []string) {
	lines, _, err := v.PVE.TaskLogEnds(ctx, upid, logEndsRead)
	if err != nil {
		return render.Said(status.ExitStatus.Or("unexpected status"), 600), nil
	}
	return ReasonInLog(lines, status, most)
}

// ReasonInLog is [View.TaskReason] for a task whose log was read.
func ReasonInLog(lines []proxmox.LogLine, status proxmox.TaskStatus, most int) (reason string, log []string) {
	return render.Said(reasonOf(status.ExitStatus.Or("unexpected status"), lines), 600), ReasonLines(lines, most)
}
