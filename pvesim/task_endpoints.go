package pvesim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

var upidRE = lazyregexp.New(`^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):` +
	`([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$`)

// theTask returns the task that the call is about.
func (c *call) theTask() (*task, error) {
	upid := c.str("upid")
	if !upidRE.MatchString(upid) {
		return nil, badParam("upid", "unable to parse worker upid")
	}
	t := c.byUPID[upid]
	if t == nil {
		return nil, badParam("upid", "no such task")
	}
	return t, nil
}

// mayTask lets the one who started a task pass, and others with a privilege on the
// node.
func (c *call) mayTask(user, priv string) error {
	if c.started(user) {
		return nil
	}
	return c.caller.Require("/nodes/"+c.str("node"), priv)
}

// started reports whether what a user or token started is the caller's: a user's are those of
// its tokens as well.
func (c *call) started(user string) bool {
	owner, _, _ := strings.Cut(user, "!")
	return user == c.caller.User || owner == c.caller.User
}

func getTaskStatus(c *call) (any, error) {
	t, err := c.theTask()
	if err != nil {
		return nil, err
	}
	if err := c.mayTask(t.user, "Sys.Audit"); err != nil {
		return nil, err
	}
	out := t.fields()
	out["status"] = "running"
	if t.over {
		out["status"], out["exitstatus"] = "stopped", t.outcome.exit
	}
	return out, nil
}

// fields are those that a task has in every answer but the active list.
func (t *task) fields() map[string]any {
	user, token, isToken := strings.Cut(t.user, "!")
	out := map[string]any{
		"upid": t.upid, "node": t.node, "pid": t.pid, "pstart": t.pstart,
		"starttime": t.start.Unix(), "type": t.typ, "id": t.id, "user": user,
	}
	if isToken {
		out["tokenid"] = token
	}
	return out
}

// taskLog is a log as a file.
type taskLog struct{ name, text string }

func getTaskLog(c *call) (any, error) {
	id := upidRE.FindStringSubmatch(c.str("upid"))
	if id == nil {
		return nil, badParam("upid", "unable to parse worker upid")
	}
	if err := c.mayTask(id[len(id)-1], "Sys.Audit"); err != nil {
		return nil, err
	}
	t := c.byUPID[c.str("upid")]
	if c.flag("download") {
		return c.downloadLog(t)
	}
	if t == nil {
		return noLogFile(), nil
	}
	lines := t.logAt(c.now)
	if len(lines) == 0 {
		return page{[]any{map[string]any{"n": 1, "t": "no content"}}, 1}, nil
	}
	start, limit := c.number("start", 0), c.number("limit", 50)
	out := []any{}
	for i, line := range lines {
		if i >= start && (limit == 0 || len(out) < limit) {
			out = append(out, map[string]any{"n": i + 1, "t": line})
		}
	}
	return page{out, len(lines)}, nil
}

// noLogFile is what PVE answers of a log that there is not: no list.
func noLogFile() page {
	return page{map[string]any{"n": 1, "t": "unable to open file - No such file or directory"}, 1}
}

// downloadLog sends a whole log.
func (c *call) downloadLog(t *task) (any, error) {
	switch {
	case c.params["start"] != nil || c.params["limit"] != nil:
		return nil, die("'download' cannot be used together with 'start' or 'limit' parameters")
	case t == nil:
		upid := c.str("upid")
		began := strings.Split(upid, ":")[4]
		return nil, die("Could not open file '/var/log/pve/tasks/%s/%s' - No such file or directory", began[len(began)-1:], upid)
	}
	name := fmt.Sprintf("task-%s-%s-%s.log", t.node, t.typ, t.start.UTC().Format("2006-01-02T15:04:05Z"))
	return taskLog{name, strings.Join(append(t.logAt(c.now), ""), "\n")}, nil
}

// number returns an integer parameter that was validated.
func (c *call) number(name string, otherwise int) int {
	n, err := strconv.Atoi(c.str(name))
	if err != nil {
		return otherwise
	}
	return n
}

