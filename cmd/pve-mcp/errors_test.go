package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
)

var update = flag.Bool("update", false, "rewrite what the stories of failures say")

// failures are what goes wrong most often, with the stories that show what is said then.
// docs/troubleshooting.md is made from them.
var failures = map[string][]string{
	"wrong token":                        {"access-token", "access-token-old"},
	"missing privilege, of a guest":      {"access-guest"},
	"missing privilege, of a storage":    {"access-storage"},
	"missing privilege, of a bridge":     {"access-bridge"},
	"missing privilege, of a node":       {"access-node"},
	"privilege separation":               {"access-separation"},
	"only root@pam may":                  {"access-root"},
	"self-signed certificate":            {"connection-self-signed"},
	"wrong port":                         {"connection-port", "connection-no-tls"},
	"node down":                          {"cluster-node-down"},
	"no quorum":                          {"cluster-quorum"},
	"PVE past its end of life":           {"cluster-end-of-life"},
	"guest moved":                        {"guest-moved"},
	"locked, and the task that holds it": {"guest-locked", "guest-lock-left"},
	"protected":                          {"guest-protected"},
	"template":                           {"guest-template"},
	"managed by HA":                      {"guest-ha"},
	"unknown vmid":                       {"guest-unknown"},
	"id taken":                           {"guest-id-taken"},
	"stale digest":                       {"guest-digest"},
	"parameter refused":                  {"guest-parameter"},
	"no agent":                           {"agent-none"},
	"agent not running":                  {"agent-silent"},
	"exec disabled in the agent":         {"agent-disabled"},
	"storage without snapshots":          {"storage-snapshots"},
	"storage full":                       {"storage-full"},
	"backup of a guest elsewhere":        {"task-backup-elsewhere"},
	"task timeout":                       {"task-timeout", "task-running"},
	"unknown outcome":                    {"task-unknown"},
}

const failuresDir = "../../testdata/failures"

// Each failure has its stories, and each story is of a failure.
func TestEachFailureHasItsStory(t *testing.T) {
	want := slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(failures))...)))
	files, err := filepath.Glob(failuresDir + "/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, f := range files {
		got = append(got, strings.TrimSuffix(filepath.Base(f), ".txtar"))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stories (-listed +there):\n%s", diff)
	}
}

// What people and models read when something goes wrong.
func TestFailures(t *testing.T) {
	effort.SkipShort(t)
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: failuresDir, RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"world": inWorld, "story": story},
	})
}

// story calls a tool as a person does, and as a model does, and leaves what they read in
// person.got and model.got: story TOOL ARGUMENTS. {task} is replaced by the content of
// the file task.
func story(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: story TOOL ARGUMENTS")
	}
	if _, err := os.Stat(ts.MkAbs("task")); err == nil {
		args[1] = strings.Replace(args[1], "{task}", strings.TrimSpace(ts.ReadFile("task")), 1)
	}
	ts.Check(os.WriteFile(ts.MkAbs("model.got"), []byte(settled(asModel(ts, args[0], args[1]))), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("person.got"), []byte(settled(asPerson(ts, args[0], args[1]))), 0o600))
}

// asPerson returns what the command line says.
func asPerson(ts *testscript.TestScript, tool, arguments string) string {
	fields := map[string]any{}
	ts.Check(json.Unmarshal([]byte(arguments), &fields))
	args := []string{"call", tool}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		values, several := fields[name].([]any)
		if object, ok := fields[name].(map[string]any); ok {
			several = true
			for _, key := range slices.Sorted(maps.Keys(object)) {
				values = append(values, fmt.Sprintf("%s=%v", key, object[key]))
			}
		}
		if !several {
			values = []any{fields[name]}
		}
		for _, v := range values {
			args = append(args, fmt.Sprintf("--%s=%v", name, v))
		}
	}
	out, err := runProgram(ts, "", args...)
	if err == nil {
		return out + "(status 0)\n"
	}
	return fmt.Sprintf("%s(%v)\n", out, err)
}

// asModel returns the text of a tool's result.
func asModel(ts *testscript.TestScript, tool, arguments string) string {
	request := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientCapabilities":{}},"name":%q,"arguments":%s}}`+"\n", tool, arguments)
	out, err := runProgram(ts, request)
	ts.Check(err)
	var answer struct {
		Result struct {
			Content []struct{ Text string }
			IsError bool
		}
	}
	for line := range strings.Lines(out) {
		if json.Unmarshal([]byte(line), &answer) == nil && len(answer.Result.Content) == 1 {
			return fmt.Sprintf("%s\n(isError %v)\n", answer.Result.Content[0].Text, answer.Result.IsError)
		}
	}
	ts.Fatalf("no result: %s", out)
	return ""
}

// runProgram runs the program in the script's environment, and returns its output without
// the log of a server.
func runProgram(ts *testscript.TestScript, stdin string, args ...string) (string, error) {
	cmd := exec.Command(program(ts), args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = strings.NewReader(stdin), &out
	if stdin == "" {
		cmd.Stderr = &out
	}
	err := cmd.Run()
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(out.String(), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "time=") || strings.HasPrefix(line, "…")
	}), ""), err
}

func environment(ts *testscript.TestScript) []string {
	var out []string
	for _, name := range []string{"GORACE", "PATH", "HOME", "PVE_HOST", "PVE_FINGERPRINT", "PVE_TOKEN_ID", "PVE_TOKEN_SECRET", "PVE_MCP_ENABLE_EXEC", "PVE_MCP_TOOLSETS"} {
		out = append(out, name+"="+ts.Getenv(name))
	}
	return out
}

// unsettled are expressions for text that differs from run to run, and their
// replacements.
var unsettled = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d{4,5}`), "127.0.0.1:8006"},
	{regexp.MustCompile(`([0-9A-F]{2}:){31}[0-9A-F]{2}`), "AB:CD:…"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)`), "2026-08-01T12:00:00Z"},
	{regexp.MustCompile(`(UPID:\w+):\w+:\w+:\w+:`), "$1:0000ABCD:00ABCDEF:6A6DB0C0:"},
	{regexp.MustCompile(`[0-9a-f]{40}`), "0123456789abcdef0123456789abcdef01234567"},
	{regexp.MustCompile(` So far: [^"]*`), ""},
	{regexp.MustCompile(`after \d+(\.\d+)?s`), "after 1s"},
}

func settled(text string) string {
	for _, u := range unsettled {
		text = u.re.ReplaceAllString(text, u.with)
	}
	return text
}
