package maintenance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const full = "root@pam!full"

// list is a list of texts in an answer.
func list(a sim.Answer, field string) []string {
	var out []string
	all, _ := a.Fields[field].([]any)
	for _, one := range all {
		text, ok := one.(string)
		if !ok {
			text, _ = one.(map[string]any)["guest"].(string)
		}
		out = append(out, text)
	}
	return out
}

func version(v string) *pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = v
	return &m
}

// What an action answers of each guest is what the cluster shows of it afterwards.
func TestBulkActions(t *testing.T) {
	for _, v := range []string{"8.4.1", "9.2.0"} {
		for _, tt := range []struct {
			args           string
			outcome        tool.Outcome
			ok, notOK, not []string
			writes         int
		}{
			{`{"action":"snapshot","guests":"102,103","snapname":"prepatch","wait":45}`, tool.OK, []string{"102 db-1", "103 db-2"}, nil, nil, 2},
			{`{"action":"delete_snapshot","guests":"102,103","snapname":"*","keep":1,"confirm":true,"wait":45}`, tool.OK, []string{"102 db-1"}, nil, []string{"103 db-2"}, 1},
			{`{"action":"add_tags","guests":"tag:prod","tags":["patched"],"confirm":true,"wait":45}`, tool.OK, []string{"100 web-1", "101 web-2", "102 db-1", "103 db-2", "104 mail", "200 proxy", "201 dns"}, nil, nil, 7},
			{`{"action":"set_config","guests":"101,200","set":{"onboot":1},"wait":45}`, tool.OK, nil, nil, nil, -1},
			{`{"action":"shutdown","guests":"102,103","wait":45}`, tool.OK, []string{"102 db-1", "103 db-2"}, nil, nil, 2},
			{`{"action":"start","guests":"105,204","wait":45}`, tool.Failed, nil, []string{"105 build-1", "204 sandbox"}, nil, 2},
			{`{"action":"start","guests":"100,204","wait":45}`, tool.Warnings, nil, []string{"204 sandbox"}, []string{"100 web-1"}, 1},
			{`{"action":"migrate","guests":"204,200","target":"pve2","wait":45,"skip_impossible":true}`, "", nil, nil, nil, -1},
		} {
			t.Run(v+tt.args, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := sim.New(t, sim.Options{Model: version(v), Token: full})
					a := w.Call("pve_bulk_action", tt.args)
					t.Log(a.Text)
					if tt.outcome != "" && a.Outcome != tt.outcome {
						t.Fatalf("%s", a.Text)
					}
					ok, notOK, not := list(a, "ok"), list(a, "not_ok"), list(a, "nothing_to_do")
					slices.Sort(ok)
					if (tt.ok != nil || tt.notOK != nil) && (!slices.Equal(ok, tt.ok) || !slices.Equal(notOK, tt.notOK) || !slices.Equal(not, tt.not)) {
						t.Errorf("ok %q, not ok %q, nothing to do %q: %s", ok, notOK, not, a.Text)
					}
					if n := len(sim.Writes(w.Sent())); tt.writes >= 0 && n != tt.writes {
						t.Errorf("%d writes", n)
					}
				})
			})
		}
	}
}

// If one guest cannot, nothing begins, unless the caller wants the others.
func TestBulkImpossible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		for _, tt := range []struct{ args, says string }{
			{`{"action":"start","guests":"204,900"}`, "900 debian-12: VM 900 is a template"},
			{`{"action":"start","guests":"204,107"}`, "107 erp-old"},
			{`{"action":"start","guests":"nobody*"}`, "nobody"},
			{`{"action":"start","guests":"204","snapname":"before"}`, `snapname`},
			{`{"action":"snapshot","guests":"204","snapname":"before","parallel":9}`, `PVE_MCP_PARALLEL allows 3 guests at a time`},
			{`{"action":"add_tags","guests":"204"}`, `tags`},
		} {
			a := w.Call("pve_bulk_action", tt.args)
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.says) {
				t.Errorf("%s: %s", tt.args, a.Text)
			}
		}
		if writes := sim.Writes(w.Sent()); len(writes) > 0 {
			t.Fatalf("sent %v", writes)
		}
		a := w.Call("pve_bulk_action", `{"action":"start","guests":"204,900","skip_impossible":true,"wait":45}`)
		if a.Outcome != tool.Warnings || !slices.Equal(list(a, "not_ok"), []string{"204 sandbox"}) || !slices.Equal(list(a, "cannot"), []string{"900 debian-12"}) {
			t.Errorf("%s", a.Text)
		}
	})
}

