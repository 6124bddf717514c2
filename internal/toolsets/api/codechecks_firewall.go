package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// rulesPath is the path of the rules of a firewall, or of a group of them.
var rulesPath = lazyregexp.New(`/firewall/(rules|groups/\{group\})(/\{pos\})?$`)

// portProtocols are the protocols that have ports.
var portProtocols = []string{"udp", "17", "udplite", "136", "tcp", "6", "dccp", "33", "sctp", "132"}

var (
	groupName = lazyregexp.New(`^[A-Za-z][A-Za-z0-9\-_]+$`)
	guestCard = lazyregexp.New(`^net\d+$`)
)

// checkFirewall holds a rule to what PVE's code asks of one, as far as the request says it: a
// change leaves out what stays as it is.
func checkFirewall(ep *apischema.Endpoint, given apischema.Values) map[string]string {
	if strings.HasSuffix(ep.Path, "/firewall/options") {
		return checkRemovable(ep, given)
	}
	m := rulesPath.FindStringSubmatch(ep.Path)
	if m == nil || ep.Method == http.MethodDelete {
		return nil
	}
	rule := rule{given: given, whole: ep.Method == http.MethodPost, ofGroup: m[1] != "rules", ofGuest: strings.Contains(ep.Path, "/{vmid}/")}
	if given["moveto"] != nil && given["moveto"] != given["pos"] {
		return nil // PVE looks at nothing else
	}
	name, problem := rule.problem()
	if name == "" {
		return rule.removals()
	}
	return map[string]string{name: problem}
}

// rule is a rule of a firewall as a request has it.
type rule struct {
	given                   apischema.Values
	whole, ofGroup, ofGuest bool
}

func (r rule) text(name string) string {
	s, _ := r.given[name].(string)
	if s == "-" {
		return "" // which takes the value away
	}
	return s
}

// lacks reports whether the rule will not have a property.
func (r rule) lacks(name string) bool {
	return r.text(name) == "" && (r.whole || r.given[name] != nil || slices.Contains(r.removed(), name))
}

func (r rule) removed() []string {
	list, _ := r.given["delete"].(string)
	return apischema.SplitList(list)
}

// problem is the first of the rule's problems, with the property that has it.
func (r rule) problem() (name, problem string) {
	typ, action, proto := r.text("type"), r.text("action"), r.text("proto")
	isICMP := slices.Contains([]string{"icmp", "icmpv6", "ipv6-icmp", "1", "58"}, proto)
	hasPorts := slices.Contains(portProtocols, proto)
	env, allowed := "", []string{"in", "out", "forward", "group"}
	switch {
	case r.ofGroup:
		env, allowed = "group", []string{"in", "out", "forward"}
	case r.ofGuest:
		env, allowed = "vm", []string{"in", "out", "group"}
	}
	switch {
	case typ != "" && !slices.Contains(allowed, typ):
		return "type", fmt.Sprintf("invalid rule type '%s' for rule_env '%s'", typ, env)
	case typ == "forward" && action == "REJECT":
		return "action", "cannot define REJECT rules on forward chain"
	case action != "" && typ != "" && typ != "group" && !slices.Contains([]string{"ACCEPT", "DROP", "REJECT"}, action):
		return "action", fmt.Sprintf("unknown action '%s'", action)
	case typ == "group" && action != "" && !groupName.MatchString(action):
		return "action", "invalid characters in security group name"
	case r.text("iface") != "" && r.ofGroup:
		return "type", "parameter -i not allowed for this rule type"
	case r.text("iface") != "" && r.ofGuest && !guestCard.MatchString(r.text("iface")):
		return "iface", `value does not match the regex pattern 'net\d+'`
	}
	for _, port := range []string{"dport", "sport"} {
		switch {
		case r.text(port) == "":
		case r.lacks("proto"):
			return "proto", fmt.Sprintf("missing property - '%s' requires this property", port)
		case proto != "" && !hasPorts && (port == "sport" || !isICMP):
			return port, fmt.Sprintf("protocol '%s' does not support ports", proto)
		}
	}
	switch {
	case r.text("icmp-type") == "":
	case r.lacks("proto") || proto != "" && !isICMP:
		return "proto", "missing property - 'icmp-type' requires this property"
	case r.text("dport") != "":
		return "icmp-type", "'icmp-type' cannot be specified together with 'dport'"
	}
	return "", ""
}

// removals refuses to remove what a rule does not have, or must have.
func (r rule) removals() map[string]string {
	known := strings.Fields("action comment dest dport enable icmp-type iface log macro proto source sport type")
	for _, name := range r.removed() {
		switch {
		case !slices.Contains(known, name):
			return map[string]string{"delete": fmt.Sprintf("no such property ('%s')", name)}
		case name == "type" || name == "action":
			return map[string]string{"delete": fmt.Sprintf("unable to delete required property '%s'", name)}
		}
	}
	return nil
}

// checkRemovable refuses to remove options that a firewall does not have.
func checkRemovable(ep *apischema.Endpoint, given apischema.Values) map[string]string {
	list, _ := given["delete"].(string)
	for _, name := range apischema.SplitList(list) {
		if ep.Params[name] == nil || slices.Contains([]string{"delete", "digest", "node", "vmid"}, name) {
			return map[string]string{"delete": fmt.Sprintf("no such option '%s'", name)}
		}
	}
	return nil
}
