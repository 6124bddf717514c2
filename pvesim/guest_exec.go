package pvesim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// process is a program that a guest's agent started.
type process struct {
	Program
	ends time.Time
}

func agentExec(c *call, g *guest) (any, error) {
	var argv []string
	list, _ := c.params["command"].([]any)
	for _, word := range list {
		argv = append(argv, perl.Text(word))
	}
	if len(argv) == 1 && c.node.version.major < 8 { // where one word was a list in a string
		argv = apischema.SplitList(argv[0])
	}
	p, ok := g.program(argv, c.str("input-data"))
	if !ok {
		return nil, agentError("Failed to execute child process “%s” (No such file or directory)", argv[0])
	}
	g.lastPID = max(g.lastPID+2, 120)
	g.run[g.lastPID] = &process{p, c.now.Add(p.Takes)}
	return map[string]any{"pid": g.lastPID}, nil
}

// agentExecStatus tells of a process. When it has told of its end, it forgets it.
func agentExecStatus(c *call, g *guest) (any, error) {
	pid := c.number("pid", 0)
	p := g.run[pid]
	if p == nil {
		return nil, agentError("Invalid parameter 'pid'")
	}
	if p.ends.After(c.now) {
		return map[string]any{"exited": 0}, nil
	}
	delete(g.run, pid)
	out := map[string]any{"exited": 1}
	if p.Signal != 0 {
		out["signal"] = p.Signal
	} else {
		out["exitcode"] = p.Exit
	}
	for key, data := range map[string]string{"out": p.Out, "err": p.Err} {
		if data != "" {
			out[key+"-data"], out[key+"-truncated"] = data, 0
		}
	}
	return out, nil
}

// program is what a command line does: what the model says, or what the tool of
// that name would.
func (g *guest) program(argv []string, input string) (Program, bool) {
	if len(argv) == 0 {
		return Program{}, false
	}
	if p, ok := g.Programs[strings.Join(argv, " ")]; ok {
		return p, true
	}
	name := argv[0][strings.LastIndex(argv[0], "/")+1:]
	args := argv[1:]
	switch name {
	case "sh", "bash":
		if len(args) < 2 || args[0] != "-c" {
			return Program{}, true
		}
		return g.script(args[1], input), true
	case "echo":
		return Program{Out: strings.Join(args, " ") + "\n"}, true
	case "cat":
		return g.cat(args, input), true
	case "sleep":
		seconds, _ := strconv.ParseFloat(strings.Join(args, ""), 64)
		return Program{Takes: time.Duration(seconds * float64(time.Second))}, true
	case "true", "sync":
		return Program{}, true
	case "false":
		return Program{Exit: 1}, true
	case "hostname":
		return Program{Out: g.name() + "\n"}, true
	case "whoami":
		return Program{Out: "root\n"}, true
	case "id":
		return Program{Out: "uid=0(root) gid=0(root) groups=0(root)\n"}, true
	case "uname":
		if len(args) > 0 && args[0] == "-a" {
			return Program{Out: "Linux " + g.name() + " 6.1.0-37-amd64 #1 SMP x86_64 GNU/Linux\n"}, true
		}
		return Program{Out: "Linux\n"}, true
	}
	return Program{}, false
}

func (g *guest) cat(files []string, input string) Program {
	if len(files) == 0 {
		return Program{Out: input}
	}
	var p Program
	for _, file := range files {
		if content, ok := g.Files[file]; ok {
			p.Out += content
			continue
		}
		p.Err, p.Exit = p.Err+fmt.Sprintf("cat: %s: No such file or directory\n", file), 1
	}
	return p
}

// script runs the commands of a small shell script, one after the other: no
// variables, no pipes, but output to the error channel and exit.
func (g *guest) script(source, input string) Program {
	var all Program
	lines := strings.FieldsFunc(source, func(r rune) bool { return r == ';' || r == '\n' })
	for _, line := range lines {
		line, toErr := strings.CutSuffix(strings.TrimSpace(line), ">&2")
		words := strings.Fields(strings.NewReplacer(`"`, "", `'`, "").Replace(line))
		if len(words) == 0 {
			continue
		}
		if words[0] == "exit" {
			all.Exit, _ = strconv.Atoi(strings.Join(words[1:], ""))
			return all
		}
		p, ok := g.program(words, input)
		if !ok {
			p = Program{Err: fmt.Sprintf("sh: 1: %s: not found\n", words[0]), Exit: 127}
		}
		if toErr {
			p.Err, p.Out = p.Out+p.Err, ""
		}
		all = Program{Out: all.Out + p.Out, Err: all.Err + p.Err, Exit: p.Exit, Takes: all.Takes + p.Takes}
	}
	return all
}
