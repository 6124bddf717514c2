package survey

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
)

// MostSubjects is how many subjects a row of an answer names.
const MostSubjects = 5

// Blind is a check that could not be made.
type Blind struct {
	Check   string   `json:"check" jsonschema:"what is not known"`
	On      []string `json:"on,omitzero" jsonschema:"of these, at most five"`
	Count   int      `json:"count,omitzero" jsonschema:"of how many, if more are meant than named"`
	Missing string   `json:"missing" jsonschema:"the privilege and its path, or another reason"`
}

// Blind returns the blind spots, one row for each check and what it lacks, in the order of
// their checks.
func (s *Survey) Blind() []Blind {
	s.mu.Lock()
	defer s.mu.Unlock()
	type key struct{ check, missing, area string }
	rows := map[key][]reasonedOn{}
	for _, b := range s.blind {
		k := key{b.check, b.missing, area(b.path)}
		rows[k] = append(rows[k], b)
	}
	var out []Blind
	for k, spots := range rows {
		var on, paths []string
		for _, b := range spots {
			if b.on != "" {
				on = append(on, b.on)
			}
			paths = append(paths, b.path)
		}
		on, paths = sortedNames(on), sortedNames(paths)
		row := Blind{Check: k.check, Missing: k.missing}
		row.On, row.Count = Few(on)
		switch {
		case len(paths) > 1:
			row.Missing += " on " + k.area
		case paths[0] != "":
			row.Missing += " on " + paths[0]
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b Blind) int {
		return cmp.Or(strings.Compare(a.Check, b.Check), strings.Compare(a.Missing, b.Missing), pve.CompareNames(first(a.On), first(b.On)))
	})
	return out
}

// Few returns the first names that a row has room for, and how many there are if that is
// more, else 0.
func Few(names []string) (few []string, count int) {
	if len(names) <= MostSubjects {
		return names, 0
	}
	return slices.Clone(names[:MostSubjects]), len(names)
}

// area is the top of an ACL path: /vms for /vms/100.
func area(path string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return "/" + top
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
