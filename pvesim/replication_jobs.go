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
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// checkReplication wants what a job's description leaves to code since PVE 9.
func checkReplication(c *call) error {
	if c.node.version.major < 9 {
		return nil
	}
	id, _, _ := strings.Cut(c.str("id"), "-")
	return c.caller.Require("/vms/"+id, "VM.Replicate")
}

// guest is the id of the guest that the job is about.
func (r *Replication) guest() int {
	id, _, _ := strings.Cut(r.ID, "-")
	n, _ := strconv.Atoi(id)
	return n
}

func (c *call) replicationFields(r *Replication) map[string]any {
	out := c.options(c.api().Endpoint("POST", "/cluster/replication"), Section{Options: r.Options})
	_, number, _ := strings.Cut(r.ID, "-")
	n, _ := strconv.Atoi(number)
	out["id"], out["type"], out["guest"], out["target"], out["jobnum"] = r.ID, "local", r.guest(), r.Target, n
	if g := c.guests[r.guest()]; g != nil {
		out["source"] = g.Node
	}
	return out
}

func listReplications(c *call) (any, error) {
	out := []any{}
	for i := range c.replications {
		if r := &c.replications[i]; c.may(aclPath(r.guest()), "VM.Audit") {
			out = append(out, c.replicationFields(r))
		}
	}
	return out, nil
}

// theReplication returns the job that the call names, if the caller may see its guest.
func (c *call) theReplication() (*Replication, error) {
	i := slices.IndexFunc(c.replications, func(r Replication) bool { return r.ID == c.str("id") })
	if i < 0 {
		return nil, die("no such replication job '%s'", c.str("id"))
	}
	return &c.replications[i], c.caller.Require(aclPath(c.replications[i].guest()), "VM.Audit")
}

func getReplication(c *call) (any, error) {
	r, err := c.theReplication()
	if err != nil {
		return nil, err
	}
	out := c.replicationFields(r)
	out["digest"] = haDigest(c.replications)
	return out, nil
}

func createReplication(c *call) (any, error) {
	r := Replication{ID: c.str("id"), Target: c.str("target")}
	g := c.guests[r.guest()]
	switch {
	case g == nil:
		return nil, die("Guest '%d' does not exist.", r.guest())
	case c.nodeNamed(r.Target) == nil:
		return nil, die("Target '%s' does not exist.", r.Target)
	case c.str("source") != "" && c.str("source") != g.Node:
		return nil, die("Source '%s' does not match current node of guest '%d' (%s)", c.str("source"), g.VMID, g.Node)
	case r.Target == g.Node:
		return nil, die("Source and target must not be identical")
	case c.notReplicatable(g) != nil:
		return nil, c.notReplicatable(g)
	case slices.ContainsFunc(c.replications, func(other Replication) bool { return other.ID == r.ID }):
		return nil, die("replication job '%s' already exists", r.ID)
	case slices.ContainsFunc(c.replications, func(other Replication) bool { return other.guest() == r.guest() && other.Target == r.Target }):
		return nil, die("replication job for guest '%d' to target 'local/%s' already exists", g.VMID, r.Target)
	}
	c.setReplication(&r)
	c.replications = append(c.replications, r)
	slices.SortFunc(c.replications, func(a, b Replication) int { return strings.Compare(a.ID, b.ID) })
	return nil, nil
}

// notReplicatable says why a guest cannot be replicated: one of its disks is not on ZFS, or it
// has none. A disk may be left out.
func (c *call) notReplicatable(g *guest) error {
	found := false
	for _, key := range diskKeys(g.Kind, g.Config) {
		volid := propstring.Volume(g.Config[key])
		storage, _, _ := strings.Cut(volid, ":")
		switch st := c.storageNamed(storage); {
		case propstring.Get(g.Config[key], "replicate") == "0":
		case st == nil || st.Type != "zfspool":
			return die("missing replicate feature on volume '%s'", volid)
		default:
			found = true
		}
	}
	if !found {
		return die("No replicatable volumes found")
	}
	return nil
}

// replicationOptions are those of a job that can be changed.
var replicationOptions = []string{"comment", "disable", "rate", "remove_job", "schedule"}

func (c *call) setReplication(r *Replication) {
	r.Options = maps.Clone(r.Options)
	if r.Options == nil {
		r.Options = map[string]string{}
	}
	for _, key := range replicationOptions {
		if c.params[key] != nil {
			r.Options[key] = perl.Text(c.params[key])
		}
	}
	for _, key := range apischema.SplitList(c.str("delete")) {
		delete(r.Options, key)
	}
}

func putReplication(c *call) (any, error) {
	i := slices.IndexFunc(c.replications, func(r Replication) bool { return r.ID == c.str("id") })
	switch {
	case c.str("digest") != "" && c.str("digest") != haDigest(c.replications):
		return nil, die("%s", otherDigest)
	case i < 0:
		return nil, die("no such job '%s'", c.str("id"))
	}
	for _, key := range apischema.SplitList(c.str("delete")) {
		switch {
		case key == "target":
			return nil, die("unable to delete required option 'target'")
		case key != "source" && !slices.Contains(replicationOptions, key):
			return nil, die("no such option '%s'", key)
		}
	}
	c.setReplication(&c.replications[i])
	return nil, nil
}

