package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pve-mcp/pve-mcp/internal/cli"
)

func TestMain(m *testing.M) {
	// Stories wait for programs more than they work: twice as many run at a time as there are
	// CPUs, where -parallel does not say otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"pve-mcp": func() { os.Exit(cli.Main()) }})
}

// The stories of the product: what a user types, and what comes of it.
func TestStories(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Files:               stories(t),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"jsonrpc":  jsonrpc,
			"simulate": simulate,
			"endsim":   endsim,
			"serve":    serveHTTP,
			"world":    inWorld,
			"terminal": onTerminal,
		},
		Setup: func(e *testscript.Env) error {
			e.Values[simulation{}] = &simulation{}
			e.Setenv("GORACE", os.Getenv("GORACE"))
			// No story finds the keyring of the user who runs it.
			e.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(e.WorkDir, "no-bus"))
			return nil
		},
	})
}

// isServed matches a story in which a program serves a client or several.
var isServed = regexp.MustCompile(`(?m)^(serve|simulate|terminal|jsonrpc) |&$`)

// stories are those of testdata/script; with -short, those in which a program serves.
func stories(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d stories: %v", len(files), err)
	}
	return slices.DeleteFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return testing.Short() && !isServed.Match(text)
	})
}

// jsonrpc checks that every line of the last command's stdout is a JSON-RPC message.
func jsonrpc(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jsonrpc stdout")
	}
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("no output")
	}
	for line := range strings.Lines(text) {
		var msg struct {
			Version string `json:"jsonrpc"`
		}
		if err := json.Unmarshal([]byte(line), &msg); err != nil || msg.Version != "2.0" {
			ts.Fatalf("not JSON-RPC: %s", line)
		}
	}
}

// simulation is the pve-mcp sim of a script, if it has one.
type simulation struct{ cmd *exec.Cmd }

// program is where the script finds pve-mcp.
func program(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "pve-mcp")); err == nil {
			return filepath.Join(dir, "pve-mcp")
		}
	}
	ts.Fatalf("pve-mcp is not in PATH")
	return ""
}

// simulate starts pve-mcp sim on a free port, and sets the variables that it prints.
func simulate(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: simulate [FLAG...]")
	}
	cmd := exec.Command(program(ts), append([]string{"sim", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), os.Stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Value(simulation{}).(*simulation).cmd = cmd
	ts.Defer(func() { _ = cmd.Process.Kill() })
	for sc := bufio.NewScanner(out); sc.Scan(); {
		ts.Logf("%s", sc.Text())
		if strings.HasPrefix(sc.Text(), "# ready: https://127.0.0.1:") {
			return
		}
		if name, value, ok := strings.Cut(strings.TrimPrefix(sc.Text(), "export "), "="); ok && !strings.HasPrefix(name, "#") {
			ts.Setenv(name, strings.Trim(value, "'"))
		}
	}
	ts.Fatalf("it is not ready: %v", cmd.Wait())
}

// endsim ends the script's pve-mcp sim, which has to end well.
func endsim(ts *testscript.TestScript, _ bool, _ []string) {
	cmd := ts.Value(simulation{}).(*simulation).cmd
	ts.Check(cmd.Process.Signal(os.Interrupt))
	ts.Check(cmd.Wait())
}

// serveHTTP starts pve-mcp http about the simulated cluster on a free port, and sets MCP_URL.
func serveHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: serve [FLAG...]")
	}
	url, stop, err := startHTTP(program(ts), ts.MkAbs("."), args...)
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("MCP_URL", url)
}

// startHTTP starts pve-mcp http about the simulated cluster on a free port.
func startHTTP(program, dir string, args ...string) (url string, stop func(), err error) {
	cmd := exec.Command(program, append([]string{"--demo", "http", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir = dir
	log, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	said := ""
	for sc := bufio.NewScanner(log); sc.Scan(); {
		said += sc.Text() + "\n"
		if _, at, ok := strings.Cut(sc.Text(), `msg="serving MCP" url=`); ok {
			url, _, _ := strings.Cut(at, " ")
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return url, stop, nil
		}
	}
	stop()
	return "", nil, errors.New("it does not serve:\n" + said)
}

// Every command on the page about the shell is run by its story, up to what it is piped to.
func TestShellPage(t *testing.T) {
	read := func(path string) string {
		data, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	story := read("testdata/script/shell.txtar")
	commands := 0
	for line := range strings.Lines(read("docs/cli.md")) {
		command, isCommand := strings.CutPrefix(line, "    pve-mcp ")
		if !isCommand {
			continue
		}
		commands++
		command, _, _ = strings.Cut(strings.TrimSpace(command), " | ")
		if !strings.Contains(story, "pve-mcp "+command) {
			t.Errorf("the story does not run pve-mcp %s", command)
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands on the page", commands)
	}
}
