package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// proofs are the cells of the page that name tests: a folder and its tests, several of them
// separated by semicolons or by the next folder.
var proofs = regexp.MustCompile("`([a-z/]+)` ((?:(?:Test|Fuzz)\\w+(?:, )?)+)")

// Every test that the page of threats names is there.
func TestThreatsAreProved(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/threats.md")
	rows, named := 0, 0
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		if len(cells) != 3 || cells[2] == "proved by" {
			continue
		}
		rows++
		found := proofs.FindAllStringSubmatch(cells[2], -1)
		if found == nil {
			t.Errorf("nothing proves %q", cells[0])
		}
		for _, m := range found {
			tests := testsIn(t, m[1])
			for name := range strings.FieldsFuncSeq(m[2], func(r rune) bool { return r == ',' || r == ' ' }) {
				named++
				if !strings.Contains(tests, "\nfunc "+name+"(") {
					t.Errorf("%s has no %s", m[1], name)
				}
			}
		}
	}
	if want := strings.Count(page, "Test") + strings.Count(page, "Fuzz"); named != want || rows == 0 {
		t.Errorf("%d tests read in %d rows, and the page names %d", named, rows, want)
	}
}

// testsIn is the text of the tests in a folder.
func testsIn(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*_test.go"))
	if err != nil || files == nil {
		t.Fatalf("%s has no tests: %v", folder, err)
	}
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
