package ha

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// section is a resource, a rule, a group, a replication job, or a row of HA's status, by PVE's
// keys.
type section map[string]string

func (s section) list(key string) []string { return apischema.SplitList(s[key]) }

// flag is a switch: unset is what it is if it was not set.
func (s section) flag(key string, unset bool) bool {
	if s[key] == "" {
		return unset
	}
	return s[key] != "0"
}

func (s section) number(key string) int64 {
	n, _ := strconv.ParseFloat(s[key], 64)
	return int64(n)
}

// nodes are the nodes of a rule or a group, with their priorities.
func (s section) nodes() map[string]int { return reading.Priorities(s["nodes"]) }

func sectionOf(row map[string]any) section {
	out := section{}
	for name, value := range row {
		text, ok := tool.PlainText(value)
		if !ok && value != nil {
			text = string(exactjson.Encode(value))
		}
		if text != "" {
			out[name] = text
		}
	}
	return out
}

// readExact reads what PVE has below a path, with numbers as PVE writes them.
func readExact(ctx context.Context, c *pve.Client, into any, path ...string) error {
	raw, err := proxmox.Get[json.RawMessage](ctx, c.Client, proxmox.Join(path...), nil)
	if err != nil {
		return err
	}
	if err := exactjson.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("PVE's answer is no list or object of the kind: %w", err)
	}
	return nil
}

// kind is a kind of sections: where PVE lists them, and the key that names one.
type kind struct {
	path []string
	key  string
	noun string
}

var (
	resourceKind = kind{[]string{"cluster", "ha", "resources"}, "sid", "HA resource"}
	ruleKind     = kind{[]string{"cluster", "ha", "rules"}, "rule", "HA rule"}
	groupKind    = kind{[]string{"cluster", "ha", "groups"}, "group", "HA group"}
	jobKind      = kind{[]string{"cluster", "replication"}, "id", "replication job"}
)

// read lists the sections of a kind. Versions of PVE without the kind have none.
func (k kind) read(ctx context.Context, c *pve.Client) ([]section, error) {
	var rows []map[string]any
	if err := readExact(ctx, c, &rows, k.path...); err != nil {
		var said *proxmox.Error
		if errors.As(err, &said) && (said.Status == 501 || strings.Contains(said.Message, "migrated to rules")) {
			return nil, nil
		}
		return nil, err
	}
	out := []section{}
	for _, row := range rows {
		out = append(out, sectionOf(row))
	}
	slices.SortFunc(out, func(a, b section) int { return pve.CompareNames(a[k.key], b[k.key]) })
	return out, nil
}

// named finds a section by its name.
func (k kind) named(all []section, name string) section {
	i := slices.IndexFunc(all, func(s section) bool { return s[k.key] == name })
	if i < 0 {
		return nil
	}
	return all[i]
}

// settings are what can be set of a section, without its name and what PVE adds, in one way of
// writing: lists in order, switches only if they are not as they are by default. A section that is
// not there has none.
func (k kind) settings(s section) section {
	out := maps.Clone(s)
	for _, key := range []string{k.key, "digest", "order", "errors", "guest", "jobnum", "source", "remove_job"} {
		delete(out, key)
	}
	for key, unset := range switches {
		if value, has := out[key]; has && (value != "0") == unset {
			delete(out, key)
		}
	}
	for _, key := range []string{"nodes", "resources"} {
		if list := out.list(key); len(list) > 0 {
			for i := range list {
				list[i] = strings.TrimSuffix(list[i], ":0")
			}
			slices.Sort(list)
			out[key] = strings.Join(list, ",")
		}
	}
	return out
}

// switches are the keys that are on or off, and what each is if it is not set.
var switches = map[string]bool{"failback": true, "nofailback": false, "strict": false, "restricted": false, "disable": false}

// state is what HA's manager reports.
type state struct {
	quorum, master, fencing section
	agents                  map[string]section // by node
	services                []section
}

// readState asks the manager for its state (Sys.Audit on /).
func readState(ctx context.Context, c *pve.Client) (state, error) {
	s := state{agents: map[string]section{}}
	var rows []map[string]any
	if err := readExact(ctx, c, &rows, "cluster", "ha", "status", "current"); err != nil {
		return s, err
	}
	for _, raw := range rows {
		switch row := sectionOf(raw); row["type"] {
		case "quorum":
			s.quorum = row
		case "master":
			s.master = row
		case "fencing":
			s.fencing = row
		case "lrm":
			s.agents[row["node"]] = row
		case "service":
			s.services = append(s.services, row)
		}
	}
	slices.SortFunc(s.services, func(a, b section) int { return pve.CompareNames(a["sid"], b["sid"]) })
	return s, nil
}

func (s state) service(sid string) section { return resourceKind.named(s.services, sid) }

// readNodeStates are what the manager thinks of each node: online, unknown, fence, gone or
// maintenance.
func readNodeStates(ctx context.Context, c *pve.Client) (map[string]string, error) {
	var all struct {
		Manager struct {
			Nodes map[string]string `json:"node_status"`
		} `json:"manager_status"`
	}
	err := readExact(ctx, c, &all, "cluster", "ha", "status", "manager_status")
	return all.Manager.Nodes, err
}

// statusRE finds the words of a status such as: pve1 (active, watchdog active, Sun Nov 29
// 18:49:00 2026) - static load CRS.
var statusRE = lazyregexp.New(`^\S+ \((.*?)(?:, (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [^)]*)?\)(.*)$`)

// words are those of a status, without its node and time.
func (s section) words() string {
	m := statusRE.FindStringSubmatch(s["status"])
	if m == nil {
		return render.Text(s["status"], 100)
	}
	return render.Text(m[1]+m[2], 100)
}

// isStale reports whether the manager or an agent has not reported for long.
func (s section) isStale() bool {
	return strings.Contains(s["status"], "old timestamp") || strings.Contains(s["status"], "unable to read")
}

// age says how old a report is.
func (s section) age(v *cluster.View) string {
	at := s.number("timestamp")
	if at == 0 {
		return "never"
	}
	return render.Duration(max(0, v.Ago(time.Unix(at, 0))).Round(time.Second)) + " ago"
}

// vmid is the guest that a resource is, 0 for none.
func vmid(sid string) pve.VMID {
	_, text, _ := strings.Cut(sid, ":")
	id, _ := pve.ParseVMID(cmp.Or(text, sid))
	return id
}

// sidOf is the name of a guest as an HA resource.
func sidOf(g pve.Resource) string {
	if g.Type == string(pve.LXC) {
		return "ct:" + g.VMID.String()
	}
	return "vm:" + g.VMID.String()
}

// guestNames names guests by the sids of resources.
type guestNames map[pve.VMID]pve.Resource

func namesOf(all []pve.Resource) guestNames {
	out := guestNames{}
	for _, r := range all {
		if r.IsGuest() {
			out[r.VMID] = r
		}
	}
	return out
}

// name names the guest of a resource for people, such as 101 web-2.
func (n guestNames) name(sid string) string {
	if g, ok := n[vmid(sid)]; ok {
		return cluster.GuestName(g)
	}
	return render.Text(sid, 40)
}

func (n guestNames) names(sids []string) []string {
	var out []string
	for _, sid := range sids {
		out = append(out, n.name(sid))
	}
	return out
}
