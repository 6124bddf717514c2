package toolset_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// asTold calls a tool in a new world with the arguments of its first example, as edit leaves
// them.
func asTold(t *testing.T, tl tool.Tool, edit func(args map[string]any) string) (a sim.Answer, log string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		w := sim.New(t, sim.Options{Token: "root@pam!full", Policy: policy.Policy{Exec: true}})
		w.Host.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		args := map[string]any{}
		if err := json.Unmarshal([]byte(w.Arguments(tl.Examples[0])), &args); err != nil {
			t.Fatal(err)
		}
		a, log = w.Run(tl, edit(args)), ""
		log = lines.String()
	})
	return a, log
}

func written(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// with is an edit that sets an argument.
func with(name string, value any) func(map[string]any) string {
	return func(args map[string]any) string { args[name] = value; return written(args) }
}

// randomRE matches what is random in an answer: handles, which are sealed with a random number,
// and what a guest gets by its MAC address.
var randomRE = regexp.MustCompile(`"(plan_)?handle":"[^"]*"|\b10\.99\.\d+\.\d+\b`)

func withoutRandom(answer string) string { return randomRE.ReplaceAllString(answer, "") }

// same checks that two values of an argument are read alike.
func same(t *testing.T, tl tool.Tool, name string, plain, given any) {
	t.Helper()
	want, _ := asTold(t, tl, with(name, plain))
	got, _ := asTold(t, tl, with(name, given))
	if withoutRandom(got.Text) != withoutRandom(want.Text) || want.Fault == tool.BadArguments && strings.Contains(want.Text, "which is") {
		t.Errorf("%s: %s = %#v: %s\nwant, as of %#v, %s", tl.Name, name, given, got.Text, plain, want.Text)
	}
}

// Whatever way a model writes an argument whose meaning is plain, each tool reads it alike.
func TestArgumentsAsModelsSendThem(t *testing.T) {
	t.Parallel()
	effort.SkipShort(t)
	for _, tl := range toolset.All() {
		for _, name := range tl.Input().PropertyOrder {
			p := tl.Input().Properties[name]
			required := slices.Contains(tl.Input().Required, name)
			if _, given := firstExample(tl)[name]; !given && !required {
				same(t, tl, name, nil, "")
			}
			switch {
			case p.Type == "boolean":
				same(t, tl, name, true, "True")
				same(t, tl, name, false, " FALSE")
			case p.Type == "integer":
				same(t, tl, name, 150, "150")
			case p.Type == "array":
				list := []any{"a", "b"}
				if p.Items.Type == "integer" {
					list = []any{1, 2}
				}
				if p.Items.Enum != nil {
					list = []any{fmt.Sprint(p.Items.Enum[0]), fmt.Sprint(p.Items.Enum[1])}
					same(t, tl, name, list, fmt.Sprintf("%v, %v", list...))
				}
				same(t, tl, name, list, written(list))
				same(t, tl, name, list[:1], list[0])
			case p.Type == "object":
				same(t, tl, name, map[string]any{"cores": 2}, `{"cores":"2"}`)
			case p.Enum != nil:
				same(t, tl, name, p.Enum[0], strings.ToUpper(fmt.Sprint(p.Enum[0])))
			}
			if isID(name) && !required {
				same(t, tl, name, nil, 0)
				same(t, tl, name, nil, "0")
			}
		}
	}
}

func isID(name string) bool { return name == "vmid" || name == "newid" }

func firstExample(tl tool.Tool) map[string]any {
	args := map[string]any{}
	_ = json.Unmarshal([]byte(tl.Examples[0].Arguments), &args)
	return args
}

// What is missing is asked for, and nothing is done with a value that is none.
func TestNoArguments(t *testing.T) {
	t.Parallel()
	effort.SkipShort(t)
	for _, tl := range toolset.All() {
		for _, none := range []string{"null", "{}", ""} {
			a, _ := asTold(t, tl, func(map[string]any) string { return none })
			if len(tl.Input().Required) > 0 && !strings.Contains(a.Text, "is missing; it takes") || strings.Contains(a.Text, "not a JSON object") {
				t.Errorf("%s %s: %s", tl.Name, none, a.Text)
			}
		}
		for _, name := range tl.Input().Required {
			a, _ := asTold(t, tl, with(name, ""))
			want := fmt.Sprintf(`The argument "%s" is empty; it takes `, name)
			if a.Fault != tool.BadArguments || !strings.Contains(strings.ReplaceAll(a.Text, `\"`, `"`), want) {
				t.Errorf("%s without %s: %s", tl.Name, name, a.Text)
			}
		}
	}
}

// An argument that is there twice is refused: readers do not agree on which one counts.
func TestRepeatedArguments(t *testing.T) {
	effort.SkipShort(t)
	for _, tl := range toolset.All() {
		for name := range tl.Input().Properties {
			a, _ := asTold(t, tl, func(args map[string]any) string {
				return strings.TrimSuffix(written(args), "}") + fmt.Sprintf(`%s"%s":"1","%[2]s":"2"}`, comma(args), name)
			})
			if a.Fault != tool.BadArguments || !strings.Contains(a.Text, name) || !strings.Contains(a.Text, "twice; give it once") {
				t.Errorf("%s: %s twice: %s", tl.Name, name, a.Text)
			}
		}
	}
}

func comma(args map[string]any) string {
	if len(args) == 0 {
		return ""
	}
	return ","
}

// What n8n adds to every call is no part of it, but where a tool takes it itself.
func TestArgumentsThatClientsAdd(t *testing.T) {
	effort.SkipShort(t)
	added := map[string]any{"toolCallId": "call_1", "sessionId": "0d9f", "action": "sendMessage", "chatInput": "which guests run?"}
	for _, tl := range toolset.All() {
		want, _ := asTold(t, tl, func(args map[string]any) string { return written(args) })
		got, log := asTold(t, tl, func(args map[string]any) string {
			all := maps.Clone(added)
			maps.Copy(all, args) // power has an action of its own
			return written(all)
		})
		if withoutRandom(got.Text) != withoutRandom(want.Text) {
			t.Errorf("%s: %s\nwant %s", tl.Name, got.Text, want.Text)
		}
		for name := range added {
			own := tl.Input().Properties[name] != nil
			if n := strings.Count(log, `msg="argument ignored" argument=`+name+` tool=`+tl.Name); (n == 0) != own || n > 1 {
				t.Errorf("%s: the log names %s %d times: %s", tl.Name, name, n, log)
			}
		}
		if strings.Contains(log, "which guests") {
			t.Errorf("%s: the log has what was said in the chat: %s", tl.Name, log)
		}
		if tl.Input().Properties["action"] == nil {
			a, _ := asTold(t, tl, with("action", "stop"))
			if a.Fault != tool.BadArguments || !strings.Contains(a.Text, "There is no argument") {
				t.Errorf("%s: an action that is meant: %s", tl.Name, a.Text)
			}
		}
	}
}

// A list of words is not guessed out of a line.
func TestLinesOfWords(t *testing.T) {
	exec, _ := toolset.Named("pve_vm_exec")
	for given, ways := range map[any][2]string{
		"df -h":            {`command: ["df","-h"]`, `shell: "df -h"`},
		`echo "a b" | cat`: {`command: ["df","-h"]`, `shell: "echo \"a b\" | cat"`},
	} {
		for _, value := range []any{given, []any{given}} {
			a, _ := asTold(t, exec, with("command", value))
			said, _ := a.Fields["message"].(string)
			if a.Fault != tool.BadArguments || !strings.Contains(said, ways[0]) || !strings.Contains(said, ways[1]) {
				t.Errorf("%v: %s", value, a.Text)
			}
		}
	}
	for _, value := range []any{"true", `["true","a b"]`, []any{`C:\Program Files\x.exe`}} {
		if a, _ := asTold(t, exec, with("command", value)); a.Fault == tool.BadArguments {
			t.Errorf("%v: %s", value, a.Text)
		}
	}
}

// Every argument of every tool says what it is.
func TestArgumentsAreDescribed(t *testing.T) {
	var undescribed func(path string, s *jsonschema.Schema) []string
	undescribed = func(path string, s *jsonschema.Schema) (out []string) {
		for name, p := range s.Properties {
			if len(strings.Fields(p.Description)) == 0 {
				out = append(out, path+name)
			}
			out = append(out, undescribed(path+name+".", p)...)
		}
		return out
	}
	for _, tl := range toolset.All() {
		if none := undescribed("", tl.Input()); none != nil {
			slices.Sort(none)
			t.Errorf("%s: no description of %s", tl.Name, strings.Join(none, ", "))
		}
	}
}
