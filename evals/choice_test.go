package evals

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// choice is a request as users make it, with the tool that answers it.
type choice struct {
	Ask       string         `json:"ask"`
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments"`
	Or        []string       `json:"or"`       // tools that answer as well
	HeldOut   bool           `json:"held_out"` // it is not looked at while descriptions are written
}

func choices(t *testing.T) (out []choice) {
	t.Helper()
	data, err := os.ReadFile("choice.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var c choice
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, c)
	}
	return out
}

// everyTool is what a client lists if every toolset and commands in guests are on.
func everyTool() []*mcp.Tool {
	return mcpserver.List(toolset.Selection{Policy: policy.Policy{Exec: true}, Toolsets: []string{toolset.Everything}})
}

// The least that is good enough, in percent of the requests.
const (
	leastFirst = 75
	leastThree = 90
)

// tally counts for how many requests the right tool is found.
type tally struct{ first, three, all int }

func (s *tally) count(place int) {
	s.all++
	if place == 0 {
		s.first++
	}
	if place >= 0 && place < 3 {
		s.three++
	}
}

func (s tally) percent(n int) float64 { return 100 * float64(n) / float64(s.all) }

// The search of hosts finds the tool that answers a request by its name and description. What
// is found for requests that are held out is never printed, so that no description is written
// for them.
func TestChoice(t *testing.T) {
	tools := everyTool()
	offered := map[string]bool{}
	for _, mt := range tools {
		offered[mt.Name] = true
	}
	x := newRanker(tools)
	scores := map[string]*tally{"seen": {}, "held out": {}, "all": {}}
	later := map[string]int{}
	for _, c := range choices(t) {
		if !offered[c.Tool] {
			later[c.Tool]++
			continue
		}
		found := x.rank(c.Ask)
		place := slices.IndexFunc(found, func(name string) bool { return name == c.Tool || slices.Contains(c.Or, name) })
		scores["all"].count(place)
		if c.HeldOut {
			scores["held out"].count(place)
			continue
		}
		scores["seen"].count(place)
		if place < 0 || place > 2 {
			t.Logf("%q: %s is at place %d, after %v", c.Ask, c.Tool, place+1, found[:min(3, len(found))])
		}
	}
	for name, s := range scores {
		t.Logf("%s: of %d requests the right tool is first for %.0f %%, and among three for %.0f %%", name, s.all, s.percent(s.first), s.percent(s.three))
		if s.percent(s.first) < leastFirst || s.percent(s.three) < leastThree {
			t.Errorf("%s: want %d %% first and %d %% among three: write the first sentence of a description in the words of its users", name, leastFirst, leastThree)
		}
	}
	if len(later) > 0 {
		t.Logf("requests whose tool is not there yet: %v", later)
	}
}

// Each request is asked once, a third is held out, every tool has one, and arguments are the
// tool's.
func TestChoices(t *testing.T) {
	schemas := map[string]map[string]bool{}
	required := map[string][]string{}
	for _, mt := range everyTool() {
		schemas[mt.Name] = map[string]bool{}
		tl, _ := toolset.Named(mt.Name)
		for name := range tl.Input().Properties {
			schemas[mt.Name][name] = true
		}
		required[mt.Name] = tl.Input().Required
	}
	asked, asksOf, held := map[string]bool{}, map[string]int{}, 0
	for _, c := range choices(t) {
		if asked[c.Ask] {
			t.Errorf("%q is there twice", c.Ask)
		}
		asked[c.Ask] = true
		asksOf[c.Tool]++
		if c.HeldOut {
			held++
		}
		if schemas[c.Tool] == nil {
			continue // a tool that is not there yet
		}
		for name := range c.Arguments {
			if !schemas[c.Tool][name] {
				t.Errorf("%q: %s has no argument %s", c.Ask, c.Tool, name)
			}
		}
		for _, name := range required[c.Tool] {
			if _, ok := c.Arguments[name]; !ok {
				t.Errorf("%q: %s needs %s", c.Ask, c.Tool, name)
			}
		}
	}
	if len(asked) < 150 || held*3 < len(asked) {
		t.Errorf("%d requests, %d of them held out; want 150 and a third", len(asked), held)
	}
	for name := range schemas {
		if asksOf[name] == 0 {
			t.Errorf("choice.jsonl has no request for %s", name)
		}
	}
}

// ranker ranks tools by BM25 over names and descriptions, as hosts do that load a tool when it
// is needed. It knows no synonyms and no endings of words: what it finds, they find.
type ranker struct {
	names  []string
	words  []map[string]float64 // how often each is there
	length []float64
	mean   float64
	rarity map[string]float64
}

func newRanker(tools []*mcp.Tool) *ranker {
	x := &ranker{rarity: map[string]float64{}}
	for _, mt := range tools {
		words := map[string]float64{}
		all := wordsOf(mt.Name + " " + mt.Description)
		for _, w := range all {
			words[w]++
		}
		for w := range words {
			x.rarity[w]++
		}
		x.names, x.words, x.length = append(x.names, mt.Name), append(x.words, words), append(x.length, float64(len(all)))
		x.mean += float64(len(all)) / float64(len(tools))
	}
	for w, n := range x.rarity {
		x.rarity[w] = math.Log(1 + (float64(len(tools))-n+0.5)/(n+0.5))
	}
	return x
}

// rank returns the tools that have a word of the request, the best first.
func (x *ranker) rank(ask string) []string {
	const k, b = 1.2, 0.75
	asked := wordsOf(ask)
	slices.Sort(asked)
	asked = slices.Compact(asked)
	score := map[string]float64{}
	var found []string
	for i, name := range x.names {
		for _, w := range asked {
			n := x.words[i][w]
			score[name] += x.rarity[w] * n * (k + 1) / (n + k*(1-b+b*x.length[i]/x.mean))
		}
		if score[name] > 0 {
			found = append(found, name)
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(score[b], score[a]) })
	return found
}

// stopWords are those that Lucene's analyzer of English leaves out.
var stopWords = strings.Fields(`a an and are as at be but by for if in into is it no not of on or such that the their then there these they this
	to was will with`)

func wordsOf(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(words, func(w string) bool { return slices.Contains(stopWords, w) })
}
