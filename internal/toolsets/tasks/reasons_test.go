package tasks_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// A list says why tasks failed whose exit status does not, for the newest ten.
func TestListTasksSaysWhyTheyFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		a := w.Call("pve_list_tasks", `{"errors":true,"since":"30d"}`)
		found := 0
		for _, row := range a.Fields["tasks"].([]any) {
			row := row.(map[string]any)
			exit, _ := row["exit_status"].(string)
			reason, _ := row["reason"].(string)
			switch {
			case strings.HasSuffix(exit, "exited with code 1") && strings.HasPrefix(reason, "kvm: -drive file="), exit == "job errors" && strings.Contains(reason, "No space left on device"):
				found++
			case reason != "" && strings.Contains(exit, reason):
				t.Errorf("said twice: %v", row)
			}
		}
		if found != 2 {
			t.Errorf("%d reasons: %s", found, a.Text)
		}
	})
}
