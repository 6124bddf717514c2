package policy

import (
	"cmp"
	"strconv"
)

// Kind is what a subject is, in the words of the table of endpoints.
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
