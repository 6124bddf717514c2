package apischema

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The formats of PVE::Network::SDN.

var (
	sdnIDRE     = anchored(`(?i:[a-z][a-z0-9]*[a-z0-9])`)
	sdnDashIDRE = anchored(`(?i:[a-z][a-z0-9_-]*[a-z0-9])`)
	isisNetRE   = anchored(`[a-fA-F0-9]{2}(\.[a-fA-F0-9]{4}){3,9}\.[a-fA-F0-9]{2}`)
	fabricIDRE  = anchored(`(?i:[a-z0-9][a-z0-9-]{0,6}[a-z0-9]?)`)
)

// sdnID checks the id of an object of a kind, as PVE 8 does.
func sdnID(kind string, longest int) func(string) error {
	return func(s string) error {
		re := sdnIDRE
		if kind == "controller" {
			re = sdnDashIDRE
		}
		if err := must(re, s, "%s ID '%s' contains illegal characters", kind, s); err != nil {
			return err
		}
		if longest > 0 && len(s) > longest {
			return fmt.Errorf("%s ID '%s' can't be more length than %d characters", kind, s, longest)
		}
		return nil
	}
}

// subnetID checks a network, or the id of one in a zone.
func subnetID(s string) error {
	cidr := s
	if !strings.Contains(s, "/") {
		parts := strings.SplitN(s, "-", 3)
		if len(parts) < 3 {
			parts = append(parts, "", "")
		}
		cidr = parts[1] + "/" + parts[2]
	}
	if network(netip.Addr.IsValid, "")(cidr) != nil {
		return errors.New("value does not look like a valid CIDR network")
	}
	return nil
}

// dhcpRange checks the first and the last address of a range.
func dhcpRange(s string) error {
	values, err := splitProperty(map[string]*Schema{"start-address": {Type: "string"}, "end-address": {Type: "string"}}, s)
	if err != nil {
		return err
	}
	problems := ""
	for _, key := range []string{"end-address", "start-address"} {
		text, _ := values[key].(string)
		switch _, err := netip.ParseAddr(text); {
		case text == "":
			problems += "\n" + key + ": property is missing and it is not optional"
		case err != nil:
			problems += "\n" + key + ": invalid format - value does not look like a valid IP address\n"
		}
	}
	if problems != "" {
		return errors.New("format error" + problems)
	}
	return nil
}

// routeTarget checks a route target of BGP: two numbers.
func routeTarget(s string) error {
	asn, id, _ := strings.Cut(s, ":")
	for _, part := range []string{asn, id} {
		if _, err := strconv.ParseUint(part, 10, 32); err != nil {
			return errors.New("value does not look like a valid bgp route-target")
		}
	}
	return nil
}