func deleteTask(c *call) (any, error) {
	t, err := c.theTask()
	if err != nil {
		return nil, err
	}
	c.stop(t, c.now)
	return nil, nil
}

func checkDeleteTask(c *call) error {
	t, err := c.theTask()
	if err != nil {
		return err
	}
	return c.mayTask(t.user, "Sys.Modify")
}

func getNodeTasks(c *call) (any, error) {
	node := c.str("node")
	all := c.caller.Require("/nodes/"+node, "Sys.Audit") == nil
	mine := func(t *task) bool { return t.node == node && (all || c.started(t.user)) && c.wanted(t) }
	list := []any{}
	if source := c.str("source"); source == "active" || source == "all" {
		for _, t := range slices.Backward(c.active) {
			if mine(t) {
				out := t.fields()
				delete(out, "tokenid")
				out["user"], out["status"], out["saved"] = t.user, "RUNNING", "0"
				list = append(list, out)
			}
		}
	}
	if c.str("source") != "active" {
		for _, t := range slices.Backward(c.ended) {
			if mine(t) {
				out := t.fields()
				out["status"], out["endtime"] = t.outcome.exit, t.end.Unix()
				list = append(list, out)
			}
		}
	}
	rest := list[min(c.number("start", 0), len(list)):]
	return page{rest[:min(c.number("limit", 50), len(rest))], len(list)}, nil
}

// wanted applies the filters of a list of tasks.
func (c *call) wanted(t *task) bool {
	kind, user := t.statusKind(), t.user
	if t.over { // PVE splits what has ended into user and token before
		user, _, _ = strings.Cut(user, "!")
	}
	filter := apischema.SplitList(strings.ToLower(c.str("statusfilter")))
	since, until := c.number("since", 0), c.number("until", 0)
	switch {
	case c.str("vmid") != "" && t.id != c.str("vmid"),
		c.str("typefilter") != "" && t.typ != c.str("typefilter"),
		!strings.Contains(strings.ToLower(user), strings.ToLower(c.str("userfilter"))),
		since != 0 && t.start.Unix() < int64(since), // a task begins at a whole second
		until != 0 && t.start.Unix() > int64(until):
		return false
	case c.flag("errors"):
		return kind != "ok"
	case len(filter) > 0:
		return slices.Contains(filter, kind)
	}
	return true
}

// statusKind is how a task ended, as lists are filtered by it. Of one that runs it is unknown.
func (t *task) statusKind() string {
	switch exit := t.outcome.exit; {
	case !t.over:
		return "unknown"
	case exit == "OK":
		return "ok"
	case strings.HasPrefix(exit, "WARNINGS: "):
		return "warning"
	case exit == brokenOff:
		return "unknown"
	}
	return "error"
}

// getClusterTasks lists the running tasks of each node and its last ended ones, 25
// together. Without Sys.Audit it compares the caller with the user that started a
// task, without the token, so that a token does not see even its own.
func getClusterTasks(c *call) (any, error) {
	const perNode = 25
	all := c.caller.Require("/", "Sys.Audit") == nil
	visible := func(t *task) bool {
		owner, _, _ := strings.Cut(t.user, "!")
		return all || owner == c.caller.User
	}
	count := map[string]int{}
	list := []any{}
	for _, t := range slices.Concat(reversed(c.active), reversed(c.ended)) {
		if n := c.nodeNamed(t.node); n.Offline || count[t.node] >= perNode {
			continue
		}
		count[t.node]++
		if !visible(t) {
			continue
		}
		out := t.fields()
		delete(out, "pid")
		delete(out, "pstart")
		out["saved"] = strconv.Itoa(bit(t.over))
		if t.over {
			out["status"], out["endtime"] = t.outcome.exit, t.end.Unix()
		}
		list = append(list, out)
	}
	return list, nil
}

func reversed(list []*task) []*task {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
