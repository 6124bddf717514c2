package pve

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Version is the version of the node that answered.
type Version struct {
	Version string        `json:"version"` // such as 8.4.21
	Release string        `json:"release"` // such as 8.4
	RepoID  string        `json:"repoid"`
	Extra   lenient.Extra `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (v *Version) UnmarshalJSON(data []byte) error { return lenient.Decode(data, v, &v.Extra) }

// MarshalJSON writes what was read.
func (v Version) MarshalJSON() ([]byte, error) { return lenient.Encode(v, v.Extra) }

// Version asks for the version of the endpoint. Every token may.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return proxmox.Get[Version](ctx, c.Client, proxmox.Join("version"), nil)
}

// Major is the number before the first dot, 0 if there is none.
func (v Version) Major() int {
	text, _, _ := strings.Cut(v.Version, ".")
	n, _ := strconv.Atoi(text)
	return n
}

// EndOfLife returns the day on which the support of a major version ended or will end:
// the last one of the month in the table "How long will my Proxmox VE version be
// supported?" of Proxmox VE's documentation (pve-docs, chapter FAQ). ok is false if
// none has been announced.
func EndOfLife(major int) (day time.Time, ok bool) {
	month, ok := map[int]string{
		4: "2018-06", 5: "2020-07", 6: "2022-09", 7: "2024-07", 8: "2026-08",
	}[major]
	if !ok {
		return time.Time{}, false
	}
	first, err := time.Parse("2006-01", month)
	return first.AddDate(0, 1, -1), err == nil
}

// PastEndOfLife reports whether the support of a major version has ended.
func PastEndOfLife(major int, now time.Time) bool {
	end, ok := EndOfLife(major)
	return ok && !now.Before(end.AddDate(0, 0, 1))
}
