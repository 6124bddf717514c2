package firewall

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// span is a run of addresses.
type span struct{ From, To netip.Addr }

func (s span) covers(o span) bool {
	return s.From.Is4() == o.From.Is4() && !o.From.Less(s.From) && !s.To.Less(o.To)
}

func (s span) overlaps(o span) bool {
	return s.From.Is4() == o.From.Is4() && !s.To.Less(o.From) && !o.To.Less(s.From)
}

// spanOf reads an address, a network, or a range such as 10.0.0.1-10.0.0.9.
func spanOf(text string) (span, error) {
	if from, to, is := strings.Cut(text, "-"); is {
		first, err := netip.ParseAddr(from)
		last, err2 := netip.ParseAddr(to)
		if err != nil || err2 != nil || last.Less(first) || first.Is4() != last.Is4() {
			return span{}, fmt.Errorf("%q is no range of addresses, such as 10.0.0.10-10.0.0.20", text)
		}
		return span{first, last}, nil
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return span{ip, ip}, nil
	}
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return span{}, fmt.Errorf("%q is no address or network, such as 10.0.0.5 or 10.0.0.0/24", text)
	case network != network.Masked():
		return span{}, fmt.Errorf("%q is an address within a network: %v is the network, and %v the address alone", text, network.Masked(), network.Addr())
	}
	return span{network.Addr(), lastOf(network)}, nil
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// addresses are those that a rule is about. The zero value is all.
type addresses struct {
	limited bool
	in      []span
	except  []span
	unknown []string // names of addresses that are not known here, the same for the same name
	unseen  bool     // has addresses of which nothing is known
	text    string
}

func (a addresses) none() bool {
	return a.limited && len(a.in) == 0 && len(a.unknown) == 0 && !a.unseen
}

// covers reports whether it is certain that a has all addresses of b.
func (a addresses) covers(b addresses) bool {
	switch {
	case !a.limited:
		return true
	case !b.limited || b.unseen || a.unseen:
		return false
	case reflect.DeepEqual(a.in, b.in) && reflect.DeepEqual(a.except, b.except) && reflect.DeepEqual(a.unknown, b.unknown):
		return true
	case len(b.unknown) > 0 && len(a.except) > 0:
		return false
	}
	for _, name := range b.unknown {
		if !slices.Contains(a.unknown, name) {
			return false
		}
	}
	for _, s := range b.in {
		if !slices.ContainsFunc(a.in, func(own span) bool { return own.covers(s) }) {
			return false
		}
		for _, out := range a.except {
			outToo := func(e span) bool { return e.covers(out) && s.covers(e) && e != s }
			if out.overlaps(s) && !slices.ContainsFunc(b.except, outToo) {
				return false
			}
		}
	}
	return true
}

// overlaps reports whether a and b may have an address in common.
func (a addresses) overlaps(b addresses) bool {
	switch {
	case a.none() || b.none():
		return false
	case !a.limited || !b.limited || a.unseen || b.unseen || len(a.unknown) > 0 || len(b.unknown) > 0:
		return true
	}
	for _, s := range a.in {
		if slices.ContainsFunc(b.in, s.overlaps) {
			return true
		}
	}
	return false
}
