package pve_test

import (
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pve"
)

// Support ends with the last day of a month.
func TestEndOfLife(t *testing.T) {
	for _, tt := range []struct {
		version string
		now     time.Time
		past    bool
	}{
		{"7.4-3", time.Date(2024, 7, 31, 23, 59, 0, 0, time.UTC), false},
		{"7.4-3", time.Date(2024, 8, 1, 0, 0, 0, 0, time.UTC), true},
		{"8.4.21", time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC), false},
		{"8.4.21", time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), true},
		{"9.2.0", time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"strange", time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		major := pve.Version{Version: tt.version}.Major()
		if got := pve.PastEndOfLife(major, tt.now); got != tt.past {
			t.Errorf("PVE %s (%d) at %v: %v", tt.version, major, tt.now, got)
		}
	}
}
