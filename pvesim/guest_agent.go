package pvesim

import (
	"cmp"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// agentPing is what PVE waits for an agent's answer to a ping, which it sends
// before every command.
const agentPing = 3 * time.Second

// withAgent is a handler that asks a VM's guest agent, and fails if the agent refuses.
func withAgent(do func(c *call, g *guest) (any, error)) handler {
	return askingAgent(do, func(reason string) (any, error) { return nil, agentError("%s", reason) })
}

// agentAnswer is an agent's command whose result PVE hands on, a refusal among them.
func agentAnswer(ask func(c *call, g *guest) any) handler {
	result := func(v any) (any, error) { return map[string]any{"result": v}, nil }
	return askingAgent(func(c *call, g *guest) (any, error) { return result(ask(c, g)) }, func(reason string) (any, error) {
		return result(map[string]any{"error": map[string]any{"class": "CommandNotFound", "desc": reason}})
	})
}

// askingAgent is a handler that asks a VM's guest agent. What the agent is configured to
// refuse, refused answers.
func askingAgent(do func(c *call, g *guest) (any, error), refused func(reason string) (any, error)) handler {
	return onGuest(func(c *call, g *guest) (any, error) {
		switch {
		case g.Config["agent"] == "":
			return nil, die("No QEMU guest agent configured")
		case !g.now.running:
			return nil, die("VM %d is not running", g.VMID)
		case !g.agentOn(): // QEMU has no channel to it
			return nil, die("QEMU guest agent is not running")
		case !c.agentAnswers(g) || c.fault.AgentTakes > agentPing:
			return nil, c.after(agentPing, die("QEMU guest agent is not running"))
		}
		if err := c.after(c.fault.AgentTakes, nil); err != nil {
			return nil, err
		}
		command := path.Base(c.ep.Path)
		if command == "agent" {
			command = c.str("command")
		}
		switch {
		case g.AgentHangs && command != "ping":
			return nil, c.after(agentPatience, die("VM %d qga command 'guest-%s' failed - got timeout", g.VMID, command))
		case slices.Contains(g.AgentBlocks, command):
			return refused("Command guest-" + command + " has been disabled")
		}
		return do(c, g)
	})
}

// agentPatience is how long PVE waits for the agent's answer to a command.
const agentPatience = 5 * time.Second

func agentError(format string, args ...any) error { return die("Agent error: "+format, args...) }

func agentInterfaces(c *call, g *guest) any {
	names, macs, ips := c.interfaces(g)
	out := []any{}
	for i, name := range names {
		addresses := []any{}
		for _, cidr := range ips[i] {
			ip, prefix, _ := strings.Cut(cidr, "/")
			family := "ipv4"
			if strings.Contains(ip, ":") {
				family = "ipv6"
			}
			n, _ := strconv.Atoi(prefix)
			addresses = append(addresses, map[string]any{"ip-address": ip, "ip-address-type": family, "prefix": n})
		}
		statistics := map[string]any{}
		for _, k := range []string{"rx-bytes", "rx-packets", "rx-errs", "rx-dropped", "tx-bytes", "tx-packets", "tx-errs", "tx-dropped"} {
			statistics[k] = 0
		}
		out = append(out, map[string]any{"name": name, "hardware-address": macs[i], "ip-addresses": addresses, "statistics": statistics})
	}
	return out
}

func agentSystem(_ *call, g *guest) any {
	id, name := "debian", "Debian GNU/Linux"
	if g.windows() {
		id, name = "mswindows", "Microsoft Windows"
	}
	return map[string]any{
		"id": id, "name": name, "pretty-name": name + " 12", "version-id": "12", "machine": "x86_64",
		"kernel-release": "6.1.0-37-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)",
	}
}

// agentFileSystems are those on the VM's disks; a system on a CD has none.
func agentFileSystems(c *call, g *guest) any {
	out := []any{}
	for i, f := range g.FileSystems {
		out = append(out, map[string]any{
			"name": "sda" + strconv.Itoa(i+1), "mountpoint": f.Mount, "type": cmp.Or(f.Type, "ext4"), "total-bytes": f.Total, "used-bytes": f.Used,
			"disk": []any{map[string]any{"dev": "/dev/sda" + strconv.Itoa(i+1), "bus-type": "scsi", "bus": 0, "target": 0, "unit": 0}},
		})
	}
	if g.FileSystems != nil {
		return out
	}
	for i, key := range diskKeys(g.Kind, g.Config) {
		v := c.volumeOf(propstring.Volume(g.Config[key]), g.Node)
		if v == nil || v.Blank {
			continue
		}
		mount := "/"
		if i > 0 {
			mount = "/mnt/" + key
		}
		out = append(out, map[string]any{
			"name": "sd" + string(rune('a'+i)) + "1", "mountpoint": mount, "type": "ext4", "total-bytes": v.Size, "used-bytes": v.Used,
			"disk": []any{map[string]any{"dev": "/dev/sd" + string(rune('a'+i)), "bus-type": "scsi", "bus": 0, "target": 0, "unit": i}},
		})
	}
	if bootsFromCD(g) {
		return []any{}
	}
	return out
}

// bootsFromCD reports whether the first device that the VM boots from is a drive.
func bootsFromCD(g *guest) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(g.Config["boot"], "order="), ";")
	return propstring.IsCDROM(g.Config[first])
}

