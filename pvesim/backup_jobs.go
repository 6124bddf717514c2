package pvesim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/calendar"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// theJob returns the backup job that the call names.
func (c *call) theJob() (*BackupJob, error) {
	for i := range c.jobs {
		if c.jobs[i].ID == c.str("id") {
			return &c.jobs[i], nil
		}
	}
	return nil, badParam("id", "No such job '%s'", c.str("id"))
}

func (c *call) job(b *BackupJob) map[string]any {
	out := c.options(c.api().Endpoint("POST", "/cluster/backup"), Section{Options: b.Options})
	out["id"], out["type"], out["schedule"], out["enabled"] = b.ID, "vzdump", b.Schedule, bit(!b.Disabled)
	for _, key := range []string{"fleecing", "performance", "prune-backups"} {
		if text, ok := b.Options[key]; ok {
			out[key] = c.jobObject(text)
		}
	}
	if paths, ok := b.Options["exclude-path"]; ok {
		out["exclude-path"] = strings.FieldsFunc(paths, func(r rune) bool { return r == '\n' || r == ',' })
	}
	if next, ok := calendar.Next(b.Schedule, c.now.UTC()); ok && !b.Disabled {
		out["next-run"] = next.Unix()
	}
	return out
}

// jobObject is a property string of a job as an object. Its numbers are text before PVE 9.
func (c *call) jobObject(text string) map[string]any {
	out := map[string]any{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		out[name] = value
	}
	if c.node.version.major < 9 {
		return out
	}
	for name, value := range out {
		if n, err := strconv.Atoi(value.(string)); err == nil {
			out[name] = n
		}
	}
	return out
}

func listJobs(c *call) (any, error) {
	out := []any{}
	for i := range c.jobs {
		out = append(out, c.job(&c.jobs[i]))
	}
	return out, nil
}

func getJob(c *call) (any, error) {
	b, err := c.theJob()
	if err != nil {
		return nil, err
	}
	out := c.job(b)
	delete(out, "next-run")
	return out, nil
}

// listNotBackedUp lists the guests that no job includes, whether or not a job is
// enabled.
func listNotBackedUp(c *call) (any, error) {
	covered := map[int]bool{}
	for _, b := range c.jobs {
		o := b.Options
		for _, id := range c.selected(o["vmid"], o["pool"], o["all"] == "1", o["exclude"]) {
			if g := c.guests[id]; g != nil && (o["node"] == "" || o["node"] == g.Node) {
				covered[id] = true
			}
		}
	}
	out := []any{}
	for _, id := range c.order {
		if g := c.guests[id]; !covered[id] && c.may(aclPath(id), "VM.Audit") {
			out = append(out, map[string]any{"vmid": id, "type": g.Kind, "name": g.name()})
		}
	}
	return out, nil
}

// jobKeys are parameters of a backup job that are kept elsewhere than in its options.
var jobKeys = []string{"delete", "dow", "enabled", "id", "schedule", "starttime"}

// checkJob refuses what a job cannot be before its lock: root's alone, on storages and about
// pools that the caller may not use, and at two times.
func checkJob(c *call) error {
	for _, p := range []string{"dumpdir", "job-id", "script", "tmpdir"} {
		if c.params[p] != nil {
			return c.rootOption(p, "Only root may set this option.")
		}
	}
	if storage := c.str("storage"); storage != "" {
		if err := c.caller.Require("/storage/"+storage, "Datastore.Allocate"); err != nil {
			return err
		}
	}
	if pool := c.str("pool"); pool != "" {
		if err := c.poolExists(); err != nil {
			return err
		}
		if err := c.caller.Require("/pool/"+pool, "VM.Backup"); err != nil {
			return err
		}
	}
	schedule, start := c.params["schedule"] != nil, c.params["starttime"] != nil
	switch {
	case schedule && start:
		return badParam("starttime", "'starttime' and 'schedule' cannot both be set")
	case !schedule && !start && c.ep.Method == "POST":
		return badParam("schedule", "neither 'starttime' nor 'schedule' were set")
	}
	return nil
}

// badParamInLock refuses a parameter under the lock on the jobs, where the refusal loses its
// form.
func badParamInLock(name, text string) error {
	return die("400 Parameter verification failed.\n%s: %s", name, text)
}

// change gives a job what the call says of it.
func (c *call) change(b BackupJob, isNew bool) (BackupJob, error) {
	b.Options = maps.Clone(b.Options)
	if b.Options == nil {
		b.Options = map[string]string{}
	}
	dropKeys(b.Options, apischema.SplitList(c.str("delete"))...)
	for key, value := range c.params {
		if value != nil && !slices.Contains(jobKeys, key) {
			b.Options[key] = optionText(value)
		}
	}
	if c.params["enabled"] != nil {
		b.Disabled = !c.flag("enabled")
	}
	if at := c.str("starttime"); at != "" {
		b.Schedule = strings.TrimSpace(c.str("dow") + " " + at)
	}
	b.Schedule = cmp.Or(c.str("schedule"), b.Schedule)
	o := b.Options
	if o["exclude"] != "" && o["pool"] == "" {
		o["all"] = "1"
	}
	if !isNew { // what selects guests takes the place of what did before
		switch {
		case c.params["vmid"] != nil:
			dropKeys(o, "all", "exclude", "pool")
		case c.flag("all"):
			dropKeys(o, "vmid", "pool")
		case o["pool"] != "":
			dropKeys(o, "vmid", "all", "exclude")
		}
	}
	for name, problem := range badBackup(o) {
		return b, badParamInLock(name, problem)
	}
	return b, nil
}

