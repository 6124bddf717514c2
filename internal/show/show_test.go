package show_test

import (
	"math"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// What cannot be a share or a time is left out.
func TestOddNumbers(t *testing.T) {
	for _, share := range []float64{-1, 1e308, math.MaxFloat64} {
		if p := show.Percent(lenient.Some(share)); p != nil {
			t.Errorf("a share of %v is %v %%", share, *p)
		}
	}
	if p := show.PercentOf(lenient.Some(int64(-5)), lenient.Some(int64(10))); p != nil {
		t.Errorf("-5 of 10 is %v %%", *p)
	}
	if p := show.Percent(lenient.Some(1.5)); p == nil || *p != 150 {
		t.Errorf("1.5 is %v", p)
	}
	for _, n := range []int64{-1, math.MaxInt64} {
		if s := show.Seconds(lenient.Some(n)); s != "" {
			t.Errorf("%d seconds are %q", n, s)
		}
	}
	if s := show.Seconds(lenient.Some(int64(90))); s != "1m 30s" {
		t.Errorf("90 seconds are %q", s)
	}
}
