package firewall_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// guarded is a cluster whose firewall admits the management by the set of that name, by rules
// with an alias, a set and a group, and by rules of a node.
func guarded() sim.Options {
	return sim.Options{Token: everyone, Model: sim.Cluster(
		cluster("options enable=1",
			"alias admins cidr=10.2.0.0/16",
			"ipset management", "address of management 10.1.0.0/24", "address of management 10.3.0.0/24",
			"ipset trusted", "address of trusted 10.8.0.0/16", "address of trusted admins",
			"ipset bad", "address of bad 203.0.113.0/24",
			"ipset blacklist",
			"ipset spare", "address of spare 198.51.100.0/24",
			"group ops", "rule of ops type=in action=ACCEPT proto=tcp dport=22", "rule of ops type=in action=ACCEPT macro=PMG source=10.7.0.0/16",
			"group empty",
			"rule type=in action=ACCEPT proto=tcp dport=8006 source=admins",
			"rule type=in action=ACCEPT proto=tcp dport=22,8006 source=+trusted",
			"rule type=group action=ops",
			"rule type=in action=DROP source=+bad",
			"rule type=in action=ACCEPT proto=tcp dport=8006 source=192.0.2.0/24",
			"rule type=in action=DROP proto=tcp dport=8006 source=10.0.0.0/8 enable=0"),
		file("nodes/pve1/host.fw", "rule type=in action=ACCEPT proto=tcp dport=8006", "rule type=in action=DROP proto=udp"),
	)}
}

// lockouts are changes that cut somebody off from a port of the management, and what is said.
var lockouts = []struct{ name, args, says string }{
	{"a rule that drops everything", `"change":"add_rule","action":"drop"`, "8006"},
	{"one that drops the API", `"change":"add_rule","action":"drop","port":"8006"`, "port 8006"},
	{"one by a range that has it", `"change":"add_rule","action":"reject","port":"8000-8100"`, "port 8006"},
	{"one by a list", `"change":"add_rule","action":"drop","port":"80,443,8006"`, "port 8006"},
	{"one by a macro", `"change":"add_rule","action":"drop","macro":"SSH"`, "port 22"},
	{"one by PVE's macro of the port", `"change":"add_rule","action":"drop","macro":"PMG"`, "port 8006"},
	{"one for a network", `"change":"add_rule","action":"drop","source":"10.1.0.0/24"`, "from 10.1.0.0/24: no"},
	{"one for a set", `"change":"add_rule","action":"drop","source":"+trusted"`, "+trusted"},
	{"one for an alias", `"change":"add_rule","action":"drop","source":"admins","port":"8006"`, "admins"},
	{"one for the management", `"change":"add_rule","action":"drop","source":"+management"`, "+management"},
	{"one by the number of TCP", `"change":"add_rule","action":"drop","protocol":"6"`, "8006"},
	{"one on a bridge", `"change":"add_rule","action":"drop","iface":"vmbr0"`, "on vmbr0"},
	{"one in the middle", `"change":"add_rule","action":"drop","port":"8006","position":2`, "port 8006"},
	{"one at the end", `"change":"add_rule","action":"drop","port":"3128","position":6`, "port 3128"},
	{"one of a node", `"change":"add_rule","node":"pve2","action":"drop","port":"8006"`, "of node pve2"},
	{"one before that which admits", `"change":"add_rule","node":"pve1","action":"drop","port":"8006"`, "on pve1"},
	{"a move before what admits", `"change":"move_rule","position":3,"to":0`, "+bad (203.0.113.0/24)"},
	{"a rule that was off", `"change":"change_rule","position":5,"enable":true`, "10.0.0.0/8"},
	{"an accepting rule off", `"change":"change_rule","position":4,"enable":false`, "192.0.2.0/24"},
	{"an accepting rule for fewer", `"change":"change_rule","position":1,"source":"10.8.3.0/24"`, "10.8.3.0/24"},
	{"an accepting rule for another port", `"change":"change_rule","position":4,"port":"8007"`, "192.0.2.0/24"},
	{"a dropping rule for more", `"change":"change_rule","position":3,"unset":["source"]`, "8006"},
	{"accept becomes drop", `"change":"change_rule","position":1,"action":"drop"`, "+trusted"},
	{"a rule deleted", `"change":"delete_rule","position":4`, "192.0.2.0/24"},
	{"the rule with the group deleted", `"change":"delete_rule","position":2`, "port 22"},
	{"a rule of the group deleted", `"change":"delete_rule","group":"ops","position":0`, "port 22"},
	{"a rule of the group narrowed", `"change":"change_rule","group":"ops","position":0,"source":"10.7.0.0/16"`, "port 22"},
	{"a dropping rule in the group", `"change":"add_rule","group":"ops","action":"drop","port":"22"`, "port 22"},
	{"an address out of the management", `"change":"remove_addresses","name":"management","addresses":["10.1.0.0/24"]`, "10.1.0.0/24"},
	{"the management deleted", `"change":"delete_set","name":"management"`, "10.1.0.0/24"},
	{"an exception in the management", `"change":"add_addresses","name":"management","addresses":["!10.1.0.7"]`, "not 10.1.0.7"},
	{"an address in the blacklist", `"change":"add_addresses","name":"blacklist","addresses":["10.1.0.0/24"]`, "10.1.0.0/24"},
	{"an address in a set that is dropped", `"change":"add_addresses","name":"bad","addresses":["192.0.2.0/24"]`, "192.0.2.0/24"},
	{"a trusted set deleted", `"change":"delete_set","name":"trusted"`, "+trusted"},
	{"an alias for fewer", `"change":"set_alias","name":"admins","addresses":["10.2.0.0/24"]`, "10.2.0.0/24"},
	{"an alias deleted", `"change":"delete_alias","name":"admins"`, "10.2.0.0/16"},
	{"the local network named", `"change":"set_alias","name":"local_network","addresses":["10.99.0.0/24"]`, "10.99.0.0/24"},
	{"the local network named in capitals", `"change":"set_alias","name":"LOCAL_NETWORK","addresses":["10.99.0.0/24"]`, "10.99.0.0/24"},
	{"the policy", `"change":"set_options","options":{"policy_in":"REJECT","policy_out":"DROP"}`, "policy_out"},
}