func dropKeys(options map[string]string, keys ...string) {
	for _, key := range keys {
		delete(options, key)
	}
}

func createJob(c *call) (any, error) {
	id := cmp.Or(c.str("id"), "backup-"+c.uuid("job")[:13])
	if slices.ContainsFunc(c.jobs, func(b BackupJob) bool { return b.ID == id }) {
		return nil, die("Job '%s' already exists", id)
	}
	b, err := c.change(BackupJob{ID: id}, true)
	if err != nil {
		return nil, err
	}
	c.jobs = append(c.jobs, b)
	c.armJobs(c.now)
	return nil, nil
}

func putJob(c *call) (any, error) {
	given := maps.Clone(c.params)
	delete(given, "id")
	delete(given, "delete")
	if len(given) == 0 && c.str("delete") == "" {
		return nil, die("no options specified")
	}
	b, err := c.theJob()
	if err != nil {
		return nil, die("no such vzdump job")
	}
	if err := c.caller.Require("/storage/"+cmp.Or(b.Options["storage"], "local"), "Datastore.Allocate"); err != nil {
		return nil, die("%d %s", 403, strings.TrimSpace(err.Error()))
	}
	for _, key := range apischema.SplitList(c.str("delete")) {
		if c.api().Param(c.ep, key) == nil {
			return nil, badParamInLock("delete", "unknown option '"+key+"'")
		}
	}
	changed, err := c.change(*b, false)
	if err != nil {
		return nil, err
	}
	*b = changed
	c.armJobs(c.now)
	return nil, nil
}

// deleteJob removes a job. PVE's lock turns its refusal of a parameter into text.
func deleteJob(c *call) (any, error) {
	b, err := c.theJob()
	if err != nil {
		return nil, badParamInLock("id", "No such job '"+c.str("id")+"'")
	}
	id := b.ID
	c.jobs = slices.DeleteFunc(c.jobs, func(b BackupJob) bool { return b.ID == id })
	c.armJobs(c.now)
	return nil, nil
}

// includedVolumes tells of each guest of a job which of its disks are backed up.
func includedVolumes(c *call) (any, error) {
	b, err := c.theJob()
	if err != nil {
		return nil, err
	}
	o, guests := b.Options, []any{}
	for _, id := range c.selected(o["vmid"], o["pool"], o["all"] == "1", o["exclude"]) {
		g := c.guests[id]
		if g == nil {
			guests = append(guests, map[string]any{"id": id, "type": "unknown", "leaf": 1})
			continue
		}
		if o["node"] != "" && o["node"] != g.Node || !c.may(g.path, "VM.Audit") {
			continue
		}
		volumes := []any{}
		for _, key := range diskKeys(g.Kind, g.Config) {
			included, reason := backedUp(g.Kind, key, g.Config[key])
			volumes = append(volumes, map[string]any{
				"id": fmt.Sprintf("%d:%s", id, key), "name": propstring.Volume(g.Config[key]), "included": bit(included), "reason": reason, "leaf": 1,
			})
		}
		guests = append(guests, map[string]any{"id": id, "type": g.Kind, "name": g.name(), "children": volumes, "leaf": bit(len(volumes) == 0)})
	}
	return map[string]any{"children": guests}, nil
}

// backedUp says whether a disk of a guest is backed up and why, in PVE's words.
func backedUp(kind, key, value string) (included bool, reason string) {
	flag := propstring.Get(value, "backup")
	switch {
	case kind == "qemu" && flag == "0":
		return false, "backup=no"
	case kind == "qemu":
		return true, "backup=yes"
	case key == "rootfs":
		return true, "rootfs"
	case strings.HasPrefix(value, "/"):
		return false, "not a volume"
	case flag == "1":
		return true, "enabled"
	}
	return false, "disabled"
}

// analyzeSchedule lists the next times of a calendar event.
func analyzeSchedule(c *call) (any, error) {
	at := time.Unix(int64(c.number("starttime", int(c.now.Unix()))), 0).UTC()
	out := []any{}
	for range c.number("iterations", 10) {
		next, ok := calendar.Next(c.str("schedule"), at)
		if !ok {
			break
		}
		out = append(out, map[string]any{"timestamp": next.Unix(), "utc": next.Format(time.ANSIC)})
		at = next
	}
	return out, nil
}

// vzdumpDefaults are those of a node of which nothing is configured, and of a storage.
func vzdumpDefaults(c *call) (any, error) {
	id := cmp.Or(c.str("storage"), "local")
	if err := c.caller.RequireAny("/storage/"+id, "Datastore.Audit", "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	st, err := c.usable(id, c.node.Name)
	if err != nil {
		return nil, err
	}
	out := map[string]any{
		"all": 0, "bwlimit": 0, "compress": "0", "ionice": 7, "lockwait": 180, "mode": "snapshot", "notification-mode": "auto",
		"pigz": 0, "quiet": 0, "remove": 1, "stopwait": 10, "stop": 0, "zstd": 1, "stdexcludes": 1, "mailnotification": "always",
		"fleecing": map[string]any{"enabled": 0}, "performance": map[string]any{"max-workers": 16, "pbs-entries-max": 1048576},
		"storage": id, "prune-backups": cmp.Or(st.Options["prune-backups"], "keep-all=1"),
	}
	if st.traits().files && c.may("/nodes/"+c.node.Name, "Sys.Audit") {
		out["dumpdir"] = st.path() + "/dump"
	}
	if c.node.version.major < 9 {
		out["notification-policy"] = "always"
	}
	return out, nil
}
