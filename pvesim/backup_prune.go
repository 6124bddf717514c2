package pvesim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// retention says how many backups of a guest are kept, by PVE's names: keep-last,
// keep-daily, … Nothing, or keep-all, keeps all.
type retention map[string]int

func parseRetention(s string) retention {
	r := retention{}
	for part := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(part, "=")
		if n, err := strconv.Atoi(value); err == nil {
			r[key] = n
		}
	}
	return r
}

// most is how many backups of a guest it keeps; 0 stands for all.
func (r retention) most() int {
	if r["keep-all"] > 0 {
		return 0
	}
	sum := 0
	for _, n := range r {
		sum += n
	}
	return sum
}

func (r retention) String() string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(r)) {
		parts = append(parts, fmt.Sprintf("%s=%d", key, r[key]))
	}
	return strings.Join(parts, ", ")
}

// periods are the kinds of retention in the order in which PVE goes by them, with
// what two backups of the same period have in common.
var periods = []struct {
	key  string
	same func(time.Time) string
}{
	{"keep-last", func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }},
	{"keep-hourly", func(t time.Time) string { return t.Format("2006-01-02 15") }},
	{"keep-daily", func(t time.Time) string { return t.Format("2006-01-02") }},
	{"keep-weekly", func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) }},
	{"keep-monthly", func(t time.Time) string { return t.Format("2006-01") }},
	{"keep-yearly", func(t time.Time) string { return t.Format("2006") }},
}

// mark says of each backup of one guest whether it would be kept or removed, as
// PVE::Storage's prune_mark_backup_group does.
func (r retention) mark(backups []*volume) map[*volume]string {
	marks, rest := map[*volume]string{}, []*volume{}
	for _, v := range backups {
		switch {
		case v.Protected:
			marks[v] = "protected"
		case r.most() == 0:
			marks[v] = "keep"
		default:
			rest = append(rest, v)
		}
	}
	slices.SortFunc(rest, func(a, b *volume) int { return cmp.Compare(b.made.Unix(), a.made.Unix()) })
	for _, p := range periods {
		if r[p.key] > 0 {
			markPeriod(marks, rest, r[p.key], func(v *volume) string { return p.same(v.made.UTC()) })
		}
	}
	for _, v := range rest {
		if marks[v] == "" {
			marks[v] = "remove"
		}
	}
	return marks
}

// markPeriod keeps the newest backup of each of the last periods that have one.
func markPeriod(marks map[*volume]string, newestFirst []*volume, count int, period func(*volume) string) {
	had, taken := map[string]bool{}, map[string]bool{}
	for _, v := range newestFirst {
		if marks[v] == "keep" {
			had[period(v)] = true
		}
	}
	for _, v := range newestFirst {
		p := period(v)
		switch {
		case marks[v] != "" || had[p]:
		case taken[p]:
			marks[v] = "remove"
		case len(taken) == count:
			return
		default:
			taken[p], marks[v] = true, "keep"
		}
	}
}

// pruning are the backups of a storage, of one guest or all and of one kind or
// both, with what a retention makes of them.
func (c *call) pruning(st *Storage, r retention, vmid int, kind string) (backups []*volume, marks map[*volume]string) {
	marks, groups := map[*volume]string{}, map[string][]*volume{}
	for _, v := range c.contents(st.ID, c.node.Name) {
		if v.Content != "backup" || vmid != 0 && v.VMID != vmid || kind != "" && v.subtype() != kind {
			continue
		}
		backups = append(backups, v)
		if v.VMID == 0 { // PVE did not give it its name
			marks[v] = "renamed"
			continue
		}
		group := v.subtype() + strconv.Itoa(v.VMID)
		groups[group] = append(groups[group], v)
	}
	for _, group := range groups {
		maps.Copy(marks, r.mark(group))
	}
	return backups, marks
}

// kept is the retention that a call asks for, or else the storage's own.
func (c *call) kept(st *Storage) retention {
	return parseRetention(cmp.Or(c.str("prune-backups"), st.Options["prune-backups"]))
}

func previewPrune(c *call) (any, error) {
	st, err := c.online(c.str("storage"), c.node.Name)
	if err != nil {
		return nil, err
	}
	backups, marks := c.pruning(st, c.kept(st), c.number("vmid", 0), c.str("type"))
	out := []any{}
	for _, v := range backups {
		item := map[string]any{"volid": v.ID, "ctime": v.made.Unix(), "mark": marks[v], "type": v.subtype()}
		if v.VMID != 0 {
			item["vmid"] = v.VMID
		}
		out = append(out, item)
	}
	return out, nil
}

func checkPrune(c *call) error {
	if vmid := c.number("vmid", 0); vmid != 0 {
		return c.mayBackups(c.str("storage"), vmid)
	}
	return c.caller.Require("/storage/"+c.str("storage"), "Datastore.Allocate")
}

func pruneBackups(c *call) (any, error) {
	id, vmid := c.str("storage"), c.number("vmid", 0)
	return c.fork(c.now, c.node, c.caller.User, "prunebackups", ownedID(vmid, id), 0, func(now time.Time) outcome {
		st, err := c.online(id, c.node.Name)
		if err != nil {
			return died(err)
		}
		j := &journal{began: now}
		c.prune(j, "", st, c.kept(st), vmid, c.str("type"))
		return j.done(nil)
	}), nil
}

// prune removes what a retention does not keep, and returns how many that were.
func (c *call) prune(j *journal, prefix string, st *Storage, r retention, vmid int, kind string) int {
	backups, marks := c.pruning(st, r, vmid, kind)
	removed := 0
	for _, v := range backups {
		if marks[v] == "remove" {
			j.say("%sremoving backup '%s'", prefix, v.ID)
			c.drop(v)
			removed++
		}
	}
	return removed
}
