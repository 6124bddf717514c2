package ha

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// problems are what is wrong, worst first, one row for each kind.
func (r *shown) problems(h tool.Host) []problem {
	var out []problem
	add := func(what, next string, on []string, fix map[string]any) {
		row := problem{What: what, Next: next}
		row.On, row.Count = survey.Few(on)
		if fix != nil {
			call := h.Offered(tool.NextCall{Tool: "pve_set_ha", Arguments: fix})
			row.Fix = &call
		}
		out = append(out, row)
	}
	if r.quorum != nil && !r.quorum.flag("quorate", true) {
		add("the cluster has no quorum", "pve_cluster_status shows the nodes: until more than half are online PVE refuses every change, and a node on which HA runs guests resets itself.", nil, nil)
	}
	r.problemsOfGuests(add)
	r.problemsOfNodes(add)
	r.problemsOfRules(add)
	r.problemsOfJobs(add)
	return out
}

type adder func(what, next string, on []string, fix map[string]any)

// problemsOfGuests are those of resources that HA has given up, or cannot place.
func (r *shown) problemsOfGuests(add adder) {
	byState := map[string][]string{}
	first := map[string]string{}
	for _, s := range r.meant() {
		if first[s["state"]] == "" {
			first[s["state"]] = s["sid"]
		}
		byState[s["state"]] = append(byState[s["state"]], r.names.name(s["sid"]))
		if wanted := s["request_state"]; wanted == "started" && (s["state"] == "stopped" || s["state"] == "disabled") {
			byState["down"] = append(byState["down"], r.names.name(s["sid"]))
		}
	}
	if on := byState["error"]; on != nil {
		add("in error: HA has given up and does nothing more for it",
			"Find out why (pve_diagnose, pve_list_tasks with vmid) and correct that. Disabling it clears the error and stops the guest; then request started.",
			on, map[string]any{"change": "update", "resource": first["error"], "state": "disabled"})
	}
	if on := byState["fence"]; on != nil {
		add("its node is being fenced", "HA starts it elsewhere when the node is known to be off. Do not start it by hand: its disks may still be written to.", on, nil)
	}
	if on := byState["recovery"]; on != nil {
		add("no node can take it now", "See its rules, and which nodes are online: a strict rule keeps it down.", on, nil)
	}
	if on := byState["not found"]; on != nil {
		add("it no longer exists", "Take it out of HA.", on, map[string]any{"change": "remove", "resource": first["not found"]})
	}
	if on := byState["down"]; on != nil {
		add("it is to run, and HA reports it stopped", "pve_diagnose says why it does not start.", on, nil)
	}
	var groupless []string
	for _, s := range r.layout.resources {
		if strings.Contains(s["errors"], "does not exist") {
			groupless = append(groupless, r.names.name(s["sid"]))
		}
	}
	if groupless != nil {
		add("its group does not exist", "Give it another group, or none (unset).", groupless, nil)
	}
}

// problemsOfNodes are those of the manager and its agents.
func (r *shown) problemsOfNodes(add adder) {
	if len(r.state.services) == 0 || !r.hasStatus {
		return
	}
	busy := map[string]bool{}
	for _, s := range r.state.services {
		busy[s["node"]] = true
	}
	switch {
	case r.master == nil:
		add("no manager is active", "Nothing is started, moved or recovered until a node takes over: see pve-ha-crm on the nodes (pve_node_status).", nil, nil)
	case r.master.isStale():
		add(fmt.Sprintf("the manager does not report: %s last %s", r.master["node"], r.master.age(r.View)), "Nothing is started, moved or recovered until another node takes over.", nil, nil)
	}
	if is := r.fencing["armed-state"]; is == "disarmed" || is == "disarming" {
		add("HA is "+is+": no guest is recovered from a failed node", "Arm it when the maintenance is over.", nil, map[string]any{"change": "arm"})
	}
	var dead, drifting, fenced, maintained []string
	for _, node := range slices.SortedFunc(maps.Keys(r.agents), pve.CompareNames) {
		agent := r.agents[node]
		switch is := r.stateOf[node]; {
		case is == "fence":
			fenced = append(fenced, node)
		case (agent.isStale() || is == "unknown" || is == "gone") && busy[node]:
			dead = append(dead, fmt.Sprintf("%s (last %s)", node, agent.age(r.View)))
		case strings.Contains(agent["status"], "time drift"):
			drifting = append(drifting, node)
		case is == "maintenance":
			maintained = append(maintained, node)
		}
	}
	for _, one := range []struct {
		what, next string
		on         []string
	}{
		{"being fenced", "Its guests come up elsewhere when it is known to be off.", fenced},
		{"HA's agent does not report, and guests of HA are there", "If the node is down, HA fences it after about two minutes. If it is up, see pve-ha-lrm there.", dead},
		{"the clock is ahead", "Set the time (chrony): HA judges nodes by it.", drifting},
		{"in maintenance: HA starts nothing there", "Root ends it on a node: ha-manager crm-command node-maintenance disable NODE.", maintained},
	} {
		if one.on != nil {
			add(one.what, one.next, one.on, nil)
		}
	}
}

func (r *shown) problemsOfRules(add adder) {
	if !r.hasStatus {
		return
	}
	var faulty []string
	for _, rule := range r.rules {
		if rule.isOn() && len(r.faults(rule, r.names)) > 0 {
			faulty = append(faulty, render.Text(rule["rule"], 60))
		}
	}
	for _, g := range r.groups {
		if len(r.faultsOfNodes(g, r.names)) > 0 {
			faulty = append(faulty, render.Text(g["group"], 60))
		}
	}
	if faulty != nil {
		add("a rule or group has no effect, or cannot be fulfilled", "Its faults say why.", faulty, nil)
	}
}

func (r *shown) problemsOfJobs(add adder) {
	var failing, never []string
	for _, j := range r.jobs {
		name := fmt.Sprintf("%s of %s", render.Text(j["id"], 30), r.names.name(j["guest"]))
		switch {
		case j.number("fail_count") > 0:
			failing = append(failing, name)
		case j["last_sync"] == "0" && !j.flag("disable", false):
			never = append(never, name)
		}
	}
	if failing != nil {
		add("replication fails", "Its error says why; PVE tries again by itself.", failing, nil)
	}
	if never != nil {
		add("replication has never succeeded", "There is no copy yet.", never, nil)
	}
}
