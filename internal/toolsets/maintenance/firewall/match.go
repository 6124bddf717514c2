package firewall

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// What a rule does with what it matches.
const (
	accept = "ACCEPT"
	drop   = "DROP"
	reject = "REJECT"
)

// ports is a range of ports. One with a name is a service whose number is not known here.
type ports struct {
	from, to int
	name     string
}

// match is a rule that packets meet, with its names resolved and its groups and macros expanded.
type match struct {
	action       string
	source, dest addresses
	iface, proto string
	icmp, macro  string // of a macro that is not known here, its name
	sport, dport []ports
	from         string // where it comes from, in words
}

// wellKnown are the services that people name in place of a port.
var wellKnown = map[string]int{"ssh": 22, "domain": 53, "http": 80, "https": 443, "imap2": 143, "smtp": 25, "mysql": 3306, "postgresql": 5432}

func portsOf(text string) []ports {
	var out []ports
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		first, last, _ := strings.Cut(part, ":")
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(cmp.Or(last, first))
		if n := wellKnown[part]; n > 0 {
			from, to, err, err2 = n, n, nil, nil
		}
		if err != nil || err2 != nil {
			out = append(out, ports{0, 65535, part})
			continue
		}
		out = append(out, ports{from, to, ""})
	}
	return out
}

func coversPorts(a, b []ports) bool {
	if len(a) == 0 {
		return true
	}
	for _, p := range b {
		if !slices.ContainsFunc(a, func(own ports) bool {
			return own.name == p.name && own.from <= p.from && p.to <= own.to
		}) {
			return false
		}
	}
	return len(b) > 0
}

func overlapPorts(a, b []ports) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(own ports) bool {
		return slices.ContainsFunc(b, func(p ports) bool { return own.from <= p.to && p.from <= own.to })
	})
}

// sameOrAll reports whether a limit takes in all of another one; "" is no limit.
func sameOrAll(a, b string) bool { return a == "" || a == b }

func mayMeet(a, b string) bool { return a == "" || b == "" || a == b }

// covers reports whether it is certain that m matches all that o matches.
func (m match) covers(o match) bool {
	if o.macro != "" && m.macro == "" && (m.proto != "" || m.icmp != "" || m.sport != nil || m.dport != nil) {
		return false
	}
	return sameOrAll(m.macro, o.macro) && sameOrAll(m.iface, o.iface) && sameOrAll(m.proto, o.proto) && sameOrAll(m.icmp, o.icmp) &&
		coversPorts(m.sport, o.sport) && coversPorts(m.dport, o.dport) && m.source.covers(o.source) && m.dest.covers(o.dest)
}

// overlaps reports whether m and o may match the same packet.
func (m match) overlaps(o match) bool {
	if m.source.none() || m.dest.none() || o.source.none() || o.dest.none() || !mayMeet(m.iface, o.iface) || !m.source.overlaps(o.source) || !m.dest.overlaps(o.dest) {
		return false
	}
	if m.macro != "" || o.macro != "" {
		return true
	}
	return mayMeet(m.proto, o.proto) && mayMeet(m.icmp, o.icmp) && overlapPorts(m.sport, o.sport) && overlapPorts(m.dport, o.dport)
}

// isForAll reports whether m matches from every sender and on every interface.
func (m match) isForAll() bool {
	return !m.source.limited && !m.dest.limited && m.iface == "" && m.sport == nil && m.macro == ""
}

// whom says for which packets to a port the rule is.
func (m match) whom() string {
	var out []string
	if m.source.limited {
		out = append(out, "from "+m.source.text)
	}
	if m.dest.limited {
		out = append(out, "to "+m.dest.text)
	}
	if m.iface != "" {
		out = append(out, "on "+m.iface)
	}
	if m.sport != nil {
		out = append(out, "from some ports")
	}
	if m.macro != "" {
		out = append(out, "by the macro "+m.macro)
	}
	return strings.Join(out, " ")
}

// mostCompared bounds the rules of a chain that are compared.
const mostCompared = 300

// widens reports whether it is proven that after lets through all that before lets through.
// Each is a part of a chain: what no rule of it matches goes on to what comes after the part,
// the same for both.
//
// A packet that some rule of after drops was dropped before, if a rule of before that drops
// covers that one, and whatever before had accepted of it earlier is accepted earlier in after,
// too. And all that before accepts is accepted by some rule of after, so that it does not go on.
func widens(before, after []match) bool {
	if len(before) > mostCompared || len(after) > mostCompared {
		return false
	}
	accepted := func(rules []match, m match) bool {
		return slices.ContainsFunc(rules, func(r match) bool { return r.action == accept && r.covers(m) })
	}
	for i, r := range after {
		if r.action == accept || r.source.none() || r.dest.none() || accepted(after[:i], r) {
			continue
		}
		if !wasDropped(before, r, func(m match) bool { return accepted(after[:i], m) }) {
			return false
		}
	}
	return !slices.ContainsFunc(before, func(r match) bool {
		return r.action == accept && !r.source.none() && !r.dest.none() && !accepted(after, r)
	})
}

// wasDropped reports whether it is proven that before dropped all that a rule matches, except
// what is still accepted.
func wasDropped(before []match, dropped match, stillAccepted func(match) bool) bool {
	for _, r := range before {
		switch {
		case r.action != accept && r.covers(dropped):
			return true
		case r.action == accept && r.overlaps(dropped) && !stillAccepted(r):
			return false
		}
	}
	return false
}
