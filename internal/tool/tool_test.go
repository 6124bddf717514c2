package tool_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

type argsIn struct {
	VMID  pve.VMID `json:"vmid"`
	Big   int64    `json:"big,omitzero"`
	Share float64  `json:"share,omitzero" min:"0" max:"1"`
	Limit int      `json:"limit,omitzero" min:"1" max:"500"`
	Mode  string   `json:"mode,omitzero" enum:"snapshot,suspend,stop"`
	Name  string   `json:"name,omitzero"`
	Force bool     `json:"force,omitzero"`
	Tags  []string `json:"tags,omitzero" enum:"a,b"`
}

type argsOut struct {
	argsIn
	List   []string `json:"list"`
	Nested []struct {
		Inner []int `json:"inner"`
	} `json:"nested"`
}

var echo = tool.Read(tool.Spec[argsIn, argsOut]{
	Name: "echo", Title: "Echo", Doc: "Answers with its arguments.",
	Run: func(_ context.Context, _ *tool.Call, in argsIn) (argsOut, error) {
		return argsOut{argsIn: in, Nested: make([]struct {
			Inner []int `json:"inner"`
		}, 1)}, nil
	},
})

func TestArguments(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for _, tt := range []struct{ give, want string }{
		{`{"vmid":100}`, `{"vmid":100,"list":[],"nested":[{"inner":[]}]}`},
		{`{"vmid":"100"}`, `{"vmid":100,`},
		{`{"vmid":100.0}`, `{"vmid":100,`},
		{`{"vmid":100,"big":9007199254740993}`, `"big":9007199254740993,`},
		{`{"vmid":100,"big":"-9223372036854775808"}`, `"big":-9223372036854775808,`},
		{`{"vmid":100,"share":"0.5","force":"true","name":7,"tags":"a"}`, `"share":0.5,"name":"7","force":true,"tags":["a"],`},
		{`{"vmid":100,"limit":null,"tags":["a","b"]}`, `"tags":["a","b"],`},
		{`{"vmid":100,"limit":"","tags":"[\"a\",\"b\"]","force":"True"}`, `{"vmid":100,"force":true,"tags":["a","b"],`},
		{`{"vmid":100,"name":" "}`, `"name":" ",`},

		{``, `The argument "vmid" is missing; it takes the id or the name of a guest.`},
		{`[]`, `The arguments are not a JSON object.`},
		{`null`, `The argument "vmid" is missing; it takes the id or the name of a guest.`},
		{`{"vmid":100,"vmid":101}`, `The arguments have "vmid" twice; give it once.`},
		{`{"vmid":100}{"vmid":101}`, `The arguments are not a JSON object.`},
		{`{"vmid":0}`, `The argument "vmid" is 0, which is not a whole number from 100.`},
		{`{"vmid":100,"limit":0}`, `The argument "limit" is 0, which is not a whole number from 1 to 500.`},
		{`{"vmid":100,"tags":"[a"}`, `The argument "tags" is "[a", which begins like a list and is not JSON.`},
		{`{"vmid":1}`, `The argument "vmid" is 1, which is not a whole number from 100.`},
		{`{"vmid":100.5}`, `The argument "vmid" is 100.5, which is not a whole number.`},
		{`{"vmid":true}`, `The argument "vmid" is true, which is not a number.`},
		{`{"vmid":100,"big":9223372036854775808}`, `The argument "big" is 9223372036854775808, which is too large.`},
		{`{"vmid":100,"limit":501}`, `The argument "limit" is 501, which is not a whole number from 1 to 500.`},
		{`{"vmid":100,"share":1.01}`, `The argument "share" is 1.01, which is not a number from 0 to 1.`},
		{`{"vmid":100,"mode":"stopp"}`, `The argument "mode" is "stopp", which is none of snapshot, suspend and stop.`},
		{`{"vmid":100,"tags":["a","c"]}`, `The argument "tags" has an element 2 that is "c", which is none of a and b.`},
		{`{"vmid":100,"force":"maybe"}`, `The argument "force" is "maybe", which is neither true nor false.`},
		{`{"vmid":100,"name":{}}`, `The argument "name" is {}, which is not text.`},
		{`{"vmid":100,"frce":true}`, `There is no argument "frce"; did you mean "force"? This tool takes vmid, big, share, limit, mode, name, force and tags.`},
		{`{"vmid":100,"zzz":1}`, `There is no argument "zzz". This tool takes vmid,`},
	} {
		a := w.Run(echo, tt.give)
		if got := a.Text; !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s\nwant %s", tt.give, got, tt.want)
		}
		if bad := !strings.HasPrefix(tt.want, "{") && !strings.HasPrefix(tt.want, `"`); a.IsError != bad || (a.Fault == tool.BadArguments) != bad {
			t.Errorf("%s: error %v, fault %v", tt.give, a.IsError, a.Fault)
		}
	}
	if sent := w.Sent(); len(sent) > 0 {
		t.Errorf("arguments alone sent %v", sent)
	}
}

// Some clients take no unions in schemas, and a null where a list should be breaks
// readers.
func TestSchemasArePlain(t *testing.T) {
	for _, s := range []any{echo.Input(), echo.Output()} {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "null") {
			t.Errorf("a schema speaks of null: %s", data)
		}
	}
}

// What is wrong with a call is said in the same words every time.
func TestFirstProblemIsTheSame(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for range 20 {
		if a := w.Run(echo, `{"zz":1,"vmid":"x","limit":"x","yy":2}`); a.Text != `The argument "limit" is "x", which is not a number.` {
			t.Fatalf("%s", a.Text)
		}
	}
}

// A guest is named by its id or by its exact name, in every tool.
func TestGuestsByName(t *testing.T) {
	twins := sim.Guest(105, func(g *pvesim.Guest) { g.Config["name"] = "db-1" })
	for _, tt := range []struct {
		tool, args, want string
		model            *pvesim.Model
	}{
		{"pve_guest_status", `{"vmid":"web-1"}`, `"vmid":100,`, nil},
		{"pve_guest_status", `{"vmid":" web-1 "}`, `"vmid":100,`, nil},
		{"pve_guest_power", `{"vmid":"web-1","action":"start"}`, `VM 100 is running already`, nil},
		{"pve_list_tasks", `{"vmid":"web-1"}`, `"tasks"`, nil},
		{"pve_guest_status", `{"vmid":"db-1"}`, `2 guests have the name "db-1": 102 db-1 on pve2 and 105 db-1 on pve3. Give the id of the one that is meant.`, sim.Cluster(twins)},
		{"pve_guest_power", `{"vmid":"db-1","action":"stop"}`, `2 guests have the name \"db-1\"`, sim.Cluster(twins)},
		{"pve_guest_status", `{"vmid":"WEB-1"}`, `There is no guest "WEB-1"; there is 100 web-1 on`, nil},
		{"pve_guest_status", `{"vmid":"nobody"}`, `There is no guest "nobody" that this token may see.`, nil},
		{"pve_clone_guest", `{"vmid":900,"newid":"web-1"}`, `The argument \"newid\" is \"web-1\", which is not a number.`, nil},
	} {
		t.Run(tt.tool+" "+tt.args, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: tt.model})
				if a := w.Call(tt.tool, tt.args); !strings.Contains(a.Text, tt.want) {
					t.Errorf("%s", a.Text)
				}
				if writes := sim.Writes(w.Sent()); len(writes) > 0 {
					t.Errorf("sent %v", writes)
				}
			})
		})
	}
}