// Consent is by effect: an interruption of more than three guests that run, a change of more
// than ten, all of them, or what loses something for good.
func TestBulkConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		for args, asks := range map[string]bool{
			`{"action":"stop","guests":"100,101,102"}`:                                        false,
			`{"action":"stop","guests":"100,101,102,103"}`:                                    true,
			`{"action":"shutdown","guests":"running"}`:                                        true,
			`{"action":"add_tags","guests":"100-110","tags":["x"]}`:                           false,
			`{"action":"add_tags","guests":"vm,ct,!900","tags":["x"],"skip_impossible":true}`: true,
			`{"action":"add_tags","guests":"all","tags":["x"],"skip_impossible":true}`:        true,
			`{"action":"delete_snapshot","guests":"102","snapname":"*"}`:                      true,
			`{"action":"delete_snapshot","guests":"102","snapname":"none-of-that-name"}`:      false,
		} {
			plan := w.Call("pve_bulk_action", strings.TrimSuffix(args, "}")+`,"plan":true}`)
			w.Sent()
			if asks {
				a := w.Call("pve_bulk_action", args)
				if a.Outcome != tool.NeedsConfirmation || len(sim.Writes(w.Sent())) > 0 {
					t.Errorf("%s: %s", args, a.Text)
				}
			}
			if strings.Contains(plan.Text, "It needs consent") != asks {
				t.Errorf("%s: %s", args, plan.Text)
			}
		}
	})
}

// A guest that the rules protect lets the whole be refused, and nothing is sent to it if the
// others are wanted.
func TestBulkProtected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules, err := policy.ParseRules("102")
		if err != nil {
			t.Fatal(err)
		}
		w := sim.New(t, sim.Options{Token: full, Policy: policy.Policy{Protect: rules}})
		for _, args := range []string{
			`{"action":"delete_snapshot","guests":"102,103","snapname":"*","confirm":true}`,
			`{"action":"stop","guests":"102,103"}`,
			`{"action":"add_tags","guests":"102,103","tags":["x"]}`,
			`{"action":"snapshot","guests":"102,103","snapname":"before"}`,
		} {
			a := w.Call("pve_bulk_action", args)
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "102 db-1") || !strings.Contains(a.Text, "PVE_MCP_PROTECT") || len(sim.Writes(w.Sent())) > 0 {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
		a := w.Call("pve_bulk_action", `{"action":"stop","guests":"102,103","skip_impossible":true,"wait":45}`)
		if writes := sim.Writes(w.Sent()); a.Outcome != tool.OK || len(writes) != 1 || !slices.Equal(list(a, "ok"), []string{"103 db-2"}) {
			t.Errorf("%v: %s", writes, a.Text)
		}
	})
}

// After an error nothing more is begun if that is wanted, and what was not begun is named.
func TestBulkStopsOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		a := w.Call("pve_bulk_action", `{"action":"start","guests":"105,204","on_error":"stop","parallel":1,"order":"vmid","wait":45}`)
		if a.Outcome != tool.Failed || !slices.Equal(list(a, "not_ok"), []string{"105 build-1"}) || !slices.Equal(list(a, "not_begun"), []string{"204 sandbox"}) {
			t.Errorf("%s", a.Text)
		}
	})
}

// The server is killed after each guest. Another one says of each guest what was done, begins
// nothing by itself, and takes up the rest when it is asked to. No guest is begun twice.
func TestBulkKilled(t *testing.T) {
	const guests = 4
	for lives := 1; lives <= guests; lives++ {
		t.Run(fmt.Sprint(lives), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full, Wire: sim.Killed(lives, false)})
				defer time.Sleep(2 * tool.HandleTime) // the killed server ends
				w.Host.Stays = true
				begun := w.Call("pve_bulk_action", `{"action":"snapshot","guests":"100,101,102,103","snapname":"before","parallel":1,"wait":0}`)
				handle, _ := begun.Fields["handle"].(string)
				if begun.Outcome != tool.Running || handle == "" || len(handle) > 2000 {
					t.Fatalf("%s", begun.Text)
				}
				time.Sleep(10 * time.Minute)
				other := w.As(full)
				other.Sent()
				seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":1}`, handle))
				answer, _ := seen.Fields["change"].(map[string]any)
				ok, _ := answer["ok"].([]any)
				not, _ := answer["not_begun"].([]any)
				if len(ok) != lives || len(not) != guests-lives || len(sim.Writes(other.Sent())) > 0 {
					t.Errorf("%s", seen.Text)
				}
				rest := other.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, handle))
				if rest.Outcome != tool.OK || len(list(rest, "ok")) != guests {
					t.Errorf("%s", rest.Text)
				}
				if n := len(sim.Writes(other.Sent())); n != guests-lives {
					t.Errorf("%d writes of the other process", n)
				}
			})
		})
	}
}

// A call that is cancelled begins nothing more, and a plan is carried out as it was shown.
func TestBulkPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full})
		plan := w.Call("pve_bulk_action", `{"action":"delete_snapshot","guests":"all","snapname":"*","plan":true}`)
		if plan.Outcome != tool.Planned || len(sim.Writes(w.Sent())) > 0 {
			t.Fatalf("%s", plan.Text)
		}
		call := fmt.Sprintf(`{"plan_handle":%q,"confirm":true,"wait":45}`, plan.Fields["plan_handle"])
		if a := w.Call("pve_bulk_action", call); a.Outcome != tool.OK || len(list(a, "ok")) != 1 {
			t.Errorf("%s", a.Text)
		}
		w.Sent()
		if a := w.Call("pve_bulk_action", call); len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("a plan was carried out twice: %s", a.Text)
		}
	})
}
