package apischema

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// The formats of PVE::Firewall. A node knows services and protocols from its
// /etc/services and /etc/protocols: these are the names in Debian's netbase.

var (
	aliasRE     = lazyregexp.New(`^(?:dc/|guest/)?[A-Za-z][A-Za-z0-9\-_]+\n?$`)
	portRangeRE = lazyregexp.New(`^([0-9]+):([0-9]+)\n?$`)
	digitsRE    = lazyregexp.New(`^[0-9]+\n?$`)
)

// addressList checks the addresses of a rule: a set, an alias, a range, or a list of addresses
// and networks of one kind.
func addressList(s string) error {
	switch {
	case s == "":
		return nil
	case s[0] == '+' && len(s) > 1 && !strings.ContainsAny(s, " \t\n"):
		if len(s) > 65 {
			return errors.New("ipset name too long")
		}
		return nil
	case aliasRE.MatchString(s):
		if len(s) > 64 {
			return errors.New("alias name too long")
		}
		return nil
	case strings.HasSuffix(s, ","):
		return errors.New("extraneous commas in list")
	}
	count, isRange, family := 0, false, 0
	for item := range strings.SplitSeq(s, ",") {
		count++
		from, to, ranged := strings.Cut(item, "-")
		isRange = isRange || ranged
		ip, err := netip.ParseAddr(from)
		switch network, notNetwork := netip.ParsePrefix(item); {
		case !ranged && notNetwork == nil && network != network.Masked():
			return fmt.Errorf("invalid IP address: Invalid prefix %s/%d", binary(network.Addr()), network.Bits())
		case !ranged && notNetwork == nil:
			ip = network.Addr()
		case err != nil || ip.Zone() != "":
			return fmt.Errorf("invalid IP address: Cannot determine IP version for %s", from)
		}
		if ranged {
			end, err := netip.ParseAddr(to)
			switch {
			case err != nil:
				return fmt.Errorf("invalid IP address: Cannot determine IP version for %s", to)
			case end.Less(ip):
				return fmt.Errorf("invalid IP address: Begin is greater than End %s - %s", from, to)
			}
		}
		if family != 0 && family != ip.BitLen() {
			return fmt.Errorf("detected mixed ipv4/ipv6 addresses in address list '%s'", s)
		}
		family = ip.BitLen()
	}
	if isRange && count > 1 {
		return errors.New("you can't use a range in a list")
	}
	return nil
}

// binary writes an address bit by bit.
func binary(ip netip.Addr) string {
	var b strings.Builder
	for _, octet := range ip.AsSlice() {
		fmt.Fprintf(&b, "%08b", octet)
	}
	return b.String()
}

// ports checks a list of ports, ranges and names of services; of a destination also
// a type of ICMP.
func ports(isDestination bool) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		if strings.HasSuffix(s, ",") {
			return errors.New("extraneous commas in list")
		}
		named, count := false, 0
		for item := range strings.SplitSeq(s, ",") {
			pair := portRangeRE.FindStringSubmatch(item)
			switch {
			case pair != nil:
				count += 2
				if err := portRange(pair[1], pair[2]); err != nil {
					return err
				}
			case digitsRE.MatchString(item):
				count++
				if err := port(item); err != nil {
					return err
				}
			case isDestination && has(icmpTypes, item):
				named = true
			case !has(services, item):
				return fmt.Errorf("invalid port '%s'", item)
			}
		}
		if named && count > 0 {
			return errors.New("ICMP ports not allowed in port range")
		}
		if count > 15 {
			return errors.New("too many entries in port list (> 15 numbers)")
		}
		return nil
	}
}

func port(s string) error {
	if n, err := strconv.ParseUint(strings.TrimSuffix(s, "\n"), 10, 64); err != nil || n > 65535 {
		return fmt.Errorf("invalid port '%s'", s)
	}
	return nil
}

func portRange(from, to string) error {
	if err := errors.Join(port(from), port(to)); err != nil {
		return err
	}
	first, _ := strconv.Atoi(from)
	last, _ := strconv.Atoi(to)
	if first > last {
		return fmt.Errorf("backwards range '%s:%s' not allowed, did you mean '%s:%s'?", from, to, to, from)
	}
	return nil
}

func protocol(s string) error {
	if s == "" || s == "0" || has(protocols, s) || has(protocolNumbers, s) {
		return nil
	}
	return fmt.Errorf("unknown protocol '%s'", s)
}

func icmpType(s string) error {
	if s == "" || has(icmpTypes, s) {
		return nil
	}
	return fmt.Errorf("invalid icmp-type value '%s'", s)
}

func conntrackHelper(s string) error {
	if strings.HasSuffix(s, ",") {
		return errors.New("extraneous commas in list")
	}
	for helper := range strings.SplitSeq(s, ",") {
		if !has("amanda ftp irc netbios-ns pptp sane sip snmp tftp", helper) {
			return fmt.Errorf("unknown helper %s", helper)
		}
	}
	return nil
}

func ipOrCIDR(s string) error {
	addr, err := netip.ParseAddr(s)
	if err == nil && addr.Zone() == "" {
		return nil
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return nil
	}
	return errors.New("value does not look like a valid IP address or CIDR network")
}

