// Package ha has the tools for high availability and replication. What they say of HA is what its
// manager reports, with the age of that.
package ha

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type showIn struct {
	VMID  pve.VMID `json:"vmid,omitzero" jsonschema:"only this guest, with its settings and rules"`
	Node  string   `json:"node,omitzero" jsonschema:"only guests on this node"`
	Limit int      `json:"limit,omitzero" min:"1" max:"200" default:"20" jsonschema:"most names, rules and jobs in each list"`
}

type showOut struct {
	Message     string         `json:"message"`
	Problems    []problem      `json:"problems,omitzero" cut:"end" jsonschema:"worst first"`
	Doing       []string       `json:"doing,omitzero" jsonschema:"what the manager is about to do or waits for"`
	Manager     string         `json:"manager,omitzero" jsonschema:"the node that decides, its state and how old that report is"`
	Quorum      string         `json:"quorum,omitzero"`
	Fencing     string         `json:"fencing,omitzero"`
	Agents      []agentsRow    `json:"agents,omitzero" jsonschema:"HA's agents on the nodes, by state"`
	Resources   []resourcesRow `json:"resources,omitzero" jsonschema:"guests that HA manages, by wanted and actual state"`
	Settings    section        `json:"settings,omitzero" jsonschema:"of the guest"`
	Rules       []ruleRow      `json:"rules,omitzero"`
	Groups      []ruleRow      `json:"groups,omitzero" jsonschema:"of PVE 8"`
	Replication []jobRow       `json:"replication,omitzero" jsonschema:"jobs, failing ones first"`
	LeftOut     []string       `json:"left_out,omitzero"`
	Blind       []survey.Blind `json:"blind,omitzero" jsonschema:"what could not be seen: nothing is known of it"`
	AsOf        string         `json:"as_of"`
}

type problem struct {
	What  string         `json:"what"`
	On    []string       `json:"on,omitzero" jsonschema:"at most five"`
	Count int            `json:"count,omitzero" jsonschema:"of how many, if more"`
	Next  string         `json:"next,omitzero"`
	Fix   *tool.NextCall `json:"fix,omitzero"`
}

type agentsRow struct {
	State  string   `json:"state"`
	Nodes  []string `json:"nodes" jsonschema:"at most five"`
	Count  int      `json:"count,omitzero" jsonschema:"of how many, if more"`
	Oldest string   `json:"oldest,omitzero" jsonschema:"age of the oldest report"`
}

type resourcesRow struct {
	Wanted string   `json:"wanted"`
	State  string   `json:"state"`
	Count  int      `json:"count"`
	On     []string `json:"on"`
	Nodes  string   `json:"nodes,omitzero" jsonschema:"how many on which node"`
}

type ruleRow struct {
	Name   string   `json:"name"`
	Wants  string   `json:"wants"`
	Off    bool     `json:"disabled,omitzero"`
	Faults []string `json:"faults,omitzero" jsonschema:"why it has no effect or cannot be fulfilled"`
}

type jobRow struct {
	Job      string `json:"job"`
	Guest    string `json:"guest"`
	To       string `json:"to"`
	Schedule string `json:"schedule"`
	Off      bool   `json:"disabled,omitzero"`
	Last     string `json:"last_success" jsonschema:"age"`
	Next     string `json:"next,omitzero"`
	Fails    int64  `json:"fails,omitzero" jsonschema:"in a row"`
	Error    string `json:"error,omitzero"`
}

