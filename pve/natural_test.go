package pve_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pve"
)

func TestCompareNames(t *testing.T) {
	want := []string{"", "0", "9", "10", "a", "node-1-2", "node-1-10", "node-2", "pve", "pve01", "pve1", "pve1a", "pve2", "pve10", "pve99999999999999999999", "pve100000000000000000000", "pvex"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, pve.CompareNames)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, a := range want {
		for _, b := range want {
			if order := pve.CompareNames(a, b); order != -pve.CompareNames(b, a) && (order < 0) == (pve.CompareNames(b, a) < 0) || (order == 0) != (a == b) {
				t.Errorf("%q and %q: %d", a, b, order)
			}
		}
	}
}
