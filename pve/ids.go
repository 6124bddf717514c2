package pve

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// VMID is the id of a guest, unique in its cluster over VMs and containers.
type VMID int

// The bounds of a VMID, from PVE's format pve-vmid.
const (
	MinVMID VMID = 100
	MaxVMID VMID = 999_999_999
)

// ParseVMID reads a decimal VMID between [MinVMID] and [MaxVMID].
func ParseVMID(s string) (VMID, error) {
	id, ok := vmidIn(s)
	if !ok {
		return 0, fmt.Errorf("%q is not a VMID: a whole number from %d to %d", s, MinVMID, MaxVMID)
	}
	return id, nil
}

// vmidIn is ParseVMID without the words, for which the text would have to be copied.
func vmidIn(s string) (VMID, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || VMID(n) < MinVMID || VMID(n) > MaxVMID || s[0] < '1' || s[0] > '9' { // neither + nor 0 before it
		return 0, false
	}
	return VMID(n), true
}

func (v VMID) String() string { return strconv.Itoa(int(v)) }

// UnmarshalJSON accepts a number or a string with one, as PVE writes either.
func (v *VMID) UnmarshalJSON(data []byte) error {
	text := bytes.Trim(data, `"`)
	id, ok := vmidIn(string(text))
	if !ok {
		_, err := ParseVMID(string(text))
		return err
	}
	*v = id
	return nil
}

// VolID names a volume: STORAGE:NAME, such as local:iso/debian.iso.
type VolID struct {
	Storage string
	Name    string // may contain slashes and colons
}

// ParseVolID reads STORAGE:NAME.
func ParseVolID(s string) (VolID, error) {
	storage, name, ok := strings.Cut(s, ":")
	if !ok || storage == "" || name == "" || strings.ContainsAny(storage, "/ ") {
		return VolID{}, fmt.Errorf("%q is not a volume id: STORAGE:NAME, such as local:iso/debian.iso", s)
	}
	return VolID{storage, name}, nil
}

func (v VolID) String() string { return v.Storage + ":" + v.Name }

// MarshalText writes what [ParseVolID] reads.
func (v VolID) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is [ParseVolID].
func (v *VolID) UnmarshalText(text []byte) error {
	id, err := ParseVolID(string(text))
	if err == nil {
		*v = id
	}
	return err
}

// Kind is the kind of a guest, in PVE's word for it in paths.
type Kind string

// The two kinds of guests.
const (
	QEMU Kind = "qemu"
	LXC  Kind = "lxc"
)

// Noun is how PVE's messages call a guest of this kind: VM or CT.
func (k Kind) Noun() string {
	if k == LXC {
		return "CT"
	}
	return "VM"
}

// GuestRef is the place of a guest in the API: its node, its kind and its id.
type GuestRef struct {
	Node string
	Kind Kind
	VMID VMID
}

// String names the guest as PVE's messages do, such as "VM 100".
func (g GuestRef) String() string { return g.Kind.Noun() + " " + g.VMID.String() }

func (g GuestRef) path(rest ...string) proxmox.Path {
	return proxmox.Join(append([]string{"nodes", g.Node, string(g.Kind), g.VMID.String()}, rest...)...)
}
