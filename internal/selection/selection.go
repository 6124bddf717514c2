// Package selection chooses guests by a text of a few words, such as tag:prod+!web*,104.
package selection

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Doc describes a selection for a model.
const Doc = "ids, 100-120, names, web*, tag:prod, pool:lab, node:pve2, vm, ct, running, all; comma = or, + = and, ! = not"

// Choose returns the guests that a text selects, in their order. An error names a word that
// means no guest, and what there is of its kind: a mistake is not to look like an empty
// group.
//
// A word is an id, a range of ids, a name with * and ?, tag:, pool: or node: with a value, vm,
// ct, running, stopped or all. A comma joins alternatives; + what must all be true, and binds
// closer; ! turns a word around.
func Choose(text string, guests []pve.Resource) ([]pve.Resource, error) {
	var alternatives [][]word
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		words, err := parse(part, guests)
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, words)
	}
	if alternatives == nil {
		return nil, explain.Refusal("Such as tag:prod, web*, 100-120 or all.", "The selection of guests is empty.")
	}
	var out []pve.Resource
	for i := range guests {
		if slices.ContainsFunc(alternatives, func(words []word) bool { return allMatch(words, &guests[i]) }) {
			out = append(out, guests[i])
		}
	}
	return out, nil
}

// word is a part of a selection.
type word struct {
	not     bool
	matches match
}

// match reports whether a guest is meant. There may be as many words as guests, so that no guest
// is copied for it.
type match func(*pve.Resource) bool

// hasMatch reports whether one of the guests is meant.
func hasMatch(guests []pve.Resource, isMeant match) bool {
	for i := range guests {
		if isMeant(&guests[i]) {
			return true
		}
	}
	return false
}

func allMatch(words []word, g *pve.Resource) bool {
	return !slices.ContainsFunc(words, func(w word) bool { return w.matches(g) == w.not })
}

// parse reads words that are joined by +.
func parse(text string, guests []pve.Resource) ([]word, error) {
	var words []word
	for text != "" {
		one, rest := cutWord(text, guests)
		bare, not := strings.CutPrefix(strings.TrimSpace(one), "!")
		matches, err := matcher(strings.TrimSpace(bare), guests)
		if err != nil {
			return nil, err
		}
		words = append(words, word{not, matches})
		text = rest
	}
	return words, nil
}

// cutWord cuts the first word off. A tag may contain +, so the longest tag that there is
// counts.
func cutWord(text string, guests []pve.Resource) (one, rest string) {
	end := strings.IndexByte(text, '+')
	if end < 0 {
		return text, ""
	}
	start := strings.TrimPrefix(text, "!")
	if value, isTag := strings.CutPrefix(start, "tag:"); isTag {
		for _, t := range tagsOf(guests) {
			after, found := strings.CutPrefix(value, t)
			if at := len(text) - len(after); found && (after == "" || after[0] == '+') && at > end {
				end = at
			}
		}
	}
	if end >= len(text) {
		return text, ""
	}
	return text[:end], text[end+1:]
}

// matcher returns what a word means.
func matcher(text string, guests []pve.Resource) (match, error) {
	key, value, keyed := strings.Cut(text, ":")
	switch {
	case keyed && key == "tag":
		return among(guests, "tag", value, func(g *pve.Resource) []string { return g.TagList() })
	case keyed && key == "pool":
		return among(guests, "pool", value, func(g *pve.Resource) []string { return []string{g.Pool.Value} })
	case keyed && key == "node":
		return among(guests, "node", value, func(g *pve.Resource) []string { return []string{g.Node.Value} })
	case keyed && key == "name":
		text = value
	case keyed:
		return nil, explain.Refusal("Before a colon stands tag, pool, node or name.", "%q selects no guests.", render.Text(text, 60))
	case kinds[text] != nil:
		return kinds[text], nil
	default:
		if from, to, ok := ids(text); ok {
			return inRange(guests, text, from, to)
		}
	}
	return named(guests, text)
}

// kinds are the words that mean all guests of a kind or in a state, perhaps none.
var kinds = map[string]match{
	"all":     func(*pve.Resource) bool { return true },
	"vm":      func(g *pve.Resource) bool { return g.Type == string(pve.QEMU) },
	"qemu":    func(g *pve.Resource) bool { return g.Type == string(pve.QEMU) },
	"ct":      func(g *pve.Resource) bool { return g.Type == string(pve.LXC) },
	"lxc":     func(g *pve.Resource) bool { return g.Type == string(pve.LXC) },
	"running": func(g *pve.Resource) bool { return g.State() == "running" },
	"stopped": func(g *pve.Resource) bool { return g.State() == "stopped" },
}

// ids reads an id, or a range of ids such as 100-120.
func ids(text string) (from, to int, ok bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	to, err = strconv.Atoi(last)
	return from, to, err == nil
}

func inRange(guests []pve.Resource, text string, from, to int) (match, error) {
	matches := func(g *pve.Resource) bool { return int(g.VMID) >= from && int(g.VMID) <= to }
	if !hasMatch(guests, matches) {
		return nil, explain.Refusal("pve_list_guests lists those that there are.", "There is no guest %s, or this token may not see it.", text)
	}
	return matches, nil
}

func named(guests []pve.Resource, pattern string) (match, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, explain.Refusal("Such as web*.", "%q is no name with * and ?.", render.Text(pattern, 60))
	}
	matches := func(g *pve.Resource) bool {
		found, _ := path.Match(pattern, g.Name.Value) // the pattern is well formed
		return found
	}
	if !hasMatch(guests, matches) {
		return nil, explain.Refusal("Names are matched whole, as web*; a tag is tag:NAME, a pool pool:NAME.",
			"No guest that this token may see is named %q.", render.Text(pattern, 60))
	}
	return matches, nil
}

// among returns what selects guests by a value of theirs, which one of them must have.
func among(guests []pve.Resource, what, value string, of func(*pve.Resource) []string) (match, error) {
	matches := func(g *pve.Resource) bool {
		return value != "" && slices.ContainsFunc(of(g), func(s string) bool { return strings.EqualFold(s, value) })
	}
	if hasMatch(guests, matches) {
		return matches, nil
	}
	var there []string
	for i := range guests {
		there = append(there, of(&guests[i])...)
	}
	there = slices.DeleteFunc(there, func(s string) bool { return s == "" })
	slices.SortFunc(there, pve.CompareNames)
	there = slices.Compact(there)
	have := fmt.Sprintf("None of them has a %s.", what)
	if len(there) > 0 {
		have = fmt.Sprintf("There is %s.", render.Text(render.List(there), 300))
	}
	return nil, explain.Refusal(have, "No guest that this token may see has the %s %q.", what, render.Text(value, 60))
}

func tagsOf(guests []pve.Resource) []string {
	var out []string
	for _, g := range guests {
		out = append(out, g.TagList()...)
	}
	return out
}