// Show is pve_ha.
func Show() tool.Tool {
	return tool.Read(tool.Spec[showIn, showOut]{
		Name:  "pve_ha",
		Title: "Show high availability and replication",
		Doc: "High availability (HA) and replication: which guests does HA manage, is one in error, what is the manager doing, fencing and quorum, " +
			"affinity rules and groups that conflict, replication jobs that fail or are late.",
		Examples: []tool.Example{
			{Arguments: `{}`},
			{Arguments: `{"vmid":103}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnRoot, "Sys.Audit").Else("HA cannot be seen"),
			tool.On(tool.OnGuest, "VM.Audit").Else("its name and its replication cannot be seen"),
		},
		Run: show,
	})
}

// shown is what was read for an answer.
type shown struct {
	*survey.Survey
	layout
	state
	in        showIn
	names     guestNames
	stateOf   map[string]string // of nodes, as the manager thinks
	jobs      []section
	hasStatus bool
}

func show(ctx context.Context, c *tool.Call, in showIn) (showOut, error) {
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return showOut{}, err
	}
	defer end()
	r := &shown{Survey: s, in: in}
	if err := r.read(ctx); err != nil {
		return showOut{}, err
	}
	if err := s.Err(); err != nil {
		return showOut{}, err
	}
	out := r.describe(c)
	out.Blind = s.Blind()
	return out, nil
}

func (r *shown) read(ctx context.Context) error {
	list, err := r.List(ctx, "")
	if err != nil {
		return err
	}
	r.names, r.online, r.all = namesOf(list.Resources()), nil, nil
	for _, n := range list.Resources() {
		if n.Type == "node" {
			r.all = append(r.all, n.Node.Value)
			if n.Status.Value == "online" {
				r.online = append(r.online, n.Node.Value)
			}
		}
	}
	if _, known := r.names[r.in.VMID]; r.in.VMID != 0 && !known {
		return &pve.NoGuestError{VMID: r.in.VMID}
	}
	if r.in.Node != "" && !slices.Contains(r.all, r.in.Node) {
		return explain.Refusal(fmt.Sprintf("There is %s.", render.List(r.all)), "There is no node %q that this token may see.", render.Text(r.in.Node, 60))
	}
	r.readHA()
	r.readJobs()
	return nil
}

func (r *shown) readHA() {
	r.layout.services = map[string]section{}
	if !r.May("HA", "", "Sys.Audit", "/") {
		return
	}
	r.state, r.hasStatus = survey.One(r.Survey, "HA's state", func(ctx context.Context) (state, error) { return readState(ctx, r.PVE) })
	r.stateOf, _ = survey.One(r.Survey, "what HA thinks of the nodes", func(ctx context.Context) (map[string]string, error) { return readNodeStates(ctx, r.PVE) })
	r.layout.resources, _ = r.list(resourceKind)
	version, ok := survey.One(r.Survey, "the version of PVE", r.PVE.Version)
	if ok && version.Major() >= 9 {
		r.layout.rules, _ = r.list(ruleKind)
	}
	if ok && hasGroups(version.Major(), r.layout.resources) {
		r.layout.groups, _ = r.list(groupKind)
	}
	for _, s := range r.state.services {
		r.layout.services[s["sid"]] = s
	}
}

func (r *shown) list(k kind) ([]section, bool) {
	return survey.One(r.Survey, k.noun+"s", func(ctx context.Context) ([]section, error) { return k.read(ctx, r.PVE) })
}

// readJobs reads the replication jobs, and asks the nodes that run them how that went.
func (r *shown) readJobs() {
	r.MayAll("replication of guests that are not seen", "VM.Audit", "/vms")
	configured, _ := r.list(jobKind)
	byNode := map[string]bool{}
	for _, j := range configured {
		if r.isMeant(vmid(j["guest"])) {
			r.jobs = append(r.jobs, j)
			if at := r.names[vmid(j["guest"])].Node.Value; slices.Contains(r.online, at) {
				byNode[at] = true
			}
		}
	}
	nodes := slices.SortedFunc(maps.Keys(byNode), pve.CompareNames)
	got := survey.Ask(r.Survey, "how replication went", nodes, func(n string) string { return n }, func(ctx context.Context, node string) ([]section, error) {
		return kind{path: []string{"nodes", node, "replication"}, key: "id"}.read(ctx, r.PVE)
	})
	for _, one := range got {
		for _, ran := range one.Value {
			if j := jobKind.named(r.jobs, ran["id"]); j != nil {
				maps.Copy(j, ran)
			}
		}
	}
}

// isMeant reports whether the call is about a guest.
func (r *shown) isMeant(id pve.VMID) bool {
	return (r.in.VMID == 0 || r.in.VMID == id) && (r.in.Node == "" || r.names[id].Node.Value == r.in.Node)
}

// meant are the resources that the call is about.
func (r *shown) meant() []section {
	return slices.DeleteFunc(slices.Clone(r.state.services), func(s section) bool {
		return r.in.VMID != 0 && vmid(s["sid"]) != r.in.VMID || r.in.Node != "" && s["node"] != r.in.Node
	})
}

func (r *shown) describe(c *tool.Call) showOut {
	out := showOut{AsOf: render.Time(c.AsOf())}
	if r.hasStatus {
		out.Quorum, out.Fencing = render.Text(r.quorum["status"], 100), render.Text(r.fencing["status"], 100)
		out.Manager = "none is active"
		if r.master != nil {
			out.Manager = fmt.Sprintf("%s: %s, reported %s", r.master["node"], r.master.words(), r.master.age(r.View))
		}
		if r.in.VMID == 0 {
			out.Agents = r.agentRows()
		}
	}
	most := cmp.Or(r.in.Limit, 20)
	out.Resources = r.resourceRows(most, &out)
	out.Rules, out.Groups = r.ruleRows(most, &out), r.groupRows()
	out.Replication = r.jobRows(most, &out)
	if s := resourceKind.named(r.layout.resources, r.sidMeant()); s != nil {
		out.Settings = resourceKind.settings(s)
	}
	out.Doing = render.Few(r.doing(), 10)
	out.Problems = r.problems(c.Host())
	out.Message = r.message(out)
	return out
}

// sidMeant is the resource of the guest that the call is about, "" for none.
func (r *shown) sidMeant() string {
	if r.in.VMID == 0 {
		return ""
	}
	return sidOf(r.names[r.in.VMID])
}

func (r *shown) message(out showOut) string {
	var parts []string
	all := r.meant()
	switch who := r.names.name(r.sidMeant()); {
	case !r.hasStatus:
		parts = append(parts, "HA cannot be seen: see blind.")
	case r.in.VMID != 0 && len(all) == 0:
		parts = append(parts, fmt.Sprintf("HA does not manage %s: it does not come up elsewhere if its node fails.", who))
	case r.in.VMID != 0:
		parts = append(parts, fmt.Sprintf("HA reports %s as %s on %s; wanted: %s.", who, all[0]["state"], cmp.Or(all[0]["node"], "no node"), cmp.Or(all[0]["request_state"], "nothing")))
	case len(all) == 0:
		parts = append(parts, "HA manages no guest"+map[bool]string{true: " on " + r.in.Node}[r.in.Node != ""]+".")
	default:
		parts = append(parts, fmt.Sprintf("HA manages %s, %d in the state that is wanted, as its manager reports.", count(len(all), "guest"), len(all)-len(slices.DeleteFunc(slices.Clone(all), asWanted))))
	}
	if n := len(r.jobs); n > 0 {
		fails := len(slices.DeleteFunc(slices.Clone(r.jobs), func(j section) bool { return j.number("fail_count") == 0 }))
		parts = append(parts, fmt.Sprintf("Replication: %s, %d failing.", count(n, "job"), fails))
	}
	if len(out.Problems) > 0 {
		parts = append(parts, fmt.Sprintf("%s, the worst: %s.", count(len(out.Problems), "problem"), out.Problems[0].What))
	}
	return strings.Join(parts, " ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
