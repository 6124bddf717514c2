package pvesim

import (
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// ruleTypes are those that a firewall may have, by its kind.
var ruleTypes = map[string][]string{
	"cluster": {"in", "out", "forward", "group"}, "host": {"in", "out", "forward", "group"}, "group": {"in", "out", "forward"},
	"vm": {"in", "out", "group"}, "ct": {"in", "out", "group"},
}

// withPorts are the protocols that have ports.
var withPorts = []string{"udp", "17", "udplite", "136", "tcp", "6", "dccp", "33", "sctp", "132"}

var (
	groupNameRE = lazyregexp.New(`^[A-Za-z][A-Za-z0-9\-_]+$`)
	guestCardRE = lazyregexp.New(`^net\d+$`)
	setRefRE    = lazyregexp.New(`^\+(?:guest/|dc/|sdn/)?([A-Za-z][A-Za-z0-9\-_]+)$`)
	aliasRefRE  = lazyregexp.New(`^(?:guest/|dc/)?([A-Za-z][A-Za-z0-9\-_]+)$`)
)

// checkRule refuses what a rule cannot be.
func (c *call) checkRule(f firewall, rule map[string]string) error {
	typ, action, proto := rule["type"], rule["action"], rule["proto"]
	isICMP := slices.Contains([]string{"icmp", "icmpv6", "ipv6-icmp", "1", "58"}, proto)
	switch {
	case typ == "":
		return badParam("type", "missing property")
	case action == "":
		return badParam("action", "missing property")
	case !slices.Contains(ruleTypes[f.env], typ):
		return badParam("type", "invalid rule type '%s' for rule_env '%s'", typ, f.env)
	case typ == "forward" && action == "REJECT":
		return badParam("action", "cannot define REJECT rules on forward chain")
	case typ != "group" && !slices.Contains([]string{"ACCEPT", "DROP", "REJECT"}, action):
		return badParam("action", "unknown action '%s'", action)
	case typ == "group" && !groupNameRE.MatchString(action):
		return badParam("action", "invalid characters in security group name")
	case rule["iface"] != "" && f.env == "group":
		return badParam("type", "parameter -i not allowed for this rule type")
	case rule["iface"] != "" && (f.env == "vm" || f.env == "ct") && !guestCardRE.MatchString(rule["iface"]):
		return badParam("iface", `value does not match the regex pattern 'net\d+'`)
	case rule["macro"] != "" && macroNamed(rule["macro"]) == "":
		return badParam("macro", "unknown macro '%s'", rule["macro"])
	case rule["dport"] != "" && proto == "":
		return badParam("proto", "missing property - 'dport' requires this property")
	case rule["dport"] != "" && !slices.Contains(withPorts, proto) && !isICMP:
		return badParam("dport", "protocol '%s' does not support ports", proto)
	case rule["icmp-type"] != "" && !isICMP:
		return badParam("proto", "missing property - 'icmp-type' requires this property")
	case rule["icmp-type"] != "" && rule["dport"] != "":
		return badParam("icmp-type", "'icmp-type' cannot be specified together with 'dport'")
	case rule["sport"] != "" && proto == "":
		return badParam("proto", "missing property - 'sport' requires this property")
	case rule["sport"] != "" && !slices.Contains(withPorts, proto):
		return badParam("sport", "protocol '%s' does not support ports", proto)
	}
	if rule["macro"] != "" {
		rule["macro"] = macroNamed(rule["macro"])
	}
	for _, name := range []string{"source", "dest"} {
		if err := c.checkReference(f, name, rule[name]); err != nil {
			return err
		}
	}
	return nil
}

// checkReference refuses an address that is the name of a set or an alias that is not there.
func (c *call) checkReference(f firewall, name, value string) error {
	files := []string{f.file, clusterFirewall}
	has := func(typ string, same func(id string) bool) bool {
		return slices.ContainsFunc(files, func(file string) bool {
			return slices.ContainsFunc(c.sectionsOfType(file, typ), func(s Section) bool { return same(s.ID) })
		})
	}
	if set := submatch(setRefRE.FindStringSubmatch(value)); set != "" {
		if !has("ipset", func(id string) bool { return id == set }) {
			return badParam(name, "no such ipset '%s'", set)
		}
		return nil
	}
	if strings.HasPrefix(value, "+") {
		return badParam(name, "invalid ipset name '%s'", value)
	}
	if alias := submatch(aliasRefRE.FindStringSubmatch(value)); alias != "" && !has("alias", func(id string) bool { return strings.EqualFold(id, alias) }) {
		return badParam(name, "no such alias '%s'", value)
	}
	return nil
}

func submatch(m []string) string {
	if m == nil {
		return ""
	}
	return m[1]
}

// macros are the names of the services that PVE knows rules for.
var macros = strings.Fields(`Amanda Auth BGP BitTorrent BitTorrent32 Ceph CVS Citrix DAAP DCC DHCPfwd DHCPv6 DNS Distcc FTP Finger GNUnet GRE Git HKP HTTP
	HTTPS ICPV2 ICQ IMAP IMAPS IPIP IPsec IPsecah IPsecnat IRC Jetdirect L2TP LDAP LDAPS MSNP MSSQL Mail MDNS Munin MySQL NNTP NNTPS NTP NeighborDiscovery
	OSPF OpenVPN PCA PMG POP3 POP3S PPtP Ping PostgreSQL Printer RDP RIP RNDC Razor Rdate Rsync SANE SMB SMBswat SMTP SMTPS SNMP SPAMD SSH SVN SixXS
	SPICEproxy Squid Submission Syslog TFTP Telnet Telnets Time Trcrt VNC VNCL Web Webcache Webmin Whois`)

// macroNamed is a macro as PVE writes it, "" if there is none.
func macroNamed(name string) string {
	i := slices.IndexFunc(macros, func(m string) bool { return strings.EqualFold(m, name) })
	if i < 0 {
		return ""
	}
	return macros[i]
}

func listMacros(*call) (any, error) {
	out := []any{}
	for _, name := range macros {
		out = append(out, map[string]any{"macro": name, "descr": name})
	}
	return out, nil
}
