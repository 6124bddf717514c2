package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// Kind is the kind of a subject, in the words of the table of endpoints.
type Kind string

// The kinds of subjects that have rules, an impact or a state of their own.
const (
	GuestKind   Kind = "guest"
	NodeKind    Kind = "node"
	StorageKind Kind = "storage"
	VolumeKind  Kind = "volume"
	JobKind     Kind = "job"
	PoolKind    Kind = "pool"
)

// The kinds that only the table of endpoints and the rules use.
const (
	taskKind         Kind = "task"
	replicationKind  Kind = "replication"
	haGroupKind      Kind = "ha-group"
	haRuleKind       Kind = "ha-rule"
	firewallKind     Kind = "firewall"
	networkKind      Kind = "network"
	serviceKind      Kind = "service"
	diskKind         Kind = "disk"
	certificateKind  Kind = "certificate"
	subscriptionKind Kind = "subscription"
	cephKind         Kind = "ceph"
	clusterKind      Kind = "cluster"
	mappingKind      Kind = "mapping"
	cpuModelKind     Kind = "cpu-model"
	vnetKind         Kind = "vnet"
	userKind         Kind = "user"
	groupKind        Kind = "group"
	tokenKind        Kind = "token"
	roleKind         Kind = "role"
	aclKind          Kind = "acl"
	realmKind        Kind = "realm"
	realmSyncKind    Kind = "realm-sync"
)

// Subject is what a request changes. The zero Subject is none.
type Subject struct {
	Kind Kind   `json:"k,omitzero"`
	ID   string `json:"i,omitzero"` // as PVE writes it: 104, pve1, local-zfs, local:iso/a.iso
}

// Guest is the subject of a guest, and none for 0.
func Guest[ID ~int](id ID) Subject {
	if id == 0 {
		return Subject{}
	}
	return Subject{GuestKind, strconv.Itoa(int(id))}
}

// Guests are the subjects of guests.
func Guests[ID ~int](ids []ID) []Subject {
	var out []Subject
	for _, id := range ids {
		out = append(out, Guest(id))
	}
	return out
}

// VMID returns the id of a guest, 0 for any other subject.
func (s Subject) VMID() int {
	if s.Kind != GuestKind {
		return 0
	}
	id, _ := vmid(s.ID)
	return id
}

// String names the subject, such as guest 104.
func (s Subject) String() string {
	if s.ID == "" {
		return cmp.Or(string(s.Kind), "nothing")
	}
	return string(s.Kind) + " " + s.ID
}

// owner returns the guest that the subject belongs to, by its id; 0 for none.
func (s Subject) owner() int {
	switch s.Kind {
	case GuestKind:
		return s.VMID()
	case VolumeKind:
		owner, _ := apischema.VolumeOwner(s.ID)
		return owner
	case replicationKind: // 104-0
		guest, _, _ := strings.Cut(s.ID, "-")
		id, _ := vmid(guest)
		return id
	}
	return 0
}

// storage returns the storage that the subject is, or is on; "" for none.
func (s Subject) storage() string {
	switch s.Kind {
	case StorageKind:
		return s.ID
	case VolumeKind:
		storage, _, _ := strings.Cut(s.ID, ":")
		return storage
	}
	return ""
}

// node returns the node that the subject is, or belongs to; "" for none.
func (s Subject) node() string {
	switch s.Kind {
	case NodeKind, certificateKind, subscriptionKind:
		return s.ID
	case networkKind, serviceKind: // pve1/vmbr0
		node, _, _ := strings.Cut(s.ID, "/")
		return node
	case diskKind: // pve1:/dev/sda
		node, _, _ := strings.Cut(s.ID, ":")
		return node
	case firewallKind, cephKind: // node/pve1
		if rest, ok := strings.CutPrefix(s.ID, "node/"); ok { // node/pve1/osd/3
			node, _, _ := strings.Cut(rest, "/")
			return node
		}
	}
	return ""
}

// guestIDs reads the ids of guests in a parameter: a list of them, or of HA's names such as
// vm:104.
func guestIDs(text string) (ids []int, ok bool) {
	for _, part := range apischema.SplitList(text) {
		kind, number, isHA := strings.Cut(part, ":")
		if !isHA {
			number = part
		} else if kind != "vm" && kind != "ct" {
			return nil, false
		}
		id, err := vmid(number)
		if err != nil {
			return nil, false
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, true
}
