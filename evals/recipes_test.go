package evals

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const recipesPage = "../docs/recipes.md"

const recipesHead = `# Recipes

<!-- Made from evals/tasks: go test ./evals -run Recipes -update. -->

How a model, or you with ` + "`pve-mcp call`" + `, does what takes several calls. Each recipe is a task of [evals](../evals/README.md), where its calls
are played on a simulated cluster and what comes of them is checked.
`

// The page of recipes has the calls that TestTasks plays.
func TestRecipes(t *testing.T) {
	page := recipesHead
	for _, task := range tasks(t) {
		if task.Spec.Recipe != nil {
			page += task.recipe(t)
		}
	}
	if *update {
		if err := os.WriteFile(recipesPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(recipesPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(was), page); diff != "" {
		t.Errorf("docs/recipes.md (-page +now; go test ./evals -run Recipes -update writes it anew):\n%s", diff)
	}
}

func (t Task) recipe(tb testing.TB) string {
	r := t.Spec.Recipe
	var calls strings.Builder
	for _, c := range t.Spec.Reference.Calls {
		line, err := json.Marshal(struct {
			Tool      string         `json:"tool"`
			Arguments map[string]any `json:"arguments,omitempty"`
		}{c.Tool, c.Arguments})
		if err != nil {
			tb.Fatal(err)
		}
		calls.Write(append(line, '\n'))
	}
	return fmt.Sprintf("\n## %s\n\n> %s\n\n```json\n%s```\n\n%s\n", r.Title, t.Spec.Prompt.Inline, calls.String(), r.Text)
}