func ipOrCIDROrAlias(s string) error {
	if aliasRE.MatchString(s) {
		return nil
	}
	return ipOrCIDR(s)
}

// has reports whether a list of words, separated by spaces, has a word.
func has(words, word string) bool {
	return word != "" && !strings.Contains(word, " ") && strings.Contains(" "+words+" ", " "+word+" ")
}

const (
	services = `acr-nema afpovertcp afs3-bos afs3-callback afs3-fileserver afs3-kaserver afs3-prserver afs3-rmtsys afs3-update ` +
		`afs3-vlserver afs3-volser amanda amandaidx amidxtape amqp amqps asf-rmcp asp auth babel bacula-dir bacula-fd bacula-sd ` +
		`bbs bgp bgpd biff binkp bootpc bootps canna cfengine chargen cisco-sccp clc-build-daemon clearcase cmip-agent cmip-man ` +
		`codaauth2 codasrv codasrv-se csync2 cvspserver daap datametrics daytime db-lsp dcap dhcpv6-client dhcpv6-server dicom ` +
		`dict dircproxy discard distcc domain domain-s echo epmap epmd exec f5-globalsite f5-iquery fax fido finger font-service ` +
		`freeciv fsp ftp ftp-data ftps ftps-data gdomap gds-db git gnunet gnutella-rtr gnutella-svc gopher gpsd gris groupwise ` +
		`gsidcap gsiftp gsigatekeeper hkp http http-alt https hylafax iax icpv2 imap2 imaps ingreslock ipp iprop ipsec-nat-t ipx ` +
		`ircd ircs-u isakmp iscsi-target isisd isns iso-tsap kamanda kerberos kerberos-adm kerberos-master kerberos4 kermit ` +
		`klogin kpasswd krb-prop kshell l2f ldap ldaps ldp login lotusnote mailq mdns microsoft-ds moira-db moira-update ` +
		`moira-ureg mon ms-sql-m ms-sql-s ms-wbt-server mtn munin mysql mysql-proxy nbd netbios-dgm netbios-ns netbios-ssn ` +
		`netstat nfs nntp nntps nqs nrpe nsca ntalk ntp ntske nut omniorb openvpn ospf6d ospfapi ospfd passwd-server pawserv pop3 ` +
		`pop3s poppassd postgresql predict printer proofd ptp-event ptp-general puppet qmqp qmtp qotd radius radius-acct ` +
		`radmin-port redis remctl ripd ripngd rmiregistry rmtcfg rootd route rpc2portmap rplay rsync rtcm-sc104 rtsp sa-msg-port ` +
		`saft sane-port sge-execd sge-qmaster sgi-cad sgi-cmsd sgi-crsd sgi-gcd shell sieve silc sip sip-tls skkserv smtp smux ` +
		`snmp snmp-trap snpp socks spamd ssh submission submissions sunrpc supfiledbg supfilesrv suucp svn svrloc syslog ` +
		`syslog-tls sysrqd systat tacacs talk tcpmux telnet telnets tfido tftp time tinc tproxy uucp venus venus-se webmin who ` +
		`whois wnn6 x11 x11-1 x11-2 x11-3 x11-4 x11-5 x11-6 x11-7 xdmcp xinetd xmms2 xmpp-client xmpp-server xtel xtelw z3950 ` +
		`zabbix-agent zabbix-trapper zebra zebrasrv zephyr-clt zephyr-hm zephyr-srv zope zope-ftp zserv`

	protocols = `ah ax.25 dccp ddp egp eigrp encap esp etherip ethernet fc ggp gre hip hmp hopopt icmp idpr-cmtp idrp igmp igp ip ipcomp ` +
		`ipencap ipip ipv6 ipv6-frag ipv6-icmp ipv6-nonxt ipv6-opts ipv6-route isis iso-tp4 l2tp manet mobility-header mpls-in-ip ` +
		`mptcp ospf pim pup rdp rohc rspf rsvp sctp shim6 skip st tcp udp udplite vmtp vrrp wesp xns-idp xtp`

	protocolNumbers = `0 1 2 3 4 5 6 8 9 12 17 20 22 27 29 33 36 37 38 41 43 44 45 46 47 50 51 57 58 59 60 73 81 88 89 93 94 97 98 103 108 112 ` +
		`115 124 132 133 135 136 137 138 139 140 141 142 143 262`

	icmpTypes = `TOS-host-redirect TOS-host-unreachable TOS-network-redirect TOS-network-unreachable address-mask-reply ` +
		`address-mask-request address-unreachable any bad-header beyond-scope communication-prohibited destination-unreachable ` +
		`echo-reply echo-request failed-policy fragmentation-needed host-precedence-violation host-prohibited host-redirect ` +
		`host-unknown host-unreachable ip-header-bad neighbor-advertisement neighbor-solicitation neighbour-advertisement ` +
		`neighbour-solicitation network-prohibited network-redirect network-unknown network-unreachable no-route packet-too-big ` +
		`parameter-problem port-unreachable precedence-cutoff protocol-unreachable redirect reject-route required-option-missing ` +
		`router-advertisement router-solicitation source-quench source-route-failed time-exceeded timestamp-reply ` +
		`timestamp-request ttl-zero-during-reassembly ttl-zero-during-transit unknown-header-type unknown-option`
)
