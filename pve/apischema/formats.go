package apischema

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// formats are the named formats that are code in PVE, under their names without
// "-list" and "-opt". An error's text is PVE's own, without the line break.
// Sources: PVE/JSONSchema.pm, PVE/AccessControl.pm, PVE/QemuServer.pm,
// PVE/Storage.pm, PVE/Tools.pm.
var formats = sync.OnceValue(func() map[string]func(string) error {
	return map[string]func(string) error{
		"string":   func(string) error { return nil },
		"pve-vmid": matches(`[1-9][0-9]{2,8}`, "value does not look like a valid VM ID"),
		"pve-node": matches(nameRE, "value does not look like a valid node name"),
		"pve-configid": func(s string) error {
			return must(configIDRE, s, "invalid configuration ID '%s'", s)
		},
		"pve-storage-id": func(s string) error {
			return must(storageIDRE, s, "storage ID '%s' contains illegal characters", s)
		},
		"pve-poolid": func(s string) error {
			return must(poolIDRE, s, "pool name '%s' contains invalid characters", s)
		},
		"pve-groupid": func(s string) error {
			return must(idRE, s, "group name '%s' contains invalid characters", s)
		},
		"pve-roleid": func(s string) error {
			return must(idRE, s, "role name '%s' contains invalid characters", s)
		},
		"pve-realm": func(s string) error {
			return must(realmRE, s, "value '%s' does not look like a valid realm", s)
		},
		"pve-userid": userID,
		"ldap-simple-attr": func(s string) error {
			return must(ldapAttrRE, s, "value '%s' does not look like a simple ldap attribute name", s)
		},
		"pve-tokenid": func(s string) error {
			return must(tokenIDRE, s, "value '%s' does not look like a valid token ID", s)
		},
		"pve-iface": func(s string) error {
			return must(ifaceRE, s, "invalid network interface name '%s'", s)
		},
		"pve-bridge-id": func(s string) error { return must(bridgeRE, s, "invalid bridge name '%s'", s) },
		"pve-sdn-ipam-id": func(s string) error {
			return must(ipamIDRE, s, "IPAM ID '%s' contains illegal characters", s)
		},
		"pve-sdn-zone-id":       sdnID("zone", 8),
		"pve-sdn-vnet-id":       sdnID("vnet", 8),
		"pve-sdn-controller-id": sdnID("controller", 64),
		"pve-sdn-dns-id":        sdnID("DNS", 0),
		"pve-sdn-subnet-id":     subnetID,
		"pve-sdn-dhcp-range":    dhcpRange,
		"pve-sdn-bgp-rt":        routeTarget,
		"pve-sdn-isis-net":      func(s string) error { return must(isisNetRE, s, "value does not look like a valid isis net") },
		"pve-sdn-fabric-id": func(s string) error {
			return must(fabricIDRE, s, "Fabric ID '%s' contains illegal characters", s)
		},
		"pem-string":               func(s string) error { return must(pemRE, s, "not a valid PEM-formatted string.") },
		"pem-certificate-chain":    func(s string) error { return must(certificatesRE, s, "not a valid PEM-formatted string.") },
		"pve-replication-job-id":   matches(`[1-9][0-9]{2,8}-\d{1,9}`, "value does not look like a valid replication job ID"),
		"pve-tag":                  matches(`(?i:[a-z0-9_][a-z0-9_\-\+\.]*)`, "invalid characters in tag"),
		"pve-ha-resource-or-vm-id": matches(`((vm|ct):)?[1-9][0-9]{2,8}`, "value does not look like a valid ha resource id"),
		"pve-ha-group-node":        matches(nameRE+`(:\d+)?`, "value does not look like a valid ha group node"),
		"pve-ha-node":              matches(nameRE+`(:\d+)?`, "value does not look like a valid ha group node"),
		"pve-ct-timezone":          func(s string) error { return must(timeZoneRE, s, "invalid time zone '%s'", s) },
		"pve-startup-order":        startupOrder,
		"pve-hotplug-features":     hotplug,
		"pve-cpuset":               matches(`\d+(-\d+)?(,\d+(-\d+)?)*`, "unable to parse cpu list"),
		"pve-phys-bits":            physBits,
		"pve-qm-bootdev": func(s string) error {
			return must(bootDeviceRE, s, "invalid boot device '%s'", s)
		},
		"pve-qm-bootdisk": func(s string) error { return must(driveRE, s, "invalid boot disk '%s'", s) },

		"pve-volume-id":                  volumeID,
		"pve-volume-id-or-qm-path":       volumeIDOrQMPath,
		"pve-volume-id-or-absolute-path": volumeIDOrPath,
		"pve-lxc-mp-string":              mountPath,
		"pve-storage-content":            storageContent,
		"storage-pair":                   storagePair,
		"pve-storage-path":               matches(`/[^;()]+.*`, "value does not look like a valid absolute path"),
		"pve-storage-options": func(s string) error {
			return must(optionsRE, s, "invalid options: %s", s)
		},
		"pve-storage-server": func(s string) error {
			if ipOrDNSName(s) != nil {
				return errors.New("value does not look like a valid server name or IP address")
			}
			return nil
		},
		"pve-storage-portal-dns": func(s string) error {
			host := strings.TrimSuffix(strings.TrimSuffix(s, portRE.FindString(s)), ":")
			if ipOrDNSName(strings.Trim(host, "[]")) != nil {
				return errors.New("value does not look like a valid portal address")
			}
			return nil
		},
		"pve-storage-vgname": func(s string) error {
			return must(lvmRE, s, "lvm name '%s' contains illegal characters", s)
		},
		"pve-calendar-event": func(s string) error {
			if !calendarRE.MatchString(s) {
				//lint:ignore ST1005 the text is PVE's own
				return fmt.Errorf("invalid calendar event '%s' - unable to parse calendar event\n", s)
			}
			return nil
		},
		"pve-storage-zfs-blocksize": matches(`[1-9]\d*[kKmM]?`, "value does not look like a valid block size"),
		"pve-dir-override": func(s string) error {
			return must(overrideRE, s, "invalid override '%s'", s)
		},
		"disk-size": matches(`\d+(\.\d+)?[KMGT]?`, "invalid size"),
		"urlencoded": func(s string) error {
			return must(urlencodedRE, s, "invalid urlencoded string: %s", s)
		},

		"graphite-path": matches(`([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`, "value does not look like a valid graphite path"),
		"mac-prefix":    matches(`(?i:[a-f0-9][02468ace](:[a-f0-9]{2}){0,2}:?)`, "value is not a valid unicast MAC address prefix"),
		"mac-addr": func(s string) error {
			return must(macRE, s, "value does not look like a valid unicast MAC address")
		},
		"ip":       address(netip.Addr.IsValid, "value does not look like a valid IP address"),
		"ipv4":     address(netip.Addr.Is4, "value does not look like a valid IPv4 address"),
		"ipv6":     address(netip.Addr.Is6, "value does not look like a valid IPv6 address"),
		"CIDR":     network(netip.Addr.IsValid, "value does not look like a valid CIDR network"),
		"CIDRv4":   network(netip.Addr.Is4, "value does not look like a valid IPv4 network"),
		"CIDRv6":   network(netip.Addr.Is6, "value does not look like a valid IPv6 network"),
		"dns-name": dnsName,
		"address":  ipOrDNSName,
		"pve-ipv4-config": either(network(netip.Addr.Is4, "value does not look like a valid ipv4 network configuration"),
			"dhcp", "manual"),
		"pve-ipv6-config": either(network(netip.Addr.Is6, "value does not look like a valid ipv6 network configuration"),
			"auto", "dhcp", "manual"),
		"lxc-ip-with-ll-iface": func(s string) error {
			addr, _, _ := strings.Cut(s, "%")
			return address(netip.Addr.IsValid, "value does not look like a valid IP address")(addr)
		},

		"IPorCIDR":                ipOrCIDR,
		"IPorCIDRorAlias":         ipOrCIDROrAlias,
		"pve-fw-addr-spec":        addressList,
		"pve-fw-dport-spec":       ports(true),
		"pve-fw-sport-spec":       ports(false),
		"pve-fw-protocol-spec":    protocol,
		"pve-fw-icmp-type-spec":   icmpType,
		"pve-fw-conntrack-helper": conntrackHelper,

		"email":             matches(emailRE, "value does not look like a valid email address"),
		"email-or-username": matches(emailRE+`|`+userRE, "value does not look like a valid email address or user name"),

		"pve-task-status-type": func(s string) error {
			if slices.Contains([]string{"ok", "error", "warning", "unknown"}, strings.ToLower(s)) {
				return nil
			}
			return fmt.Errorf("invalid status '%s'", s)
		},
		"pve-day-of-week": func(s string) error {
			return oneOf(s, "invalid day '%s'", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
		},
	}
})

const (
	nameRE  = `[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?`
	emailRE = `[\w\+\-\~]+(\.[\w\+\-\~]+)*@[a-zA-Z0-9\-]+(\.[a-zA-Z0-9\-]+)*`
	userRE  = `[^\s:/]+@[A-Za-z][A-Za-z0-9\.\-_]+`
)

var (
	configIDRE     = anchored(`(?i:[a-z][a-z0-9_-]+)`)
	timeZoneRE     = anchored(`[A-Za-z][A-Za-z0-9_+\-/]*`)
	ipamIDRE       = anchored(`[a-zA-Z][a-zA-Z0-9]*[a-zA-Z0-9]`)
	storageIDRE    = anchored(`(?i:[a-z][a-z0-9\-_\.]*[a-z0-9])`)
	poolIDRE       = anchored(`[A-Za-z0-9\.\-_]+(/[A-Za-z0-9\.\-_]+){0,2}`)
	idRE           = anchored(`[A-Za-z0-9\.\-_]+`)
	calendarRE     = lazyregexp.New(`^(?i:(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*(?:\.\.|,| |$))*[0-9*/.,:\- ]*|minutely|hourly|daily|weekly|monthly|yearly)$`)
	optionsRE      = anchored(`\S+`)
	portRE         = lazyregexp.New(`:\d+$`)
	lvmRE          = anchored(`(?i:[a-z0-9][a-z0-9\-_.]*[a-z0-9])`)
	overrideRE     = anchored(`[a-z]+=/.*`)
	realmRE        = anchored(`[A-Za-z][A-Za-z0-9\.\-_]+`)
	ldapAttrRE     = anchored(`[a-zA-Z0-9]+`)
	userIDRE       = anchored(userRE)
	tokenIDRE      = anchored(userRE + `![A-Za-z][A-Za-z0-9\.\-_]+`)
	ifaceRE        = anchored(`(?i:[a-z][a-z0-9_]{1,20})([:\.]\d+)?`)
	bridgeRE       = anchored(`[-_.\w\d]+`)
	driveRE        = anchored(`(ide|sata|scsi|virtio)\d+`)
	bootDeviceRE   = anchored(`(ide|sata|scsi|virtio|net|hostpci|usb)\d+`)
	mountPathRE    = lazyregexp.New(`/\.\.?/|/\.\.?$|^\.\./`)
	volumeIDRE     = anchored(`(?i:[a-z][a-z0-9\-_\.]*[a-z0-9]):.+`)
	urlencodedRE   = anchored(`[-%a-zA-Z0-9_.!~*'()]*`)
	macRE          = anchored(`(?i:[a-f0-9][02468ace](:[a-f0-9]{2}){5})`)
	pemRE          = lazyregexp.New(`(?s)^\s*(?:[^-].*?)?-----BEGIN ([A-Z0-9 ]+)-----\s+[A-Za-z0-9+/=\s]+-----END [A-Z0-9 ]+-----\s*$`)
	certificatesRE = lazyregexp.New(`(?s)^\s*(?:[^-].*?)?(?:-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$`)
	dnsNameRE      = anchored(`(` + nameRE + `\.)*` + nameRE)
)

func anchored(pattern string) *lazyregexp.Regexp { return lazyregexp.New(`^(?:` + pattern + `)\n?$`) }

func must(re *lazyregexp.Regexp, s, format string, args ...any) error {
	if re.MatchString(s) {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func matches(pattern, refusal string) func(string) error {
	re := anchored(pattern)
	return func(s string) error {
		if !re.MatchString(s) {
			return errors.New(refusal)
		}
		return nil
	}
}

func oneOf(s, refusal string, words ...string) error {
	if slices.Contains(words, s) {
		return nil
	}
	return fmt.Errorf(refusal, s)
}

func either(check func(string) error, words ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return check(s)
	}
}

func address(ok func(netip.Addr) bool, refusal string) func(string) error {
	return func(s string) error {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" || !ok(addr) {
			return errors.New(refusal)
		}
		return nil
	}
}

func network(ok func(netip.Addr) bool, refusal string) func(string) error {
	return func(s string) error {
		prefix, err := netip.ParsePrefix(s)
		if err != nil || !ok(prefix.Addr()) {
			return errors.New(refusal)
		}
		return nil
	}
}

func dnsName(s string) error {
	return must(dnsNameRE, s, "value does not look like a valid DNS name")
}

func ipOrDNSName(s string) error {
	if _, err := netip.ParseAddr(s); err == nil || dnsNameRE.MatchString(s) {
		return nil
	}
	return fmt.Errorf("value does not look like a valid address: %s", s)
}

func userID(s string) error {
	switch {
	case len(s) < 3:
		return fmt.Errorf("user name '%s' is too short", s)
	case len(s) > 64:
		return fmt.Errorf("user name '%s' is too long (%d > 64)", s, len(s))
	}
	return must(userIDRE, s, "value '%s' does not look like a valid user name", s)
}

func volumeID(s string) error {
	return must(volumeIDRE, s, "unable to parse volume ID '%s'", s)
}

func volumeIDOrPath(s string) error {
	if strings.HasPrefix(s, "/") {
		return nil
	}
	return volumeID(s)
}

// mountPath refuses what leads elsewhere, and nothing else.
func mountPath(s string) error {
	if mountPathRE.MatchString(s) {
		return fmt.Errorf("%s contains illegal character sequences", s)
	}
	return nil
}

func volumeIDOrQMPath(s string) error {
	if s == "none" || s == "cdrom" {
		return nil
	}
	return volumeIDOrPath(s)
}

func storageContent(s string) error {
	return oneOf(s, "invalid content type '%s'",
		"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none")
}

// storagePair is one storage for all, or SOURCE:TARGET; "1" keeps the storage.
func storagePair(s string) error {
	for id := range strings.SplitSeq(s, ":") {
		if id != "1" && !storageIDRE.MatchString(id) {
			return fmt.Errorf("storage ID '%s' contains illegal characters", id)
		}
	}
	return nil
}

func startupOrder(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		key, value, hasKey := strings.Cut(part, "=")
		if !hasKey {
			key, value = "order", part
		}
		if strings.TrimSpace(part) == "" {
			continue
		}
		if _, err := strconv.ParseUint(value, 10, 31); err != nil || !slices.Contains([]string{"order", "up", "down"}, key) {
			return errors.New("unable to parse startup options")
		}
	}
	return nil
}

func hotplug(s string) error {
	if s == "0" || s == "1" {
		return nil
	}
	for _, item := range SplitList(s) {
		if !slices.Contains([]string{"network", "disk", "cpu", "memory", "usb", "cloudinit"}, item) {
			return errors.New("unable to parse hotplug option")
		}
	}
	return nil
}

func physBits(s string) error {
	if s == "host" {
		return nil
	}
	if n, err := strconv.Atoi(s); err != nil || n < 8 || n > 64 {
		return errors.New("value must be an integer between 8 and 64 or 'host'")
	}
	return nil
}
