package firewall

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// line writes a rule as people read one: in ACCEPT tcp 443 from 10.0.0.0/8.
func (e entry) line() string {
	out := []string{e["type"], e["action"]}
	if e["macro"] != "" {
		out = append(out, e["macro"])
	}
	if what := strings.TrimSpace(e["proto"] + " " + cmp.Or(e["dport"], e["icmp-type"])); what != "" {
		out = append(out, what)
	}
	for _, part := range []struct{ word, key string }{{"from", "source"}, {"from port", "sport"}, {"to", "dest"}, {"on", "iface"}, {"log", "log"}} {
		if v := e[part.key]; v != "" && v != "nolog" {
			out = append(out, part.word+" "+v)
		}
	}
	if !e.isOn() {
		out = append(out, "(off)")
	}
	if e["comment"] != "" {
		out = append(out, "# "+e["comment"])
	}
	return render.Text(strings.Join(out, " "), 200)
}

// linesOf are the rules of a direction in their order, with their positions and with groups
// expanded. A rule that names what is not there says so.
func (s setup) linesOf(rules []entry, names section, direction, of string) []string {
	var out []string
	for i, r := range rules {
		where := strings.TrimSpace(fmt.Sprintf("%s %d", of, i)) + ": "
		switch {
		case r["type"] == "group":
			if group, has := s.Groups[r["action"]]; has {
				lines := s.linesOf(group, s.Cluster, direction, where+"group "+r["action"])
				if !r.isOn() && len(lines) > 0 {
					lines = []string{where + r.line()}
				}
				out = append(out, lines...)
			} else {
				out = append(out, where+r.line()+" (the group was not seen)")
			}
		case r["type"] == direction:
			line := where + r.line()
			if addr := s.broken(r, names); addr != "" {
				line += " (no effect: there is no " + addr + ")"
			}
			out = append(out, line)
		}
	}
	return out
}

// broken names what a rule is about and is not there, "" if all is.
func (s setup) broken(r entry, names section) string {
	for _, key := range []string{"source", "dest"} {
		if _, ok := s.addresses(r[key], names); !ok {
			return render.Text(r[key], 80)
		}
	}
	return ""
}

// sayAddresses writes the members of a set.
func sayAddresses(all []entry) string {
	var out []string
	for _, e := range all {
		text := e["cidr"]
		if e.flag("nomatch", false) {
			text = "!" + text
		}
		out = append(out, text)
	}
	return render.Text(cmp.Or(strings.Join(out, " "), "empty"), 300)
}
