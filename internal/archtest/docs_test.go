package archtest

import (
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"testing"
)

var folder = regexp.MustCompile(`(?m)^([\w/.-]+)/ +\S`)

// The page on architecture has every package, or the folder that it is in, in the order of
// imports, and no folder that is not there.
func TestPageHasEveryPackage(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	last := 0
	for _, m := range folder.FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, m[1])
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Error(err)
		}
		if i := slices.Index(order, m[1]); i >= 0 {
			if i < last {
				t.Errorf("docs/architecture.md has %s/ below %s/, which is further down the way of imports", m[1], order[last])
			}
			last = i
		}
	}
	for pkg := range maps.Keys(imports) {
		if !slices.Contains(listed, pkg) && !slices.Contains(listed, path.Dir(pkg)) {
			t.Errorf("docs/architecture.md does not have %s/", pkg)
		}
	}
}
