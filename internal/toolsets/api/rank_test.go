package api

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pve/apischema/viewer"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

var update = flag.Bool("update", false, "write docs/search.md anew")

// question is one as people ask it, with the endpoints that answer.
type question struct {
	Ask     string   `json:"ask"`
	Answers []string `json:"answers"`
	Seen    bool     `json:"seen"` // the tables were made with it, whatever its hash says
}

// isHeldOut reports whether a question is kept away from the tables while these are made.
func (q question) isHeldOut() bool { return !q.Seen && sha256.Sum256([]byte(q.Ask))[0]%3 == 0 }

func questions(t *testing.T) (out []question) {
	t.Helper()
	data, err := os.ReadFile("../../../evals/search.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var q question
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, q)
	}
	return out
}

// score counts for how many questions an answer is the first one, or among the first five.
type score struct{ one, five, all int }

func (s *score) count(place int) {
	s.all++
	if place == 0 {
		s.one++
	}
	if place >= 0 && place < 5 {
		s.five++
	}
}

func (s score) at1() float64 { return 100 * float64(s.one) / float64(s.all) }
func (s score) at5() float64 { return 100 * float64(s.five) / float64(s.all) }

// place is where the first answer to a question stands, -1 where none does.
func (x *index) place(q question) int {
	return slices.IndexFunc(x.rank(q.Ask), func(r ranked) bool {
		return slices.Contains(q.Answers, r.endpoint.Method+" "+r.endpoint.Path) ||
			r.twin != nil && slices.Contains(q.Answers, r.twin.Method+" "+r.twin.Path)
	})
}

// shown is what a simulated node shows of its API.
func shown(t *testing.T, version string) *viewer.Description {
	t.Helper()
	m := pvesim.Lab()
	m.PVE = version
	s, err := pvesim.NewSim(m, pvesim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Do(t.Context(), pvesim.Request{Method: "GET", Path: "/pve-docs/api-viewer/apidoc.js"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := viewer.Read(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The least that is good enough, in percent: of the questions that the tables were made
// with, and of all.
const (
	leastAt1 = 75
	leastAt5 = 95
)

const searchPage = "../../../docs/search.md"

const searchHead = `# Search

<!-- Made from evals/search.jsonl: go test ./internal/toolsets/api -run Ranking -update. -->

How often ` + "`pve_api_search`" + ` has an endpoint that answers in the first place, and among the first five, for the %d questions of
` + "`evals/search.jsonl`" + `: by path, parameters and this program's own table of words alone, and with the descriptions of a node's API viewer
(the simulator's, which are its own, of some endpoints). A third of the other questions, chosen by a hash of their text, is held out: the table
was made without looking at what is found for them, and questions that it was made with are marked as seen.

| version | descriptions | questions | recall@1 | recall@5 |
|---|---|---|--:|--:|
`

// What people ask is found. What is found for questions that were held out is never printed,
// so that the tables are not made for them.
func TestRanking(t *testing.T) {
	effort.SkipShort(t)
	all := questions(t)
	page := fmt.Sprintf(searchHead, len(all))
	for _, major := range []int{8, 9} {
		known, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		texts := shown(t, map[int]string{8: "8.4.1", 9: "9.1.5"}[major]).Texts
		for _, with := range []bool{false, true} {
			x := newIndex(known.Endpoints(), func(key string) string {
				if !with {
					return ""
				}
				return texts[key].Endpoint
			})
			var seen, held score
			for _, q := range all {
				if !answerable(known, q) {
					continue
				}
				place := x.place(q)
				if q.isHeldOut() {
					held.count(place)
					continue
				}
				if seen.count(place); place < 0 || place > 4 {
					t.Logf("PVE %d: %q: place %d", major, q.Ask, place+1)
				}
			}
			total := score{seen.one + held.one, seen.five + held.five, seen.all + held.all}
			for _, s := range []struct {
				name string
				score
			}{{"all", total}, {"seen", seen}, {"held out", held}} {
				page += fmt.Sprintf("| %d | %s | %d %s | %.0f %% | %.0f %% |\n", major, map[bool]string{true: "yes", false: "no"}[with], s.all, s.name, s.at1(), s.at5())
				if s.at1() < leastAt1 || s.at5() < leastAt5 {
					t.Errorf("PVE %d, descriptions %v, %s: %.1f %% first, %.1f %% among five; want %d and %d", major, with, s.name, s.at1(), s.at5(), leastAt1, leastAt5)
				}
			}
		}
	}
	if *update {
		if err := os.WriteFile(searchPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(searchPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(was), page); diff != "" {
		t.Errorf("docs/search.md (-page +now; go test ./internal/toolsets/api -run Ranking -update writes it anew):\n%s", diff)
	}
}

// answerable reports whether a version of PVE has an endpoint that answers.
func answerable(known *apischema.API, q question) bool {
	return slices.ContainsFunc(q.Answers, func(key string) bool {
		method, path, _ := strings.Cut(key, " ")
		return known.Endpoint(method, path) != nil
	})
}

// Every answer is an endpoint, and no question is asked twice.
func TestQuestions(t *testing.T) {
	asked := map[string]bool{}
	held := 0
	for _, q := range questions(t) {
		if asked[q.Ask] || len(q.Answers) == 0 {
			t.Errorf("%q is asked twice, or has no answer", q.Ask)
		}
		asked[q.Ask] = true
		if q.isHeldOut() {
			held++
		}
		for _, key := range q.Answers {
			if purposes()[key].text == "" {
				t.Errorf("%q: there is no endpoint %s", q.Ask, key)
			}
		}
	}
	if len(asked) < 120 || held*10 < len(asked)*3 {
		t.Errorf("%d questions, %d of them held out", len(asked), held)
	}
}

// Each endpoint has a purpose in our words, and each row of words an endpoint.
func TestPurposes(t *testing.T) {
	known := map[string]bool{}
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range api.Endpoints() {
			known[ep.Method+" "+ep.Path] = true
		}
	}
	for key := range known {
		if purposes()[key].text == "" {
			t.Errorf("%s: no purpose in words.txt", key)
		}
	}
	for line := range strings.Lines(wordsFile) {
		key, _, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		found := false
		for _, each := range bothKinds(key) {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				found = found || known[each] || known[method+" "+each]
			}
		}
		if !found {
			t.Errorf("words.txt: there is no endpoint %s", key)
		}
	}
}
