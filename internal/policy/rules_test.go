package policy_test

import (
	"fmt"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

func TestParseRules(t *testing.T) {
	got, err := policy.ParseRules(" 100, 200-299 ,tag:Prod,pool:web/a,storage:nfs, job:backup-1,node:pve1,")
	if err != nil || fmt.Sprint(got) != "[100 200-299 tag:prod pool:web/a storage:nfs job:backup-1 node:pve1]" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"99", "1000000000", "300-200", "tag:", "pool:", "x", "100-", "-100", "100 200", "tag:a b", "storage:", "job:a b", "node:a:b", "guest:100", "volume:x", "0100", ",", " , "} {
		if got, err := policy.ParseRules(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// A rule prints as what it was read from, and reads as the same again.
func FuzzParseRules(f *testing.F) {
	for _, s := range []string{"100", "100-199", "tag:prod", "pool:web", "100,tag:x", "tag:", "1-2", "pool:a:b", "storage:nfs", "job:x", "node:pve1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rules, err := policy.ParseRules(s)
		if err != nil {
			return
		}
		for _, r := range rules {
			again, err := policy.ParseRules(r.String())
			if err != nil || len(again) != 1 || again[0] != r {
				t.Errorf("%q: %v became %v (%v)", s, r, again, err)
			}
		}
	})
}
