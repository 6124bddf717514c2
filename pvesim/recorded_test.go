package pvesim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pve-mcp/internal/recordings"
	"pve-mcp/pvesim"
)

// recordedTokens are the labels of the recordings. The secrets are made up.
func recordedTokens() map[string]pvesim.Token {
	secret := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }
	return map[string]pvesim.Token{
		"full":  {ID: "root@pam!full", Secret: secret(1)},
		"audit": {ID: "mcp@pve!audit", Secret: secret(2), PrivSep: true},
		"admin": {ID: "mcp@pve!admin", Secret: secret(3), PrivSep: true},
		"ops":   {ID: "mcp@pve!ops", Secret: secret(4), PrivSep: true},
		"none":  {ID: "mcp@pve!none", Secret: secret(5), PrivSep: true},
		"bad":   {ID: "mcp@pve!audit", Secret: secret(0xff)},
		"ghost": {ID: "nobody@pve!x", Secret: secret(0xff)},
	}
}

// recordedModel is the recorded cluster before errors.jsonl and auth.jsonl: its
// initial state with the recorder's VM 900 and CT 950.
func recordedModel(t *testing.T) pvesim.Model {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(recordings.Dir(t), "initial.json"))
	if err != nil {
		t.Fatal(err)
	}
	var initial struct {
		ACL []struct {
			Path, RoleID, UGID string
			Propagate          int
		}
		Guests []struct {
			VMID               int
			Type, Node, Status string
			Config             map[string]any
		}
		Pools   []struct{ PoolID, Comment string }
		Storage []struct {
			Storage, Type, Content string
			Disable                int
		}
	}
	if err := json.Unmarshal(data, &initial); err != nil {
		t.Fatal(err)
	}
	m := pvesim.Model{
		PVE: "8.4.21", Cluster: "rig",
		Nodes: []pvesim.Node{{Name: "pve1", CPUs: 2}, {Name: "pve2", CPUs: 2, PVE: "9.2.0"}},
		Users: []pvesim.User{{ID: "root@pam"}, {ID: "mcp@pve"}},
		Pools: []pvesim.Pool{{ID: "dev", VMIDs: []int{100, 200}, Storages: []string{"data"}}},
	}
	for _, label := range []string{"full", "audit", "admin", "ops", "none"} {
		m.Tokens = append(m.Tokens, recordedTokens()[label])
	}
	for _, a := range initial.ACL {
		m.ACL = append(m.ACL, pvesim.ACL{Path: a.Path, Who: a.UGID, Role: a.RoleID, NoPropagate: a.Propagate == 0})
	}
	for _, s := range initial.Storage {
		m.Storages = append(m.Storages, pvesim.Storage{ID: s.Storage, Type: s.Type, Content: s.Content, Disabled: s.Disable == 1})
	}
	for _, g := range initial.Guests {
		config := map[string]string{}
		for k, v := range g.Config {
			config[k] = fmt.Sprint(v)
		}
		delete(config, "digest")
		m.Guests = append(m.Guests, pvesim.Guest{VMID: g.VMID, Kind: g.Type, Node: g.Node, Config: config, Running: g.Status == "running"})
	}
	m.Guests = slices.DeleteFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID >= 900 })
	m.Guests = append(m.Guests,
		pvesim.Guest{VMID: 900, Kind: "qemu", Node: "pve1", Running: true, Config: map[string]string{"name": "rec-vm"}},
		pvesim.Guest{VMID: 950, Kind: "lxc", Node: "pve1", Config: map[string]string{"hostname": "rec-ct"}},
	)
	return m
}

func TestRecordedRefusals(t *testing.T) {
	sim, err := pvesim.New(recordedModel(t), pvesim.Options{Clock: pvesim.NewVirtual(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	tokens, rows, equal := recordedTokens(), map[int]int{}, 0
	for _, row := range recordings.Rows(t, "errors", "auth") {
		if !slices.Contains([]int{400, 401, 403, 501, 506}, row.Status) {
			continue
		}
		rows[row.Status]++
		head := http.Header{}
		for k, v := range row.Headers {
			head.Set(k, v)
		}
		if row.Token != "" {
			head.Set("Authorization", tokens[row.Token].Header())
		}
		req := pvesim.Request{Method: row.Method, Path: "/api2/json" + row.Path, Header: head, Body: []byte(row.RawBody)}
		if form := row.Form().Encode(); row.Method == "GET" || row.Method == "DELETE" {
			req.Query = form
		} else if row.RawBody == "" {
			req.Body = []byte(form)
		}
		got, err := sim.Do(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(recordedAnswer(row), simulatedAnswer(got)); diff != "" {
			t.Errorf("%v %v (-recorded +simulated):\n%s", row, row.Params, diff)
			continue
		}
		equal++
	}
	t.Logf("%d rows equal, of those with status: %v", equal, rows)
}

type wireAnswer struct {
	Status       int
	Reason, Type string
	JSON         any
	Text         string
}

func recordedAnswer(row recordings.Row) wireAnswer {
	a := wireAnswer{Status: row.Status, Reason: row.Reason, Type: row.Type, Text: row.Text}
	if row.Body != nil {
		_ = json.Unmarshal(row.Body, &a.JSON)
	}
	return a
}

func simulatedAnswer(r pvesim.Response) wireAnswer {
	a := wireAnswer{Status: r.Status, Reason: r.Reason, Type: r.Header.Get("Content-Type")}
	if json.Unmarshal(r.Body, &a.JSON) != nil {
		a.Text = strings.TrimSpace(string(r.Body))
	}
	return a
}

func TestRecordedRoles(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(recordings.Dir(t), "initial.json"))
	if err != nil {
		t.Fatal(err)
	}
	var initial struct {
		Roles []struct{ RoleID, Privs string }
	}
	if err := json.Unmarshal(data, &initial); err != nil {
		t.Fatal(err)
	}
	for _, role := range initial.Roles {
		got := strings.Join(pvesim.BuiltinRoles(8)[role.RoleID], ",")
		if got != role.Privs {
			t.Errorf("%s (-recorded +simulated):\n%s", role.RoleID, cmp.Diff(role.Privs, got))
		}
	}
	t.Logf("%d roles checked", len(initial.Roles))
}
