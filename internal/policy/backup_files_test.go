package policy_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Where commands are limited, no file comes out of a backup either.
func TestBackupFiles(t *testing.T) {
	only, err := policy.ParseCommands("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"list", "download"} {
		target := "/nodes/a/storage/pbs/file-restore/" + path + "?volume=pbs:backup/vm/100/2024-01-01T00:00:00Z&filepath=/"
		if got := try(t.Context(), t, &policy.Guard{Policy: policy.Policy{Exec: true}}, "GET", target); got != sent {
			t.Errorf("%s: %s", path, got)
		}
		if got := try(t.Context(), t, &policy.Guard{Policy: policy.Policy{Exec: true, ExecAllow: only}}, "GET", target); !strings.Contains(got, "limits which are used") {
			t.Errorf("%s: %s", path, got)
		}
	}
}
