package evals

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// mcpchecker takes a step for an operation of an extension if it has one key, with a full stop,
// and an object as its value; and labels for texts.
func TestStepsAreMcpcheckers(t *testing.T) {
	files := 0
	err := fs.WalkDir(os.DirFS("tasks"), ".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".yaml" {
			return err
		}
		data, err := os.ReadFile("tasks/" + file)
		if err != nil {
			return err
		}
		var task struct {
			Metadata struct{ Labels map[string]any }
			Spec     struct{ Setup, Verify []map[string]any }
		}
		if err := yaml.Unmarshal(data, &task); err != nil {
			return err
		}
		files++
		for name, label := range task.Metadata.Labels {
			if _, isText := label.(string); !isText {
				t.Errorf("%s: the label %s is %v, and no text", file, name, label)
			}
		}
		for _, step := range append(task.Spec.Setup, task.Spec.Verify...) {
			for operation, arguments := range step {
				_, isObject := arguments.(map[string]any)
				extension, _, ofExtension := strings.Cut(operation, ".")
				if len(step) != 1 || !isObject || !ofExtension || extension != "pvesim" {
					t.Errorf("%s: a step is %v", file, step)
				}
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}
