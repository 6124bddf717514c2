package ha

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/schedule"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// asWanted reports whether a resource is in the state that is wanted.
func asWanted(s section) bool {
	wanted := s["request_state"]
	return s["state"] == wanted || wanted == "enabled" && s["state"] == "started" || wanted == "disabled" && s["state"] == "stopped"
}

// agentRows are the agents of the nodes, those in the same state in one row.
func (r *shown) agentRows() []agentsRow {
	nodes := map[string][]string{}
	oldest := map[string]section{}
	for node, agent := range r.agents {
		state := agent.words()
		if is := r.stateOf[node]; is != "" && is != "online" {
			state += "; the manager says " + render.Text(is, 30)
		}
		nodes[state] = append(nodes[state], node)
		if was := oldest[state]; was == nil || agent.number("timestamp") < was.number("timestamp") {
			oldest[state] = agent
		}
	}
	var out []agentsRow
	for _, state := range slices.Sorted(maps.Keys(nodes)) {
		slices.SortFunc(nodes[state], pve.CompareNames)
		row := agentsRow{State: state, Oldest: oldest[state].age(r.View)}
		row.Nodes, row.Count = survey.Few(nodes[state])
		out = append(out, row)
	}
	return out
}

// resourceRows are the resources, those with the same wanted and actual state in one row; those
// that are not as wanted first.
func (r *shown) resourceRows(most int, out *showOut) []resourcesRow {
	type key struct{ wanted, state string }
	byState := map[key][]section{}
	for _, s := range r.meant() {
		k := key{cmp.Or(s["request_state"], "nothing"), cmp.Or(s["state"], "unknown")}
		byState[k] = append(byState[k], s)
	}
	keys := slices.SortedFunc(maps.Keys(byState), func(a, b key) int {
		wellA, wellB := asWanted(byState[a][0]), asWanted(byState[b][0])
		if wellA != wellB {
			return map[bool]int{true: 1, false: -1}[wellA]
		}
		return cmp.Or(cmp.Compare(a.wanted, b.wanted), cmp.Compare(a.state, b.state))
	})
	var rows []resourcesRow
	left := 0
	for _, k := range keys {
		all := byState[k]
		row := resourcesRow{Wanted: render.Text(k.wanted, 30), State: render.Text(k.state, 30), Count: len(all), On: []string{}}
		for _, s := range all[:min(len(all), most)] {
			row.On = append(row.On, fmt.Sprintf("%s on %s", r.names.name(s["sid"]), cmp.Or(s["node"], "no node")))
		}
		most -= len(row.On)
		if n := len(all) - len(row.On); n > 0 {
			left += n
			row.Nodes = countByNode(all)
		}
		rows = append(rows, row)
	}
	if left > 0 {
		out.LeftOut = append(out.LeftOut, fmt.Sprintf("%d guests that HA manages; node and vmid choose, limit raises", left))
	}
	return rows
}

// countByNode says how many resources are on which node.
func countByNode(all []section) string {
	count := map[string]int{}
	for _, s := range all {
		count[s["node"]]++
	}
	var out []string
	for _, node := range slices.SortedFunc(maps.Keys(count), pve.CompareNames) {
		out = append(out, fmt.Sprintf("%s %d", cmp.Or(node, "no node"), count[node]))
	}
	return strings.Join(out, ", ")
}

func (r *shown) ruleRows(most int, out *showOut) []ruleRow {
	var rows []ruleRow
	sid := r.sidMeant()
	all := slices.Clone(r.rules)
	slices.SortStableFunc(all, func(a, b section) int { // faulty ones first
		return cmp.Compare(len(r.faults(b, r.names)), len(r.faults(a, r.names)))
	})
	for _, rule := range all {
		if sid != "" && !slices.Contains(rule.list("resources"), sid) {
			continue
		}
		if len(rows) < most {
			rows = append(rows, ruleRow{render.Text(rule["rule"], 60), describe(rule, r.names), !rule.isOn(), r.faults(rule, r.names)})
		}
	}
	if n := len(all) - len(rows); n > 0 && sid == "" {
		out.LeftOut = append(out.LeftOut, fmt.Sprintf("%d rules", n))
	}
	return rows
}

func (r *shown) groupRows() []ruleRow {
	var rows []ruleRow
	for _, g := range r.groups {
		members := r.members(g["group"])
		if sid := r.sidMeant(); sid != "" && !slices.Contains(members, sid) {
			continue
		}
		wants := fmt.Sprintf("rather on %s", g["nodes"])
		if g.flag("restricted", false) {
			wants = "only on " + g["nodes"]
		}
		if g.flag("nofailback", false) {
			wants += ", without failback"
		}
		row := ruleRow{Name: render.Text(g["group"], 60), Wants: render.Text(fmt.Sprintf("%s %s", count(len(members), "guest"), wants), 200), Faults: r.faultsOfNodes(g, r.names)}
		if len(members) == 0 {
			row.Faults = append(row.Faults, "no guest is in it")
		}
		rows = append(rows, row)
	}
	return rows[:min(len(rows), 20)]
}

// jobRows are the replication jobs: failing ones first, then those whose last success is oldest.
func (r *shown) jobRows(most int, out *showOut) []jobRow {
	slices.SortStableFunc(r.jobs, func(a, b section) int {
		return cmp.Or(cmp.Compare(b.number("fail_count"), a.number("fail_count")), cmp.Compare(a.number("last_sync"), b.number("last_sync")))
	})
	var rows []jobRow
	for _, j := range r.jobs[:min(len(r.jobs), most)] {
		event := cmp.Or(j["schedule"], defaultSchedule)
		row := jobRow{
			Job: render.Text(j["id"], 30), Guest: r.names.name(j["guest"]), To: render.Text(j["target"], 60), Schedule: cmp.Or(schedule.Words(event), render.Text(event, 60)),
			Off: j.flag("disable", false), Fails: j.number("fail_count"), Error: render.Said(j["error"], 200), Last: "not seen",
		}
		if j["last_sync"] != "" {
			row.Last = "never"
			if at := j.number("last_sync"); at > 0 {
				row.Last = render.Duration(max(0, r.Ago(time.Unix(at, 0))).Round(time.Second)) + " ago"
			}
		}
		if at := j.number("next_sync"); at > 0 && !row.Off {
			row.Next = render.Time(time.Unix(at, 0).UTC())
		}
		rows = append(rows, row)
	}
	if n := len(r.jobs) - len(rows); n > 0 {
		out.LeftOut = append(out.LeftOut, fmt.Sprintf("%d replication jobs", n))
	}
	return rows
}

// defaultSchedule is that of a replication job without one.
const defaultSchedule = "*/15"

// doing says what the manager has in hand.
func (r *shown) doing() []string {
	words := map[string]string{
		"starting": "starts", "stopping": "stops", "queued": "has not yet taken notice of", "migrate": "migrates", "relocate": "stops, and starts elsewhere,", "request_stop": "stops",
		"request_start": "looks for a node for", "request_start_balance": "looks for a node for", "recovery": "looks for a node for", "deleting": "forgets", "clearing error flag": "clears the error of",
		"fence": "waits until the node is fenced of", "freeze": "leaves as it is, until its node is back,",
	}
	var out []string
	for _, s := range r.meant() {
		if verb := words[s["state"]]; verb != "" {
			out = append(out, fmt.Sprintf("HA %s %s (on %s)", verb, r.names.name(s["sid"]), cmp.Or(s["node"], "no node")))
		}
	}
	return out
}
