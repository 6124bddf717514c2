package media_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

const (
	iso    = "local:iso/debian-12.11.0-amd64-netinst.iso"
	remove = "DELETE /nodes/{node}/storage/{storage}/content/{volume}"
)

func rules(t *testing.T, text string) policy.Rules {
	t.Helper()
	r, err := policy.ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMedia(t *testing.T) {
	args := func(volume, more string) string { return fmt.Sprintf(`{"node":"pve1","volume":%q%s}`, volume, more) }
	sim.Tell(t, "pve_list_media", []sim.Story{
		{Name: "listed", Args: `{"node":"pve1","storage":"local"}`, Outcome: tool.OK, Says: []string{iso}},
	})
	admin := sim.Options{Token: "root@pam!full"}
	with := func(p policy.Policy) sim.Options { return sim.Options{Token: "root@pam!full", Policy: p} }
	sim.Tell(t, "pve_delete_medium", []sim.Story{
		{Name: "not confirmed", Options: admin, Args: args(iso, ""), Outcome: tool.NeedsConfirmation, Says: []string{"it is gone for good"}},
		{Name: "confirmed", Options: admin, Args: args(iso, `,"confirm":true`), Outcome: tool.OK, Writes: []string{remove}, Says: []string{`"deleted":true`}},
		{Name: "not waited for", Options: admin, Args: args(iso, `,"confirm":true,"wait":0`), Outcome: tool.Running, Writes: []string{remove}, Says: []string{`"upid":"UPID:pve1:`}},
		{Name: "of a protected guest", Options: with(policy.Policy{Protect: rules(t, "100")}), Args: args("local-zfs:vm-100-disk-0", `,"confirm":true`), Outcome: tool.Failed,
			Says: []string{"guest 100 is protected"}},
		{Name: "on a protected storage", Options: with(policy.Policy{Protect: rules(t, "storage:local")}), Args: args(iso, `,"confirm":true`), Outcome: tool.Failed, Says: []string{"PVE_MCP_PROTECT"}},
		{Name: "not among what is allowed", Options: with(policy.Policy{Allow: rules(t, "100")}), Args: args(iso, `,"confirm":true`), Outcome: tool.Failed, Says: []string{"PVE_MCP_ALLOW"}},
	})
}

// A human is asked, the answer is good for this volume alone, and all of it is recorded.
func TestConsentToMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: "root@pam!full"})
		path := filepath.Join(t.TempDir(), "audit.log")
		w.Host.Audit = w.Record(audit.Options{File: files.At(path)})
		tl, _ := toolset.Named("pve_delete_medium")
		ask := func(volume, state string, reply *tool.Reply) tool.Result {
			return tl.Call(t.Context(), w.Host, tool.Request{
				Arguments: json.RawMessage(fmt.Sprintf(`{"node":"pve1","volume":%q}`, volume)), Caller: "test", CanAsk: true, State: state, Reply: reply,
			})
		}
		yes := &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
		asked := ask(iso, "", nil)
		if asked.Question == nil || !strings.Contains(asked.Question.Message, "Deletion of "+iso) {
			t.Fatalf("%s", asked.Text)
		}
		if other := ask("local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", asked.Question.State, yes); other.Outcome != tool.NeedsConfirmation {
			t.Errorf("another volume: %s", other.Text)
		}
		if done := ask(iso, asked.Question.State, yes); done.Outcome != tool.OK {
			t.Errorf("%s", done.Text)
		}
		log, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(log), `"subject":"volume `+iso) || !strings.Contains(string(log), `"consent":"human"`) {
			t.Errorf("%v: %s", err, log)
		}
		if writes := sim.Writes(w.Sent()); len(writes) != 1 {
			t.Errorf("sent %v", writes)
		}
	})
}
