package archtest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var folder = regexp.MustCompile(`(?m)^([\w/.-]+)/ +\S`)

// The page on architecture has every package, or the folder that it is in, and no folder
// that is not there. Packages of a lower layer come further down.
func TestPageHasEveryPackage(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(page), "Beside it are")
	var listed []string
	at := len(layers)
	for _, m := range folder.FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, m[1])
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Error(err)
		}
	}
	for _, m := range folder.FindAllStringSubmatch(first, -1) {
		if i := layerOf(m[1]); i > at {
			t.Errorf("docs/architecture.md has %s/ below packages of a lower layer", m[1])
		} else if i >= 0 {
			at = i
		}
	}
	pkgs, _, _ := load(t)
	for _, p := range pkgs {
		if !slices.Contains(listed, p.dir) && !slices.ContainsFunc(listed, func(dir string) bool { return strings.HasPrefix(p.dir, dir+"/") }) {
			t.Errorf("docs/architecture.md does not have %s/", p.dir)
		}
	}
}
