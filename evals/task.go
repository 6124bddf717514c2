// Package evals has requests as users make them. Each is a task: a prompt, a simulated
// cluster, a check of what is true of it afterwards and of the answer, and calls that do what
// was asked. Tasks are data, in the form of mcpchecker's.
package evals

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Task is a request of a user.
type Task struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Metadata   Metadata `json:"metadata"`
	Spec       Spec     `json:"spec"`
}

// Metadata names a task.
type Metadata struct {
	Name       string            `json:"name"`
	Difficulty string            `json:"difficulty"` // easy, medium or hard
	Labels     map[string]string `json:"labels"`
}

// Spec is what there is to do. What follows Verify is ours: mcpchecker skips it.
type Spec struct {
	Requires []Requirement `json:"requires"`
	Prompt   Prompt        `json:"prompt"`
	Setup    []SetupStep   `json:"setup"`
	Verify   []VerifyStep  `json:"verify"`
	// Bounds are what a good solution needs at most, which the reference has to keep to.
	Bounds    Bounds   `json:"bounds"`
	Reference Solution `json:"reference"`
	// Wrong is a solution that looks like one, which the check must not accept.
	Wrong Solution `json:"wrong"`
	// Recipe makes the reference a part of docs/recipes.md.
	Recipe *Recipe `json:"recipe"`
}

// Recipe says how to do what takes several calls.
type Recipe struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Requirement is an extension of mcpchecker's that the steps of a task belong to.
type Requirement struct {
	Extension string `json:"extension"`
}

// Prompt is what the user says.
type Prompt struct {
	Inline string `json:"inline"`
}

// SetupStep is a step before the agent begins.
type SetupStep struct {
	Start *Start `json:"pvesim.start"`
}

// VerifyStep is a step after the agent has ended. One of its fields is set.
type VerifyStep struct {
	Get    *Get    `json:"pvesim.get"`
	Model  *Fields `json:"pvesim.model"`
	Writes *Writes `json:"pvesim.writes"`
	Asked  *Text   `json:"pvesim.asked"`
	Answer *Text   `json:"pvesim.answer"`
}

// Bounds limit a solution.
type Bounds struct {
	Calls int `json:"calls"`
	Bytes int `json:"bytes"` // of all arguments and answers
}

// Solution is a list of calls in their order, and the answer to the user.
type Solution struct {
	// Why says of a wrong solution what is wrong with it.
	Why   string `json:"why"`
	Calls []Call `json:"calls"`
	// Answer may have ${2.guests.0.name} in it, a field of what the second call answered. ""
	// means the answer to the last call.
	Answer string `json:"answer"`
	// Human is what the human does who is asked: accept, which "" means, or decline.
	Human string `json:"human"`
}

// Call is a call of a tool. Texts in its arguments may have ${1.plan_handle} in them.
type Call struct {
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments"`
	Fails     bool           `json:"fails"` // the answer has to be an error
}

// Load reads the tasks of a folder, by name.
func Load(folder fs.FS) ([]Task, error) {
	var out []Task
	err := fs.WalkDir(folder, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(folder, file)
		if err != nil {
			return err
		}
		t, err := parse(data)
		if err == nil && t.Metadata.Name != strings.TrimSuffix(path.Base(file), ".yaml") {
			err = fmt.Errorf("it is named %q, unlike its file", t.Metadata.Name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, t)
		return nil
	})
	slices.SortFunc(out, func(a, b Task) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	return out, err
}

func parse(data []byte) (t Task, err error) {
	var tree any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return t, err
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return t, err
	}
	if err := strictly(text, &t); err != nil {
		return t, err
	}
	return t, t.complete()
}

// strictly decodes JSON that has no fields which a type lacks.
func strictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON")
	}
	return nil
}

// complete says what a task lacks.
func (t Task) complete() error {
	s := t.Spec
	var lacks []string
	for what, has := range map[string]bool{
		"kind: Task":                         t.Kind == "Task",
		"apiVersion: mcpchecker/v1alpha2":    t.APIVersion == "mcpchecker/v1alpha2",
		"difficulty: easy, medium or hard":   slices.Contains([]string{"easy", "medium", "hard"}, t.Metadata.Difficulty),
		"a prompt":                           s.Prompt.Inline != "",
		"setup: one pvesim.start":            len(s.Setup) == 1 && s.Setup[0].Start != nil,
		"verify":                             len(s.Verify) > 0,
		"bounds of calls and bytes":          s.Bounds.Calls > 0 && s.Bounds.Bytes > 0,
		"a reference solution":               len(s.Reference.Calls) > 0,
		"a wrong solution, and why it is so": s.Wrong.Why != "" && (len(s.Wrong.Calls) > 0 || s.Wrong.Answer != ""),
	} {
		if !has {
			lacks = append(lacks, what)
		}
	}
	if len(lacks) > 0 {
		slices.Sort(lacks)
		return fmt.Errorf("it lacks %s", strings.Join(lacks, "; "))
	}
	return nil
}
