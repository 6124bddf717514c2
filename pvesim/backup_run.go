package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/retention"
)

// checkVZDump checks what is checked before the task, which is not the right to
// back up each guest.
func checkVZDump(c *call) error {
	for _, p := range []string{"node", "stdout"} {
		if given := c.str(p); p == "node" && given != c.node.Name || p == "stdout" && c.flag(p) {
			return badParam(p, "option is only allowed on the command line interface.")
		}
	}
	for _, p := range []string{"dumpdir", "job-id", "script", "tmpdir"} {
		if c.params[p] != nil {
			return c.rootOption(p, "Only root may set this option.")
		}
	}
	for _, p := range []string{"bwlimit", "ionice", "performance"} {
		if c.params[p] != nil {
			if err := c.caller.Require("/", "Sys.Modify"); err != nil {
				return err
			}
		}
	}
	options := map[string]string{}
	for name := range c.params {
		options[name] = c.str(name)
	}
	if refused := badBackup(options); len(refused) > 0 {
		return &apischema.ParamError{Errors: refused}
	}
	if c.params["prune-backups"] != nil {
		if err := c.caller.Require("/storage/"+c.dumpStorage(), "Datastore.Allocate"); err != nil {
			return err
		}
	}
	if pool := c.str("pool"); pool != "" && c.poolNamed(pool) == nil {
		return die("pool '%s' does not exist", pool) // PVE/API2Tools.pm, get_resource_pool_guest_members
	}
	if c.flag("stop") {
		if err := c.caller.Require("/nodes/"+c.node.Name, "Sys.Modify"); err != nil {
			return err
		}
	}
	if ids, _ := c.includedGuests(); len(ids) == 0 && !c.allGuests() {
		return nil
	}
	return c.caller.Require("/storage/"+c.dumpStorage(), "Datastore.AllocateSpace")
}

// badBackup says which option is wrong with a backup, by itself or with another one.
func badBackup(o map[string]string) map[string]string {
	on := func(name string) bool { return o[name] != "" && o[name] != "0" }
	for _, name := range []string{"all", "exclude", "pool"} {
		if on(name) && on("vmid") {
			return map[string]string{name: "option conflicts with option 'vmid'"}
		}
	}
	if o["prune-backups"] != "" && o["maxfiles"] != "" {
		return map[string]string{"prune-backups": "option conflicts with option 'maxfiles'"}
	}
	if problem := badNotes(o["notes-template"]); problem != "" {
		return map[string]string{"notes-template": problem + "\n"}
	}
	if !on("all") && o["exclude"] == "" && !on("stop") && !on("pool") && !on("vmid") {
		return map[string]string{"vmid": "property is missing"}
	}
	return nil
}

// What a template of notes has beside text: escapes and variables.
var (
	noteEscape   = lazyregexp.New(`\\.`)
	noteVariable = lazyregexp.New(`\{\{[^\s{}]+\}\}`)
)

// badNotes says what is wrong with a template of notes.
func badNotes(template string) string {
	if strings.Contains(template, "\n") {
		return "contains a line feed"
	}
	var unknown []string
	for _, at := range noteEscape.FindAllStringIndex(template, -1) {
		if escape := template[at[0]:at[1]]; escape != `\n` && escape != `\\` {
			unknown = append(unknown, fmt.Sprintf("escape sequence '%s' at char %d", escape, at[0]))
		}
	}
	for _, at := range noteVariable.FindAllStringIndex(template, -1) {
		name := template[at[0]+2 : at[1]-2]
		if !slices.Contains([]string{"cluster", "guestname", "node", "vmid"}, name) {
			unknown = append(unknown, fmt.Sprintf("variable '%s' at char %d", name, at[1]-len(name)))
		}
	}
	if len(unknown) == 0 {
		return ""
	}
	return "found unknown: " + strings.Join(unknown, ", ")
}

func (c *call) dumpStorage() string { return cmp.Or(c.str("storage"), "local") }

// allGuests reports whether all guests of the node are meant.
func (c *call) allGuests() bool {
	return c.flag("all") || c.str("exclude") != "" && c.str("pool") == ""
}

// includedGuests are the guests of the node that are meant, and those of others.
// Ids that no guest has count as here, where they fail visibly.
func (c *call) includedGuests() (here, elsewhere []int) {
	for _, id := range c.selected(c.str("vmid"), c.str("pool"), c.allGuests(), c.str("exclude")) {
		if g := c.guests[id]; g == nil || g.Node == c.node.Name {
			here = append(here, id)
		} else {
			elsewhere = append(elsewhere, id)
		}
	}
	return here, elsewhere
}

