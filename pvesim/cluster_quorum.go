package pvesim

import (
	"fmt"
	"strings"
)

// quorate reports whether the nodes that are online may decide. Two nodes are set up so that
// one alone may.
func (s *state) quorate() bool {
	online := 0
	for _, n := range s.nodes {
		online += bit(!n.Offline)
	}
	return !s.model.NoQuorum && (online*2 > len(s.nodes) || len(s.nodes) == 2)
}

// quorateAt reports whether a node is among those that may decide: one that is off the network
// is alone.
func (s *state) quorateAt(n *node) bool {
	return !n.Offline && s.quorate()
}

// withoutQuorum are the parts of paths to which writes need no quorum, because they change
// nothing below /etc/pve, which is read-only then.
var withoutQuorum = []string{
	"/status/stop", "/status/shutdown", "/status/reboot", "/status/reset", "/status/suspend", "/status/resume", "/agent", "/monitor",
	"/sendkey", "proxy", "shell", "/vncticket", "/tasks/{upid}", "/services/", "/nodes/{node}/network", "/apt/", "/aplinfo", "/nodes/{node}/status",
	"/wakeonlan", "/startall", "/stopall", "/suspendall", "/bulk-action/", "/schedule_now", "/upload", "/download-url", "/oci-registry-pull",
	"/prunebackups", "/content/{volume}", "/nodes/{node}/hosts", "/nodes/{node}/dns", "/nodes/{node}/time", "/access/ticket",
}

// lockedFiles are the locks that writes to a part of the API take, and what PVE says first
// when it gets none: the verb, and these words.
var lockedFiles = []struct{ below, lock, what string }{
	{"/access/acl", "file-user_cfg", "ACL update failed: "},
	{"/access/domains", "file-domains_cfg", "auth server"},
	{"/access/groups", "file-user_cfg", "group"},
	{"/access/roles", "file-user_cfg", "role"},
	{"/access/users/{userid}/token", "file-user_cfg", ""},
	{"/access/users", "file-user_cfg", "user"},
	{"/pools", "file-user_cfg", "pool"},
	{"/storage", "file-storage_cfg", "storage"},
	{"/cluster/backup", "file-jobs_cfg", ""},
	{"/cluster/replication", "file-replication_cfg", ""},
	{"/cluster/options", "file-datacenter_cfg", ""},
	{"/cluster/firewall", "firewall-cluster", ""},
	{"/cluster/metrics/server", "file-status_cfg", ""},
	{"/cluster/ha/groups", "domain-ha", "ha group"},
	{"/cluster/ha/resources", "domain-ha", "resource"},
	{"/cluster/ha/rules", "domain-ha", "ha rule"},
}

// quorumRefusal refuses what needs quorum if the node has none, in the words of the place
// where PVE notices: what makes or moves guests asks first, the configuration of guests and
// nodes cannot be written, and other files cannot be locked.
func (c *call) quorumRefusal() error {
	path := c.ep.Path
	reads := c.req.Method == "GET" && !strings.HasSuffix(path, "/qemu/{vmid}/migrate") // which checks it all the same
	if reads || c.quorateAt(c.node) {
		return nil
	}
	for _, part := range withoutQuorum {
		if strings.Contains(path, part) {
			return nil
		}
	}
	_, ofGuest, guests := strings.Cut(path, "/{vmid}")
	switch {
	case strings.Contains(path, "/firewall/") && guests:
		return noLock("firewall-vm-" + c.str("vmid"))
	case strings.Contains(path, "/nodes/{node}/firewall/"):
		return noLock("firewall-host-" + c.node.Name)
	case strings.HasSuffix(path, "/storage/{storage}/content"):
		if st := c.storageNamed(c.str("storage")); st == nil || !st.Shared {
			return nil
		}
		return noLock("storage-" + c.str("storage"))
	case guests && ofGuest != "/status/start" && ofGuest != "/migrate" && ofGuest != "/clone":
		dir := "qemu-server"
		if strings.Contains(path, "/lxc/") {
			dir = "lxc"
		}
		return c.unwritable(fmt.Sprintf("%s/%s.conf", dir, c.str("vmid")))
	case strings.HasSuffix(path, "/nodes/{node}/config"):
		return c.unwritable("config")
	case strings.HasSuffix(path, "/vzdump"):
		c.fault.TaskFails = "job errors"
		return nil
	}
	for _, l := range lockedFiles {
		if strings.HasPrefix(path, l.below) && !(c.req.Method == "POST" && l.lock == "domain-ha") {
			return die("%s%s", c.whatFailed(l.what), strings.TrimSpace(noLock(l.lock).Error()))
		}
	}
	return die("cluster not ready - no quorum?")
}

// unwritable refuses to change a file of the node. What does so in a task lets that fail.
func (c *call) unwritable(file string) error {
	why := fmt.Sprintf("unable to open file '/etc/pve/nodes/%s/%s.tmp.%d' - Permission denied", c.node.Name, file, c.lastPID)
	if c.req.Method == "PUT" && !strings.HasSuffix(c.ep.Path, "/resize") {
		return die("%s", why)
	}
	c.fault.TaskFails = why
	return nil
}

func noLock(name string) error { return die("cfs-lock '%s' error: no quorum!", name) }

// whatFailed are the words that PVE puts before an error: "create user failed: ".
func (c *call) whatFailed(what string) string {
	verb := map[string]string{"POST": "create", "PUT": "update", "DELETE": "delete"}[c.req.Method]
	switch {
	case what == "" || strings.HasSuffix(what, ": "):
		return what
	case what == "auth server" && verb == "create":
		verb = "add"
	case what == "pool" && verb == "update":
		what = "pools"
	}
	return fmt.Sprintf("%s %s failed: ", verb, what)
}
