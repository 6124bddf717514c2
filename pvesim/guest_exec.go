package pvesim

import (
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

// mostOutput is what the agent keeps of what a program prints.
const mostOutput = 16 << 20

func agentExec(c *call, g *guest) (any, error) {
	var argv []string
	list, _ := c.params["command"].([]any)
	for _, word := range list {
		argv = append(argv, perl.Text(word))
	}
	if len(argv) == 1 && c.node.version.major < 8 { // where one word was a list in a string
		argv = apischema.SplitList(argv[0])
	}
	input, err := fromLatin1(c.str("input-data"), "/usr/share/perl5/PVE/API2/Qemu/Agent.pm line 374")
	if err != nil {
		return nil, err
	}
	p, ok := c.program(g, argv, input)
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
			out[key+"-data"], out[key+"-truncated"] = latin1([]byte(data[:min(len(data), mostOutput)])), bit(len(data) > mostOutput)
		}
	}
	return out, nil
}

// program is what a command line does: what the model says, or what it does in the guest. A
// program of Windows does only what the model says.
func (c *call) program(g *guest, argv []string, input string) (Program, bool) {
	if len(argv) == 0 {
		return Program{}, false
	}
	if p, ok := g.Programs[strings.Join(argv, " ")]; ok || g.windows() {
		return p, ok
	}
	p, ok := c.insideOf(g).Exec(argv, input)
	return Program(p), ok
}
