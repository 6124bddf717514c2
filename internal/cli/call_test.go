package cli

import (
	"bytes"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// An argument of a tool is no other flag besides, and completion knows no argument that
// there is not.
func TestArgumentsAreFlags(t *testing.T) {
	root := Commands()
	used := map[string]bool{}
	for _, tl := range toolset.All() {
		cmd, _, err := root.Find([]string{"call", tl.Name})
		if err != nil || cmd.Name() != tl.Name {
			t.Fatalf("%s is no command: %v", tl.Name, err)
		}
		for _, name := range tl.Input().PropertyOrder {
			used[name] = true
			if root.PersistentFlags().Lookup(name) != nil || name == "help" {
				t.Errorf("%s: the argument %s is a flag of every command, too", tl.Name, name)
			}
			if _, ok := cmd.GetFlagCompletionFunc(name); !ok {
				t.Errorf("%s: --%s is not completed", tl.Name, name)
			}
		}
	}
	for name := range live {
		if !used[name] {
			t.Errorf("completion knows %s, which no tool has", name)
		}
	}
}

// What is done side by side reports in turn: each line is shown once.
func TestProgressIsNotRepeated(t *testing.T) {
	var err bytes.Buffer
	report, end := (&app{err: &err}).reporter()
	for i := range 3 {
		for _, check := range []string{"updates", "disks"} {
			report(cluster.Progress{Done: float64(i), Message: check})
		}
	}
	end()
	if err.String() != "… updates\n… disks\n" {
		t.Errorf("%q", err.String())
	}
}