// selected are the ids of guests that a backup is about, ascending.
func (s *state) selected(list, pool string, all bool, exclude string) []int {
	var ids []int
	switch {
	case pool != "":
		if p := s.poolNamed(pool); p != nil {
			ids = slices.Clone(p.VMIDs)
		}
	case list != "":
		ids = numbers(list)
	case all:
		not := numbers(exclude)
		ids = slices.DeleteFunc(slices.Clone(s.order), func(id int) bool { return slices.Contains(not, id) })
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func numbers(list string) []int {
	var out []int
	for _, item := range apischema.SplitList(list) {
		if n, err := strconv.Atoi(item); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// startBackups backs up guests in a task. If they are all on other nodes it
// answers OK and does nothing.
func startBackups(c *call) (any, error) {
	here, elsewhere := c.includedGuests()
	if c.flag("stop") {
		for _, t := range slices.Clone(c.active) {
			if t.typ == "vzdump" && t.node == c.node.Name {
				c.stop(t, c.now)
			}
		}
	}
	if len(here) == 0 && !c.flag("all") {
		return "OK", nil
	}
	id := ""
	if len(here) == 1 {
		id = strconv.Itoa(here[0])
	}
	job := &backupJob{call: c, ids: here, elsewhere: elsewhere}
	return c.fork(c.now, c.node, c.caller.User, "vzdump", id, 0, job.begin), nil
}

// backupJob is a task that backs up guests of a node, one after the other. A node
// runs one at a time.
type backupJob struct {
	*call
	ids, elsewhere []int
	storage        *Storage
	keep           retention.Policy
	remove         bool // what keep does not keep
	waited         bool // for the job before
	failed         bool
}

// begin prepares the job.
func (b *backupJob) begin(now time.Time) outcome {
	id, words := b.dumpStorage(), "could not get storage information for '%s': %s"
	var problems []string
	st, err := b.online(id, b.node.Name)
	if err != nil {
		reason := strings.TrimSpace(err.Error())
		problems = append(problems, fmt.Sprintf("could not activate storage '%s': %s", id, reason))
		if b.storageNamed(id) == nil {
			problems = append(problems, fmt.Sprintf(words, id, reason))
		}
	} else if !st.holds("backup") {
		problems = append(problems, fmt.Sprintf(words, id, fmt.Sprintf("can't use storage '%s' for backups - wrong content type", id)))
	}
	if len(problems) > 0 {
		return failed(quickTakes, "%s", strings.Join(problems, " "))
	}
	b.storage, b.keep = st, b.retentionOf(st)
	b.remove = b.keep.Limit() > 0 && (b.params["remove"] == nil || b.flag("remove"))
	return b.lock(now)
}

// lock waits for the node's lock.
func (b *backupJob) lock(now time.Time) outcome {
	j := &journal{began: now}
	if holder := b.dumps[b.node.Name]; holder != nil {
		if !b.waited {
			j.say("INFO: trying to get global lock - waiting...")
		}
		b.waited = true
		j.pass(time.Second)
		return j.continued(b.lock)
	}
	b.dumps[b.node.Name] = b
	if b.waited {
		j.say("INFO: got global lock")
	}
	j.say("INFO: starting new backup job: %s", b.commandLine())
	if len(b.elsewhere) > 0 {
		j.say("INFO: skip external VMs: %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(b.elsewhere), " ", ", "), "[]"))
	}
	var mine []int
	for _, id := range b.ids {
		if b.guests[id] != nil {
			if err := b.caller.Require(aclPath(id), "VM.Backup"); err != nil && b.allGuests() {
				continue
			} else if err != nil {
				delete(b.dumps, b.node.Name)
				return j.fail(die("403 %s", err.Error()))
			}
		}
		mine = append(mine, id)
	}
	b.ids = mine
	return j.continued(b.next)
}

// commandLine writes the job as PVE logs it.
func (b *backupJob) commandLine() string {
	parts := append([]string{"vzdump"}, apischema.SplitList(b.str("vmid"))...)
	for _, key := range sortedKeys(b.params) {
		if key == "vmid" || b.params[key] == nil {
			continue
		}
		value := perl.Text(b.params[key])
		if strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-,./=:@%+") != "" {
			value = "'" + strings.ReplaceAll(value, "'", `'"'"'`) + "'"
		}
		parts = append(parts, "--"+key, value)
	}
	return strings.Join(parts, " ")
}

// next backs up the next guest, or ends the job.
func (b *backupJob) next(now time.Time) outcome {
	if len(b.ids) > 0 {
		id := b.ids[0]
		b.ids = b.ids[1:]
		return b.backUp(id, now)
	}
	j := &journal{began: now}
	delete(b.dumps, b.node.Name)
	if b.failed {
		j.say("INFO: Backup job finished with errors")
		return j.fail(die("job errors"))
	}
	j.say("INFO: Backup job finished successfully")
	return j.done(nil)
}

// continued is a part of a backup job, which goes continued.
func (j *journal) continued(then func(time.Time) outcome) outcome {
	o := j.done(nil)
	o.then, o.interrupted = then, "interrupted by signal"
	return o
}
