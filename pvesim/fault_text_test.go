package pvesim_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

func TestParseFault(t *testing.T) {
	start := "POST /nodes/*/qemu/*/status/start"
	for text, want := range map[string]pvesim.Fault{
		start + " guest=100 drop max=1":                      {Match: start, Guest: 100, Drop: true, Max: 1},
		"max=1   drop":                                       {Drop: true, Max: 1},
		"* /nodes/pve2/** delay=1.5s":                        {Match: "* /nodes/pve2/**", Delay: 1500 * time.Millisecond},
		"GET /a status=596 message=late skip=2 prob=0.1":     {Match: "GET /a", Status: 596, Message: "late", Skip: 2, Prob: 0.1},
		`node=pve1 task-fails="no \"space\" left"`:           {Node: "pve1", TaskFails: `no "space" left`},
		`status=500 message="got timeout" delay=2m`:          {Status: 500, Message: "got timeout", Delay: 2 * time.Minute},
		"GET /status=1 truncate=10":                          {Match: "GET /status=1", Truncate: 10},
		"task-idle":                                          {TaskIdle: true},
		`task-says="WARN: no"`:                               {TaskSays: "WARN: no"},
		"task-warns=late":                                    {TaskWarns: "late"},
		"keeps=busy":                                         {Keeps: "busy"},
		`proxy done status=201 message="<html>"`:             {Proxy: true, Done: true, Status: 201, Message: "<html>"},
		"slow=2s":                                            {Slow: 2 * time.Second},
		"agent-takes=5s guest=100":                           {AgentTakes: 5 * time.Second, Guest: 100},
		"node=pve2 down delay=1m":                            {Node: "pve2", Down: true, Delay: time.Minute},
		`storage=nfs message="gone" down`:                    {Storage: "nfs", Message: "gone", Down: true},
		`task-fails="job errors" fails-at=50`:                {TaskFails: "job errors", FailsAt: 50},
		`POST /nodes/*/vzdump task-fails="job errors" max=2`: {Match: "POST /nodes/*/vzdump", TaskFails: "job errors", Max: 2},
	} {
		got, err := pvesim.ParseFault(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", text, diff)
		}
		again, err := pvesim.ParseFault(got.String())
		if err != nil || again != got {
			t.Errorf("%s: written as %s, which reads as %+v, %v", text, got, again, err)
		}
	}
}

func TestParseFaultRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "it does nothing",
		"GET /a":                       "it does nothing",
		"drop slow=1s":                 "it does several things",
		"FETCH /a drop":                `PVE knows no method "FETCH"`,
		"GET a drop":                   "a match is a method, or *, and a path",
		"drop GET /a":                  `it has no word "GET"`,
		"GET /a /b drop":               `it has no word "/b"`,
		"drop drop":                    "drop stands there twice",
		"drop=yes":                     "drop: it has no value",
		"status":                       "status: it needs a value: status=…",
		`node="" drop`:                 "node: it needs a value: node=…",
		"guest=a drop":                 `guest: "a" is not a number, such as 100`,
		"slow=5":                       `slow: "5" is not a duration, such as 1.5s or 2m`,
		"prob=2 drop":                  "a probability is from 0 to 1",
		"prob=x drop":                  `prob: "x" is not a number from 0 to 1`,
		`message="a status=500`:        "message: the quotes do not end",
		`message="a"b status=500`:      "message: there is no blank after the quotes",
		"status=200":                   "the status 200 is no refusal",
		"GET /nodes/pve* drop":         "in a path, * is a whole element",
		"colour=red drop":              `it has no word "colour"`,
		"message=x":                    "it does nothing",
		"message=x truncate=3":         "a message needs a status",
		"GET /a status=500 drop max=1": "it does several things",
	} {
		_, err := pvesim.ParseFault(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What can be read can be written, and is read the same again.
func FuzzParseFault(f *testing.F) {
	f.Add(`POST /nodes/*/qemu/*/status/start guest=100 drop max=1`)
	f.Add(`node=pve1 skip=1 prob=0.25 delay=1h2m0.5s task-fails="a \"b\" \n"`)
	f.Add(`* /** status=595 message="No route to host"`)
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := pvesim.ParseFault(text)
		if err != nil {
			return
		}
		again, err := pvesim.ParseFault(rule.String())
		if err != nil || again != rule {
			t.Errorf("%q is %+v, written as %q, which is %+v, %v", text, rule, rule, again, err)
		}
	})
}

// Every field of a rule has a word.
func TestFaultWords(t *testing.T) {
	for i := range reflect.TypeFor[pvesim.Fault]().NumField() {
		var f pvesim.Fault
		field := reflect.ValueOf(&f).Elem().Field(i)
		switch field.Kind() {
		case reflect.String:
			field.SetString("x")
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Float64:
			field.SetFloat(1)
		default:
			field.SetInt(1)
		}
		if f.String() == "" {
			t.Errorf("%s has no word", reflect.TypeFor[pvesim.Fault]().Field(i).Name)
		}
	}
}
