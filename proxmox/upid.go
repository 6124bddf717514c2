package proxmox

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// UPID identifies a task in a cluster, for as long as its node keeps the log.
type UPID struct {
	Node  string
	Type  string // such as qmstart
	ID    string // what it works on: a VMID, a storage, or nothing
	User  string // user@realm, or user@realm!token
	Start time.Time

	text string
}

// upidRE is the grammar of PVE::UPID; the second number has nine digits on a
// node that has been up for over 497 days.
var upidRE = lazyregexp.New(`^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):` +
	`[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$`)

// ParseUPID reads a UPID.
func ParseUPID(s string) (UPID, error) {
	m := upidRE.FindStringSubmatch(s)
	if m == nil {
		const most = 60 // of a text that may be anything
		if len(s) > most {
			s = strings.ToValidUTF8(s[:most], "") + "…"
		}
		return UPID{}, fmt.Errorf("%q is not a UPID (such as UPID:pve1:00001234:0000ABCD:65000000:qmstart:100:root@pam:)", s)
	}
	start, err := strconv.ParseInt(m[2], 16, 64)
	if err != nil {
		return UPID{}, err
	}
	return UPID{Node: m[1], Type: m[3], ID: m[4], User: m[5], Start: time.Unix(start, 0), text: s}, nil
}

// String returns the UPID exactly as it was parsed.
func (u UPID) String() string { return u.text }

// IsZero reports whether u is no UPID.
func (u UPID) IsZero() bool { return u.text == "" }

// MarshalText writes what [ParseUPID] reads.
func (u UPID) MarshalText() ([]byte, error) { return []byte(u.text), nil }

// UnmarshalText is [ParseUPID].
func (u *UPID) UnmarshalText(text []byte) error {
	id, err := ParseUPID(string(text))
	if err == nil {
		*u = id
	}
	return err
}