// deleteReplication marks a job, which its node removes in the next minute. By force it is
// forgotten at once. What it has copied is not simulated.
func deleteReplication(c *call) (any, error) {
	id := c.str("id")
	if c.flag("force") {
		if c.flag("keep") {
			return nil, badParam("keep", "conflicts with parameter 'force'")
		}
		c.forgetReplication(id)
		return nil, nil
	}
	i := slices.IndexFunc(c.replications, func(r Replication) bool { return r.ID == id })
	if i < 0 {
		return nil, die("no such job '%s'", id)
	}
	r := &c.replications[i]
	r.Options = maps.Clone(r.Options)
	if r.Options == nil {
		r.Options = map[string]string{}
	}
	r.Options["remove_job"] = map[bool]string{true: "local", false: "full"}[c.flag("keep")]
	c.schedule(c.now.Truncate(time.Minute).Add(time.Minute), func(time.Time) { c.forgetReplication(id) })
	return nil, nil
}

func (s *state) forgetReplication(id string) {
	s.replications = slices.DeleteFunc(s.replications, func(r Replication) bool { return r.ID == id })
}

// replicationStatus is what a job's node has written down of its runs.
func (c *call) replicationStatus(r *Replication) map[string]any {
	out := c.replicationFields(r)
	delete(out, "comment")
	ago := func(d time.Duration) int64 { // of a run after the begin of the simulation it is negative
		if d == 0 {
			return 0
		}
		return c.built.Add(-d).Unix()
	}
	out["vmtype"], out["last_sync"], out["last_try"], out["fail_count"] = c.guests[r.guest()].Kind, ago(r.Synced), ago(r.Tried), r.Fails
	if r.Tried != 0 {
		out["duration"] = r.Took.Seconds()
	}
	if r.Error != "" {
		out["error"] = r.Error
	}
	if r.Fails > 0 { // it waits longer from time to time
		wait := 5 * time.Minute * time.Duration(r.Fails)
		if r.Fails > 3 {
			wait = 30 * time.Minute
		}
		out["next_sync"] = ago(r.Tried) + int64(wait.Seconds())
	} else if next, ok := calendar.Next(cmp.Or(r.Options["schedule"], "*/15"), time.Unix(ago(r.Tried), 0).UTC()); ok {
		out["next_sync"] = next.Unix() // the first after its last try, long ago if it is late
	}
	if r.Asked {
		out["next_sync"] = 0
	}
	return out
}

func listReplicationStatus(c *call) (any, error) {
	out, want := []any{}, c.number("guest", 0)
	for i := range c.replications {
		r := &c.replications[i]
		g := c.guests[r.guest()]
		if g == nil || g.Node != c.node.Name || want != 0 && want != g.VMID || !c.may(g.path, "VM.Audit") {
			continue
		}
		out = append(out, c.replicationStatus(r))
	}
	return out, nil
}

func getReplicationStatus(c *call) (any, error) {
	r, err := c.theReplication()
	switch {
	case err != nil:
		return nil, err
	case c.guests[r.guest()] == nil || c.guests[r.guest()].Node != c.node.Name:
		return nil, die("no such replication job '%s'", c.str("id"))
	}
	return c.replicationStatus(r), nil
}

func getReplicationLog(c *call) (any, error) {
	r, err := c.theReplication()
	if err != nil {
		return nil, err
	}
	if r.Tried != 0 {
		return c.replicationLog(r), nil
	}
	return noLogFile(), nil
}

// scheduleReplication asks for a run in the next minute, of which PVE's answer is the job's id.
func scheduleReplication(c *call) (any, error) {
	r, err := c.theReplication()
	if err != nil {
		return nil, err
	}
	r.Asked = true
	id := r.ID // the list may be another then
	c.schedule(c.now.Truncate(time.Minute).Add(time.Minute), func(now time.Time) { c.replicate(id, now) })
	return id, nil
}

// replicate runs a job that somebody has asked for. It ends as it did before.
func (s *state) replicate(id string, now time.Time) {
	i := slices.IndexFunc(s.replications, func(r Replication) bool { return r.ID == id && r.Asked && r.Options["disable"] != "1" })
	if i < 0 {
		return
	}
	r := &s.replications[i]
	r.Asked, r.Tried = false, s.built.Sub(now)
	if r.Error != "" {
		r.Fails++
		return
	}
	r.Synced, r.Took = r.Tried, max(r.Took, 3*time.Second)
}

// replicationLog is what a job wrote when it last ran.
func (c *call) replicationLog(r *Replication) page {
	g, end := c.guests[r.guest()], "end replication job"
	if r.Error != "" {
		end += " with error: " + r.Error
	}
	lines := []any{}
	for _, text := range []string{"start replication job", fmt.Sprintf("guest => %s %d, running => %d", g.noun(), g.VMID, bit(g.now.running)), end} {
		at := c.built.Add(-r.Tried).UTC().Format("2006-01-02 15:04:05")
		lines = append(lines, map[string]any{"n": len(lines) + 1, "t": at + " " + r.ID + ": " + text})
	}
	return page{lines, len(lines)}
}