func agentCPUs(c *call, g *guest) any {
	out := []any{}
	for n := range c.cpus(g) {
		out = append(out, map[string]any{"logical-id": n, "online": true, "can-offline": n > 0})
	}
	return out
}

// memoryBlock is the size of what a Linux guest can plug of its memory.
const memoryBlock = 128 << 20

func agentMemory(_ *call, g *guest) any {
	out := []any{}
	for n := range g.maxMem() / memoryBlock {
		out = append(out, map[string]any{"phys-index": n, "online": true, "can-offline": n > 0})
	}
	return out
}

func agentInfo(*call, *guest) any {
	commands := []any{}
	for name := range strings.FieldsSeq("ping info get-time set-time exec exec-status file-open file-close file-read file-write file-flush " +
		"file-seek fsfreeze-status fsfreeze-freeze fsfreeze-freeze-list fsfreeze-thaw fstrim get-fsinfo get-host-name get-memory-block-info " +
		"get-memory-blocks get-osinfo get-timezone get-users get-vcpus network-get-interfaces set-memory-blocks set-user-password set-vcpus " +
		"shutdown suspend-disk suspend-hybrid suspend-ram sync sync-delimited") {
		quiet := name == "shutdown" || strings.HasPrefix(name, "suspend-")
		commands = append(commands, map[string]any{"name": "guest-" + name, "enabled": true, "success-response": !quiet})
	}
	return map[string]any{"version": "7.2.0", "supported_commands": commands}
}

func agentSetPassword(c *call, _ *guest) (any, error) {
	if !slices.Contains([]string{"root", "admin"}, c.str("username")) {
		return nil, agentError("child process has failed to set user password")
	}
	return map[string]any{"result": map[string]any{}}, nil
}

func agentShutdown(c *call, g *guest) (any, error) {
	if takes, ok := c.shutdownTime(g); ok {
		c.schedule(c.now.Add(takes), c.turnOff(g))
	}
	return map[string]any{"result": map[string]any{}}, nil
}

func agentSuspend(c *call, g *guest) (any, error) {
	st := g.now
	st.qmp = "suspended"
	c.setRunState(g, st)
	return map[string]any{"result": map[string]any{}}, nil
}

// sendKey types into a VM's console. The names of keys are QEMU's.
func sendKey(c *call, g *guest) (any, error) {
	if err := c.onlyRoot("skiplock"); err != nil {
		return nil, err
	}
	if !g.now.running {
		return nil, die("VM %d not running", g.VMID)
	}
	for name := range strings.SplitSeq(c.str("key"), "-") {
		code, isCode := strings.CutPrefix(name, "0x")
		if isCode && strings.Trim(code, "0123456789abcdefABCDEF") == "" || len(name) == 1 && name[0] >= '0' && name[0] <= 'z' {
			continue
		}
		if !slices.Contains(strings.Fields(keyNames), name) {
			return nil, die("invalid parameter: %s\r", name)
		}
	}
	c.chord(g, strings.Split(c.str("key"), "-"), c.now)
	return nil, nil
}

// keyNames are QEMU's names of keys that are longer than a character.
const keyNames = "shift shift_r alt alt_r ctrl ctrl_r meta_l meta_r menu esc minus equal backspace tab bracket_left bracket_right ret " +
	"semicolon apostrophe grave_accent backslash comma dot slash asterisk spc caps_lock " +
	"f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 num_lock scroll_lock kp_divide kp_multiply kp_subtract kp_add kp_enter kp_decimal sysrq " +
	"kp_0 kp_1 kp_2 kp_3 kp_4 kp_5 kp_6 kp_7 kp_8 kp_9 less print home pgup pgdn end left up down right insert delete pause power sleep wake"

// agentCommand is an old way to those commands of the agent that take nothing.
func agentCommand(c *call) (any, error) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if r, ok := agentRoutes()[method+" /nodes/{node}/qemu/{vmid}/agent/"+c.str("command")]; ok {
			return r.serve(c)
		}
	}
	return nil, &refusal{status: 501, message: "The command '" + c.str("command") + "' of the agent is not implemented by pvesim"}
}
