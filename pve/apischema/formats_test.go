package apischema

import (
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	good := map[string][]string{
		"pve-ipv4-config":          {"dhcp", "manual", "10.0.0.1/24"},
		"pve-ipv6-config":          {"auto", "fd00::1/64"},
		"ip":                       {"10.0.0.1", "fd00::1"},
		"address":                  {"10.0.0.1", "ns.example.org"},
		"storage-pair":             {"1", "a1:b2", "data"},
		"disk-size":                {"10", "1.5G"},
		"pve-startup-order":        {"1", "order=1,up=30,down=60"},
		"pve-hotplug-features":     {"0", "disk,network,usb"},
		"pve-volume-id-or-qm-path": {"none", "cdrom", "/dev/sda", "local:iso/x.iso"},
		"pve-userid":               {"root@pam", "a.b@pve"},
		"pve-tokenid":              {"root@pam!full"},
		"pve-ha-resource-or-vm-id": {"vm:100", "ct:200", "100"},
		"pve-ha-group-node":        {"pve1", "pve1:2"},
		"pve-ha-node":              {"pve1", "pve1:2"},
		"pve-storage-path":         {"/srv/a b"},
		"pve-calendar-event":       {"daily", "sat 02:00", "mon..fri 21:30", "*/15"},
		"pve-storage-server":       {"10.0.0.1", "nas.example.org"},
		"pve-storage-portal-dns":   {"10.0.0.1:3260", "[fd00::1]:3260", "san"},
		"pve-storage-vgname":       {"pve", "vg-1"},
		"pve-storage-options":      {"vers=4.2,noatime"},
		"pve-dir-override":         {"iso=/images"},
		"lxc-ip-with-ll-iface":     {"fe80::1%eth0"},
		"IPorCIDR":                 {"10.0.0.1", "fd00::1", "10.0.0.1/8"},
		"IPorCIDRorAlias":          {"10.0.0.0/8", "web", "guest/web-1"},
		"graphite-path":            {"proxmox", "a.b-c.d"},
		"mac-prefix":               {"BC:24:11", "bc", "BC:24:"},
		"pve-fw-addr-spec":         {"", "10.0.0.1", "10.0.0.0/8,192.168.0.1", "10.0.0.1-10.0.0.9", "2001:db8::/32", "+trusted", "+dc/trusted", "lan", "dc/lan"},
		"pve-fw-dport-spec":        {"", "22", "80,443", "http,8000:8100", "echo-request", "1:2,3:4,5:6,7:8,9:10,11:12,13:14,15"},
		"pve-fw-sport-spec":        {"22", "ssh"},
		"pve-fw-protocol-spec":     {"", "0", "tcp", "6", "ipv6-icmp"},
		"pve-fw-icmp-type-spec":    {"", "any", "echo-request", "no-route"},
		"pve-fw-conntrack-helper":  {"ftp", "amanda,tftp"},
	}
	bad := map[string][]string{
		"pve-ipv4-config":          {"auto", "10.0.0.1", "10.0.0.1/33"},
		"ip":                       {"10.0.0.256", "fe80::1%eth0", "x"},
		"address":                  {"-x", "a_b"},
		"storage-pair":             {"a:b"},
		"disk-size":                {"10X", ""},
		"pve-startup-order":        {"first", "order=x"},
		"pve-hotplug-features":     {"ram"},
		"pve-volume-id-or-qm-path": {"x.iso"},
		"pve-userid":               {"x@", "root", strings.Repeat("a", 70) + "@pve"},
		"pve-tokenid":              {"root@pam"},
		"pve-ha-node":              {"pve1:", "-x:1"},
		"pve-storage-path":         {"srv", "/"},
		"pve-calendar-event":       {"at some time", "daily at"},
		"pve-storage-server":       {"a_b"},
		"pve-storage-portal-dns":   {"a_b:1"},
		"pve-storage-vgname":       {"-x"},
		"pve-storage-options":      {"a b"},
		"pve-dir-override":         {"iso"},
		"mac-addr":                 {"BC:24:11:77:21", "BD:24:11:77:21:A2"},
		"IPorCIDR":                 {"web", "10.0.0.0/33", "fe80::1%eth0"},
		"IPorCIDRorAlias":          {"dc/", "a b", "10.0.0.256"},
		"graphite-path":            {"", "a..b", "-a", "a b"},
		"mac-prefix":               {"BD", "BC:24:11:00", "x"},
		"pve-fw-addr-spec":         {"10.0.0", "10.0.0.1/8", "10.0.0.1,", "10.0.0.9-10.0.0.1", "10.0.0.1,2001:db8::1", "10.0.0.1-10.0.0.2,10.0.0.5"},
		"pve-fw-dport-spec":        {"x-y", "65536", "2:1", "80,", "80,,81", "echo-request,80", "http https", "1:2,3:4,5:6,7:8,9:10,11:12,13:14,15:16"},
		"pve-fw-sport-spec":        {"echo-request"},
		"pve-fw-protocol-spec":     {"tcpp", "300", "tcp udp"},
		"pve-fw-icmp-type-spec":    {"8"},
		"pve-fw-conntrack-helper":  {"ftp,", "nosuch"},
	}
	for name, values := range good {
		for _, v := range values {
			if err := formats()[name](v); err != nil {
				t.Errorf("%s refuses %q: %v", name, v, err)
			}
		}
	}
	for name, values := range bad {
		for _, v := range values {
			if formats()[name](v) == nil {
				t.Errorf("%s accepts %q", name, v)
			}
		}
	}
}
