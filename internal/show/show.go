// Package show turns PVE's values into fields of answers: absent ones are left out, and
// what is counted in bytes is also written for a person.
package show

import (
	"math"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// mostShare is above every share that PVE can mean.
const mostShare = 1e6

// Percent returns a share of 1 in percent, nil if it is absent or no share.
func Percent(share lenient.Opt[float64]) *float64 {
	if !share.Set || share.Value < 0 || share.Value > mostShare {
		return nil
	}
	p := render.Percent(share.Value)
	return &p
}

// PercentOf returns used of total in percent, nil if one is absent.
func PercentOf(used, total lenient.Opt[int64]) *float64 {
	if !used.Set || total.Value <= 0 {
		return nil
	}
	return Percent(lenient.Some(float64(used.Value) / float64(total.Value)))
}

// Bytes returns a size as a number and for a person, nothing if it is absent.
func Bytes(n lenient.Opt[int64]) (*int64, string) {
	if !n.Set {
		return nil, ""
	}
	return Number(n), render.Bytes(n.Value)
}

// Number returns a number, nil if it is absent.
func Number(n lenient.Opt[int64]) *int64 {
	if !n.Set {
		return nil
	}
	value := n.Value // which alone is kept
	return &value
}

// Seconds writes a number of seconds as a duration, "" if it is absent or none that a
// machine can have run.
func Seconds(n lenient.Opt[int64]) string {
	if !n.Set || n.Value < 0 || n.Value > int64(math.MaxInt64/time.Second) {
		return ""
	}
	return render.Duration(time.Duration(n.Value) * time.Second)
}

// Use is how much of something is in use.
type Use struct {
	Used       *int64   `json:"used,omitzero" jsonschema:"bytes"`
	UsedHuman  string   `json:"used_human,omitzero"`
	Total      *int64   `json:"total,omitzero" jsonschema:"bytes"`
	TotalHuman string   `json:"total_human,omitzero"`
	Percent    *float64 `json:"percent,omitzero"`
	Note       string   `json:"note,omitzero"`
}

// UseOf describes the use of something, as far as it is known.
func UseOf(used, total lenient.Opt[int64]) Use {
	u := Use{Percent: PercentOf(used, total)}
	u.Used, u.UsedHuman = Bytes(used)
	u.Total, u.TotalHuman = Bytes(total)
	return u
}
