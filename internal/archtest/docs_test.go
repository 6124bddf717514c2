package archtest

import (
	"os"
	"path/filepath"
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

// named matches a file or folder that the page names.
var named = regexp.MustCompile("`((?:internal|pve|pvesim|proxmox)/[\\w/.*-]+)`")

// The files that the page on architecture names are there.
func TestPageNamesWhatIsThere(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	all := named.FindAllStringSubmatch(string(page), -1)
	if len(all) < 10 {
		t.Errorf("only %d names were found", len(all))
	}
	for _, m := range all {
		if found, err := filepath.Glob("../../" + m[1]); err != nil || found == nil {
			t.Errorf("docs/architecture.md names %s, which is not there (%v)", m[1], err)
		}
	}
}
