package evals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Get asks the simulated cluster, with a token of its own.
type Get struct {
	Path   string `json:"path"`   // below /api2/json
	Status int    `json:"status"` // 0 means 200
	Fields
}

// Fields are expected of a document.
type Fields struct {
	Fields []Field `json:"fields"`
}

// Field is expected to be there, or not, and to have a value.
type Field struct {
	Path   string `json:"path"`
	Equals any    `json:"equals"`
	Match  string `json:"match"`  // a pattern
	Lacks  string `json:"lacks"`  // a pattern that must not match
	Exists *bool  `json:"exists"` // false: it must not be there
	Length *int   `json:"length"` // of a list
}

// Writes are the only requests that may have changed something, such as
// "POST /nodes/{node}/qemu/{vmid}/status/start". Each that does not begin with "may " has to be
// there, as often as it is listed. None means that nothing was changed.
type Writes struct {
	Requests []string `json:"requests"`
}

// Text is expected of a text: patterns, which do not look at the case of letters.
type Text struct {
	Match []string `json:"match"`
	Lacks []string `json:"lacks"`
}

// Result is what an agent, or a solution, has done.
type Result struct {
	Sim *pvesim.Sim
	// Tokens are the model's.
	Model  pvesim.Model
	Answer string   // to the user
	Asked  []string // what the human was asked; nil if that is not known
}

// Verify returns what is not as it should be.
func (t Task) Verify(ctx context.Context, r Result) (wrong []string) {
	for _, step := range t.Spec.Verify {
		if err := step.check(ctx, r); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

func (v VerifyStep) check(ctx context.Context, r Result) error {
	switch {
	case v.Get != nil:
		return v.Get.check(ctx, r)
	case v.Model != nil:
		m, err := r.Sim.Model()
		if err != nil {
			return err
		}
		tree, err := treeOf(m)
		if err != nil {
			return err
		}
		return v.Model.check("the model", tree)
	case v.Writes != nil:
		return v.Writes.check(r.Sim.Requests())
	case v.Asked != nil:
		if r.Asked == nil {
			return nil
		}
		return v.Asked.check("what the human was asked", strings.Join(r.Asked, "\n"))
	case v.Answer != nil:
		return v.Answer.check("the answer", r.Answer)
	}
	return errors.New("a step of verify is empty")
}

func treeOf(v any) (tree any, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return tree, json.Unmarshal(text, &tree)
}

func (g Get) check(ctx context.Context, r Result) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Sim.URL()+"/api2/json"+g.Path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", r.Model.Token(judgeToken).Header())
	resp, err := r.Sim.Transport().RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	want := http.StatusOK
	if g.Status != 0 {
		want = g.Status
	}
	if resp.StatusCode != want {
		return fmt.Errorf("GET %s answers %s, want %d", g.Path, resp.Status, want)
	}
	var body struct{ Data any }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return fmt.Errorf("GET %s: %w", g.Path, err)
	}
	return g.Fields.check(g.Path, body.Data)
}

func (f Fields) check(where string, tree any) error {
	var wrong []error
	for _, field := range f.Fields {
		if err := field.check(tree); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", where, err))
		}
	}
	return errors.Join(wrong...)
}

func (f Field) check(tree any) error {
	v, err := at(tree, f.Path)
	if f.Exists != nil && !*f.Exists {
		if err == nil {
			return fmt.Errorf("%s is %s, and should not be there", f.Path, shown(v))
		}
		return nil
	}
	if err != nil {
		return err
	}
	if f.Equals != nil && shown(v) != shown(f.Equals) {
		return fmt.Errorf("%s is %s, want %s", f.Path, shown(v), shown(f.Equals))
	}
	if list, _ := v.([]any); f.Length != nil && len(list) != *f.Length {
		return fmt.Errorf("%s has %d elements, want %d", f.Path, len(list), *f.Length)
	}
	text := Text{}
	if f.Match != "" {
		text.Match = []string{f.Match}
	}
	if f.Lacks != "" {
		text.Lacks = []string{f.Lacks}
	}
	return text.check(f.Path, shown(v))
}

func (w Writes) check(requests []pvesim.Record) error {
	sent := map[string]int{}
	for _, r := range requests {
		if r.User == AgentToken && r.Method != http.MethodGet {
			sent[r.Method+" "+r.Endpoint]++
		}
	}
	want, may := map[string]int{}, map[string]bool{}
	for _, entry := range w.Requests {
		if optional, ok := strings.CutPrefix(entry, "may "); ok {
			may[optional] = true
		} else {
			want[entry]++
		}
	}
	var wrong []string
	for request, n := range sent {
		if n != want[request] && !may[request] {
			wrong = append(wrong, fmt.Sprintf("%s was sent %d times, want %d", request, n, want[request]))
		}
	}
	for request, n := range want {
		if sent[request] == 0 {
			wrong = append(wrong, fmt.Sprintf("%s was not sent, want %d times", request, n))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return errors.New(strings.Join(wrong, "; "))
}

func (t Text) check(where, text string) error {
	var wrong []string
	for _, pattern := range t.Match {
		if found, err := regexp.MatchString("(?is)"+pattern, text); err != nil {
			return err
		} else if !found {
			wrong = append(wrong, fmt.Sprintf("%s does not match %q", where, pattern))
		}
	}
	for _, pattern := range t.Lacks {
		if found, err := regexp.MatchString("(?is)"+pattern, text); err != nil {
			return err
		} else if found {
			wrong = append(wrong, fmt.Sprintf("%s matches %q", where, pattern))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %q", strings.Join(wrong, "; "), short(text))
}

func short(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
