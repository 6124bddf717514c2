package archtest

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
)

// Nothing in the program looks a method up by a name that the linker does not know: it would
// keep every exported method of every type, some MB that nobody calls.
func TestUnusedMethodsAreNotLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-dumpdep", "-o", filepath.Join(t.TempDir(), "pve-mcp"), "../../cmd/pve-mcp").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	lines := 0
	for line := range bytes.Lines(out) {
		lines++
		if caller, _, found := bytes.Cut(line, []byte(" <ReflectMethod> -> reflect.")); found {
			t.Errorf("%s looks methods up by name", caller)
		}
	}
	if lines < 10_000 {
		t.Errorf("the linker names %d dependencies", lines)
	}
}
