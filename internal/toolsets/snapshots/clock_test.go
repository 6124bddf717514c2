package snapshots_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// apart has every answer say that PVE's clock is ahead by so much.
type apart struct {
	http.RoundTripper
	by time.Duration
}

func (a apart) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Header.Set("Date", time.Now().Add(a.by).UTC().Format(http.TimeFormat))
	}
	return resp, err
}

// Ages are by PVE's clock, and never negative.
func TestAgesByTheClockOfPVE(t *testing.T) {
	for name, tt := range map[string]struct {
		by  time.Duration
		age string
	}{"ahead": {time.Hour, `"age":"1h"`}, "behind": {-time.Hour, `"age":"0s"`}, "the same": {0, `"age":"1s"`}} {
		sim.Tell(t, "pve_create_snapshot", []sim.Story{{
			Name: name, Options: sim.Options{Wire: func(rt http.RoundTripper) http.RoundTripper { return apart{rt, tt.by} }},
			Args: `{"vmid":105,"snapname":"monday"}`, Outcome: tool.OK, Writes: []string{create}, Says: []string{tt.age},
		}})
	}
}