// Each of 30 and more planted lock-outs is found: nothing is sent before a human has agreed, and
// what it cuts off is named.
func TestLockouts(t *testing.T) {
	if len(lockouts) < 30 {
		t.Errorf("%d lock-outs are planted", len(lockouts))
	}
	for _, tt := range lockouts {
		t.Run(tt.name, func(t *testing.T) {
			w := sim.New(t, guarded())
			a := w.Call("pve_set_firewall", "{"+tt.args+"}")
			if a.Outcome != tool.NeedsConfirmation || !strings.Contains(a.Text, tt.says) || len(sim.Writes(w.Sent())) > 0 {
				t.Errorf("%s %s", a.Outcome, a.Text)
			}
			if !strings.Contains(a.Text, "can lock people out; nothing was done yet") || !strings.Contains(a.Text, "this server may be among those locked out") {
				t.Errorf("does not say that this server may be locked out: %s", a.Text)
			}
		})
	}
}

// widening are changes that let through all that passed before.
var widening = []struct{ name, args string }{
	{"a rule that accepts a port", `"change":"add_rule","action":"accept","port":"8006","source":"10.9.0.0/16"`},
	{"one by a macro", `"change":"add_rule","action":"allow","macro":"ssh","source":"+spare"`},
	{"one in the middle", `"change":"add_rule","action":"accept","protocol":"udp","port":"161","position":3`},
	{"one at the end, off", `"change":"add_rule","action":"accept","port":"443","position":6,"enable":false`},
	{"one of a node", `"change":"add_rule","node":"pve2","action":"accept","port":"9100","source":"10.1.0.5"`},
	{"one in a group", `"change":"add_rule","group":"ops","action":"accept","port":"443"`},
	{"a comment", `"change":"change_rule","position":4,"comment":"office"`},
	{"a rule for a larger network", `"change":"change_rule","position":4,"source":"192.0.0.0/16"`},
	{"a rule for more ports", `"change":"change_rule","position":4,"port":"22,8006"`},
	{"a rule for everybody", `"change":"change_rule","position":4,"unset":["source"]`},
	{"a dropping rule off", `"change":"change_rule","position":3,"enable":false`},
	{"drop becomes accept", `"change":"change_rule","position":3,"action":"accept"`},
	{"an accepting rule earlier", `"change":"move_rule","position":4,"to":0`},
	{"a dropping rule later", `"change":"move_rule","position":3,"to":4`},
	{"an address in the management", `"change":"add_addresses","name":"management","addresses":["10.4.0.0/24"]`},
	{"an address in a trusted set", `"change":"add_addresses","name":"trusted","addresses":["10.9.9.9"]`},
	{"an alias for more", `"change":"set_alias","name":"admins","addresses":["10.0.0.0/8"]`},
	{"a rule off whose packets another one accepts", `"change":"change_rule","position":0,"enable":false`},
	{"a move past what never meets it", `"change":"move_rule","node":"pve1","position":1,"to":0`},
	{"a new alias", `"change":"set_alias","name":"office","addresses":["192.0.2.0/24"]`},
	{"a new set", `"change":"add_set","name":"office","addresses":["192.0.2.0/24","admins"]`},
	{"a new group", `"change":"add_group","group":"web"`},
}

// What is proven to widen access needs no consent.
func TestWidening(t *testing.T) {
	for _, tt := range widening {
		t.Run(tt.name, func(t *testing.T) {
			w := sim.New(t, guarded())
			a := w.Call("pve_set_firewall", "{"+tt.args+"}")
			if a.Outcome != tool.OK || !strings.Contains(a.Text, `"undo":{"tool":"pve_set_firewall"`) {
				t.Errorf("%s %s", a.Outcome, a.Text)
			}
		})
	}
}
