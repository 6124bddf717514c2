package firewall_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	everyone = "root@pam!full"
	nobody   = "none@pve!mcp" // has what it is granted
)

// file plants a firewall, a section in a line: its type, its name, and its options, such as
// "rule type=in action=DROP", "rule of web type=in", "address of office 10.0.0.0/8".
func file(name string, lines ...string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		if m.Files == nil {
			m.Files = map[string][]pvesim.Section{}
		}
		for _, line := range lines {
			s := pvesim.Section{Options: map[string]string{}}
			for _, word := range strings.Fields(line) {
				key, value, is := strings.Cut(word, "=")
				switch {
				case is:
					s.Options[key] = value
				case s.Type == "":
					s.Type = key
				case key == "of", strings.HasSuffix(s.Type, " of"):
					s.Type += " " + key
				default:
					s.ID = key
				}
			}
			if strings.HasPrefix(s.Type, "rule") && s.Options["enable"] == "" {
				s.Options["enable"] = "1"
			}
			m.Files[name] = append(m.Files[name], s)
		}
	}
}

func cluster(lines ...string) func(*pvesim.Model) { return file("firewall/cluster.fw", lines...) }

func guest100(lines ...string) func(*pvesim.Model) { return file("firewall/100.fw", lines...) }

const (
	filtered = "net0=virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1"
	open     = "net1=virtio=BC:24:11:00:00:65,bridge=vmbr0"
)

// The first line says whether a firewall works, and if not, why.
func TestShow(t *testing.T) {
	on := cluster("options enable=1", "ipset blacklist", "address of blacklist 203.0.113.0/24", "group web", "rule of web type=in action=ACCEPT macro=HTTPS")
	own := guest100("options enable=1", "rule type=in action=DROP source=10.66.0.0/16", "rule type=group action=web", "rule type=in action=ACCEPT source=nobody", "rule type=out action=DROP proto=tcp dport=25 enable=0")
	for _, tt := range []struct {
		name    string
		changes []func(*pvesim.Model)
		token   string
		args    string
		says    []string
	}{
		{"all switches are on", []func(*pvesim.Model){on, own, sim.Set(100, filtered)}, everyone, `{"vmid":"web-1"}`, []string{
			`{"message":"The firewall of VM 100 (web-1) works: incoming: 2 rules, then DROP; outgoing: 0 rules, then ACCEPT.","works":true`,
			`"in":["PVE: DROP from +blacklist (203.0.113.0/24)","PVE: ACCEPT DHCP","0: in DROP from 10.66.0.0/16","1: group web 0: in ACCEPT HTTPS","2: in ACCEPT from nobody (no effect: there is no nobody)","policy: DROP"]`,
			`"out":["3: out DROP tcp 25 (off)","policy: ACCEPT"]`, `"filters":["macfilter`, `"digest":"`,
		}},
		{"the NIC's is off", []func(*pvesim.Model){on, own}, everyone, `{"vmid":100}`, []string{`"message":"The firewall of VM 100 (web-1) does not work: its NIC net0 has firewall=0.","works":false`}},
		{"one of two NICs", []func(*pvesim.Model){on, own, sim.Set(100, filtered, open)}, everyone, `{"vmid":100}`, []string{"works for some of its network cards only: its NIC net1 has firewall=0."}},
		{"its own is off", []func(*pvesim.Model){on, sim.Set(100, filtered)}, everyone, `{"vmid":100}`, []string{"does not work: its own option enable is off."}},
		{"the cluster's is off", []func(*pvesim.Model){own, sim.Set(100, filtered)}, everyone, `{"vmid":100}`, []string{"does not work: the cluster's firewall is off"}},
		{"the cluster's is not seen", []func(*pvesim.Model){on, own, sim.Set(100, filtered), sim.Grant("/vms/100", "PVEVMUser")}, nobody, `{"vmid":100}`, []string{
			"Whether the firewall of VM 100 (web-1) works cannot be seen: the cluster's switch needs Sys.Audit on /.", `"blind":[{"check":"the cluster's firewall","missing":"Sys.Audit on /"}]`,
		}},
		{"a rule of two ports", []func(*pvesim.Model){on, guest100("options enable=1", "rule type=in action=ACCEPT macro=DNS"), sim.Set(100, filtered)}, everyone, `{"vmid":100}`, []string{"works: incoming: 1 rules, then DROP;"}},
		{"a container", []func(*pvesim.Model){on}, everyone, `{"vmid":200}`, []string{"does not work: its own option enable is off"}},
		{"the cluster", []func(*pvesim.Model){on}, everyone, `{}`, []string{"The firewall of the cluster works", "from the node's local network: yes (PVE's own for management), everybody else: no (policy DROP)"}},
		{"the cluster without a firewall", nil, everyone, `{}`, []string{"The firewall of the cluster does not work: the cluster's firewall is off"}},
		{"a node", []func(*pvesim.Model){on, file("nodes/pve1/host.fw", "rule type=in action=DROP proto=tcp dport=8006")}, everyone, `{"node":"pve1"}`, []string{
			`"in":["PVE: DROP from +blacklist (203.0.113.0/24)","pve1 0: in DROP tcp 8006"`, "port 8006 (web interface and API): from +blacklist (203.0.113.0/24): no (the set blacklist), everybody else: no (rule 0 of pve1)",
		}},
		{"a node with its own off", []func(*pvesim.Model){on, file("nodes/pve1/host.fw", "options enable=0")}, everyone, `{"node":"pve1"}`, []string{"The firewall of node pve1 does not work: the node's own option enable is off."}},
		{"few lines", []func(*pvesim.Model){on, own}, everyone, `{"vmid":100,"limit":2}`, []string{`"in":["PVE: DROP from +blacklist (203.0.113.0/24)","policy: DROP"]`, `"left_out":["4 lines of in, before its policy"]`}},
	} {
		for _, version := range []string{"8.4.1", "9.1.1"} {
			t.Run(tt.name+" on "+version, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: tt.token, Model: sim.Cluster(append(tt.changes, sim.Version(version))...)})
				a := w.Call("pve_firewall", tt.args)
				for _, s := range tt.says {
					if !strings.Contains(a.Text, s) {
						t.Errorf("%s\nlacks %s", a.Text, s)
					}
				}
			})
		}
	}
}

// What cannot be is refused in a sentence that says what can, and nothing is sent.
func TestRefusals(t *testing.T) {
	start := sim.Cluster(cluster("options enable=1", "ipset trusted", "alias lan cidr=10.0.0.0/8", "group web", "rule of web type=in action=ACCEPT macro=HTTPS"), guest100("rule type=in action=ACCEPT proto=tcp dport=22"))
	for _, tt := range []struct{ name, args, says string }{
		{"a macro", `"vmid":100,"change":"add_rule","action":"accept","macro":"shh"`, `\"macro\" is \"shh\", which PVE does not have`},
		{"a network", `"vmid":100,"change":"add_rule","action":"accept","source":"10.0.0.5/8"`, "10.0.0.0/8 is the network, and 10.0.0.5 the address alone"},
		{"no address", `"vmid":100,"change":"add_rule","action":"accept","source":"10.0.0.0/33"`, `\"10.0.0.0/33\" is no address or network`},
		{"a group", `"vmid":100,"change":"add_rule","action":"group:db"`, `There is no security group \"db\"; there are web.`},
		{"an alias", `"vmid":100,"change":"add_rule","action":"accept","source":"wan"`, `no alias that is there; there are lan; set_alias makes one`},
		{"an alias of the cluster", `"change":"add_rule","action":"accept","source":"wan"`, `no alias that is there; there are lan; set_alias makes one`},
		{"a set of the cluster", `"change":"add_rule","action":"accept","source":"+wan"`, `which is not there; there are trusted; add_set makes one`},
		{"a range in a set", `"change":"add_addresses","name":"trusted","addresses":["10.0.0.1-10.0.0.9"]`, `\"addresses\" has \"10.0.0.1-10.0.0.9\"; each is one address, network or alias, such as 10.0.0.0/24`},
		{"a list in a new set", `"change":"add_set","name":"office","addresses":["10.0.0.1,10.0.0.2"]`, `\"addresses\" has \"10.0.0.1,10.0.0.2\"; each is one address`},
		{"a set that differs by case", `"change":"add_set","name":"Trusted"`, `There is a set \"trusted\" already`},
		{"a set", `"vmid":100,"change":"add_rule","action":"accept","source":"+wan"`, `is the set \"wan\", which is not there; there are trusted; add_set makes one`},
		{"a position", `"vmid":100,"change":"add_rule","action":"accept","position":5`, "Position 5 is out of range: the firewall of VM 100 (web-1) has 1 rules, so that a new one goes to 0 to 1."},
		{"no rule there", `"vmid":100,"change":"delete_rule","position":1,"confirm":true`, "There is no rule at position 1: the firewall of VM 100 (web-1) has 1, from 0 to 0."},
		{"an action", `"vmid":100,"change":"add_rule","action":"maybe"`, "it takes accept, drop, reject, or group:NAME"},
		{"a port", `"vmid":100,"change":"add_rule","action":"accept","port":"99999"`, "ports go from 0 to 65535"},
		{"a port of icmp", `"vmid":100,"change":"add_rule","action":"accept","port":"80","protocol":"gre"`, "does not go with protocol gre"},
		{"a NIC", `"vmid":100,"change":"add_rule","action":"accept","iface":"vmbr0"`, "the key of a NIC, such as net0"},
		{"a policy", `"vmid":100,"change":"set_options","options":{"policy_in":"maybe"}`, "a policy is ACCEPT, DROP or REJECT"},
		{"an option that clears another", `"vmid":100,"change":"set_options","options":{"delete":"policy_in"}`, `has \"delete\", which is no option`},
		{"a group that has rules", `"change":"delete_group","group":"web","confirm":true`, `\"web\" is not empty`},
		{"a set that is there", `"change":"add_set","name":"trusted"`, `There is a set \"trusted\" already`},
		{"a set that is not", `"change":"add_addresses","name":"wan","addresses":["10.0.0.0/8"]`, `There is no set \"wan\" of the cluster; there are trusted.`},
		{"an address that is not", `"change":"remove_addresses","name":"trusted","addresses":["10.0.0.1"],"confirm":true`, "has no 10.0.0.1"},
		{"a digest", `"vmid":100,"change":"add_rule","action":"accept","digest":"0000000000000000000000000000000000000000"`, "it has changed since that digest was read"},
		{"two places", `"vmid":100,"node":"pve1","change":"add_rule","action":"accept"`, "leave it out with vmid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: everyone, Model: start})
			a := w.Call("pve_set_firewall", "{"+tt.args+"}")
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.says) || len(sim.Writes(w.Sent())) > 0 {
				t.Errorf("%s %s", a.Outcome, a.Text)
			}
		})
	}
}

// Each change is carried out as it was planned, and its undo, taken as it is, brings back what
// was there.
func TestUndo(t *testing.T) {
	for _, tt := range []struct{ name, args string }{
		{"a rule in the middle", `"vmid":100,"change":"add_rule","action":"accept","port":"443","source":"10.0.0.0/8","position":1`},
		{"a rule at the end", `"vmid":100,"change":"add_rule","action":"block","source":"lan","position":3`},
		{"a change", `"vmid":100,"change":"change_rule","position":0,"port":"2222","comment":"new","unset":["source"]`},
		{"a move down", `"vmid":100,"change":"move_rule","position":0,"to":2`},
		{"a move up", `"vmid":100,"change":"move_rule","position":2,"to":0`},
		{"a deletion", `"vmid":100,"change":"delete_rule","position":0`},
		{"the deletion of one that is off", `"vmid":100,"change":"delete_rule","position":2`},
		{"a group's use deleted", `"vmid":100,"change":"delete_rule","position":1`},
		{"options", `"vmid":100,"change":"set_options","options":{"enable":0,"policy_in":"accept","log_level_in":"info"},"unset":["dhcp"]`},
		{"options of the cluster", `"change":"set_options","options":{"policy_in":"ACCEPT"}`},
		{"a new set of a guest", `"vmid":100,"change":"add_set","name":"ipfilter-net0","addresses":["10.0.0.5","10.0.0.4/32"]`},
		{"a new set in capitals", `"change":"add_set","name":"Office","addresses":["192.0.2.0/24"]`},
		{"a new set with an address twice", `"change":"add_set","name":"office","addresses":["192.0.2.1","192.0.2.1/32"]`},
		{"a new group in capitals", `"change":"add_group","group":"DB"`},
		{"a set deleted", `"change":"delete_set","name":"trusted"`},
		{"addresses taken out", `"change":"remove_addresses","name":"trusted","addresses":["10.0.0.0/8","10.1.0.0/16"]`},
		{"an alias", `"change":"set_alias","name":"LAN","addresses":["10.0.0.0/9"]`},
		{"an alias deleted", `"change":"delete_alias","name":"lan"`},
		{"a rule of a container", `"vmid":200,"change":"add_rule","action":"accept","macro":"ssh"`},
		{"an outgoing rule of a node", `"node":"pve2","change":"add_rule","direction":"out","action":"drop","port":"25"`},
	} {
		for _, version := range []string{"8.4.1", "9.1.1"} {
			t.Run(tt.name+" on "+version, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: everyone, Model: sim.Cluster(sim.Version(version),
					cluster("options enable=1", "ipset trusted", "address of trusted 10.0.0.0/8", "address of trusted 10.1.0.0/16 nomatch=1", "alias lan cidr=10.0.0.0/8", "group web"),
					guest100("options enable=1 dhcp=0", "rule type=in action=ACCEPT proto=tcp dport=22 source=lan comment=admins", "rule type=group action=web", "rule type=in action=DROP enable=0"))})
				look := func() string {
					out := ""
					for _, args := range []string{`{"vmid":100}`, `{"vmid":200}`, `{"node":"pve2"}`, `{}`} {
						out += w.Call("pve_firewall", args).Text
					}
					return out
				}
				before := look()
				a := w.Call("pve_set_firewall", "{"+tt.args+`,"confirm":true}`)
				undo, _ := a.Fields["undo"].(map[string]any)
				if a.Outcome != tool.OK || undo == nil || look() == before {
					t.Fatalf("%s %s", a.Outcome, a.Text)
				}
				args, _ := undo["arguments"].(map[string]any)
				args["confirm"] = true
				if b := w.Call("pve_set_firewall", encode(t, args)); b.Outcome != tool.OK {
					t.Fatalf("the undo: %s", b.Text)
				}
				if after := look(); after != before {
					t.Errorf("%s\nbefore: %s\nafter:  %s", a.Text, before, after)
				}
			})
		}
	}
}

// A firewall that could not be read is not said to be empty.
func TestUnread(t *testing.T) {
	for _, tt := range []struct{ fails, args, says string }{
		{"rules", `"change":"delete_rule","position":0`, "could not be read, so nothing was changed: its rules"},
		{"ipset", `"change":"remove_addresses","name":"office","addresses":["10.0.0.0/8"]`, "could not be read, so nothing was changed: sets of VM 100"},
	} {
		t.Run(tt.fails, func(t *testing.T) {
			m := sim.Cluster(guest100("ipset office", "address of office 10.0.0.0/8", "rule type=in action=ACCEPT proto=tcp dport=22"))
			m.Faults = append(m.Faults, pvesim.Fault{Match: "GET /nodes/*/qemu/100/firewall/" + tt.fails, Status: 500, Message: "no"})
			w := sim.New(t, sim.Options{Token: everyone, Model: m})
			if a := w.Call("pve_set_firewall", `{"vmid":100,`+tt.args+`,"confirm":true}`); a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.says) {
				t.Errorf("%s %s", a.Outcome, a.Text)
			}
		})
	}
}

// Changes of a guest's firewall that can cut access need consent, and others do not.
func TestGuestConsent(t *testing.T) {
	start := sim.Cluster(guest100("options enable=1", "rule type=in action=ACCEPT proto=tcp dport=22", "rule type=in action=DROP source=10.0.0.0/8"), sim.Grant("/vms/100", "PVEVMAdmin"))
	for _, tt := range []struct {
		args string
		asks bool
	}{
		{`"change":"add_rule","action":"accept","port":"443","source":"10.0.0.0/8"`, false},
		{`"change":"add_rule","action":"drop","port":"443"`, true},
		{`"change":"add_rule","action":"drop","port":"443","enable":false`, false},
		{`"change":"change_rule","position":0,"source":"10.0.0.0/8"`, true},
		{`"change":"change_rule","position":0,"port":"22,80"`, false},
		{`"change":"move_rule","position":1,"to":0`, true},
		{`"change":"delete_rule","position":0`, true},
		{`"change":"set_options","options":{"policy_in":"ACCEPT"}`, true},
		{`"change":"set_options","options":{"enable":0}`, true},
		{`"change":"set_options","options":{"log_level_in":"info"}`, false},
		{`"change":"set_alias","name":"lan","addresses":["10.0.0.0/8"]`, false},
	} {
		for _, token := range []string{"", nobody} { // an operator's, and one that sees nothing of the cluster's firewall
			w := sim.New(t, sim.Options{Model: start, Token: token})
			a := w.Call("pve_set_firewall", `{"vmid":100,`+tt.args+"}")
			if asks := a.Outcome == tool.NeedsConfirmation; asks != tt.asks || !asks && a.Outcome != tool.OK {
				t.Errorf("%s by %s: %s %s", tt.args, token, a.Outcome, a.Text)
			}
		}
	}
}

// A change that switches a firewall off has an effect, and one of a firewall that is off has none.
func TestSwitchOff(t *testing.T) {
	w := sim.New(t, sim.Options{Token: everyone, Model: sim.Cluster(cluster("options enable=1"))})
	for _, more := range []string{"", `,"confirm":true`} {
		if a := w.Call("pve_set_firewall", `{"change":"set_options","unset":["enable"]`+more+"}"); a.IsError || strings.Contains(a.Text, "no effect now") {
			t.Errorf("%s", a.Text)
		}
	}
	if a := w.Call("pve_set_firewall", `{"change":"add_set","name":"admins","addresses":["10.1.0.0/16"]}`); !strings.Contains(a.Text, "It has no effect now: the cluster's firewall is off") {
		t.Errorf("%s", a.Text)
	}
	a := w.Call("pve_set_firewall", `{"node":"pve1","change":"set_options","options":{"enable":1}}`)
	if !strings.Contains(a.Text, "no effect now: the cluster's firewall is off") || !strings.Contains(a.Text, "the option enable cuts nothing off now, and can once the firewall works") {
		t.Errorf("%s", a.Text)
	}
}

// Switching the cluster's firewall on says which accesses remain, on which node.
func TestSwitchOn(t *testing.T) {
	w := sim.New(t, sim.Options{Token: everyone, Model: sim.Cluster(cluster("ipset management", "address of management 10.1.0.0/24"),
		file("nodes/pve2/host.fw", "rule type=in action=DROP proto=tcp dport=22"))})
	a := w.Call("pve_set_firewall", `{"change":"set_options","options":{"enable":true,"policy_in":"drop"}}`)
	for _, s := range []string{
		"remains: port 8006 (web interface and API), port 22 (SSH), ", "from +management (10.1.0.0/24), the node's local network: yes (PVE's own for management), everybody else: no (policy DROP)",
		"remains on pve2: port 22 (SSH): nobody (rule 0 of pve2)", "corosync among the nodes", "this server may be among those locked out", "pve-firewall stop",
	} {
		if a.Outcome != tool.NeedsConfirmation || !strings.Contains(a.Text, s) {
			t.Errorf("%s\nlacks %s", a.Text, s)
		}
	}
}

// The answer to a token that may not change a firewall names the privilege, and nothing is sent.
func TestPrivileges(t *testing.T) {
	w := sim.New(t, sim.Options{})
	a := w.Call("pve_set_firewall", `{"change":"add_rule","action":"accept","port":"443"}`)
	if a.Outcome != tool.Failed || !strings.Contains(a.Text, "Sys.") || len(sim.Writes(w.Sent())) > 0 {
		t.Errorf("%s", a.Text)
	}
}

// A rule that somebody else puts first meanwhile stays, and so does that which was meant: the
// position is another one now.
func TestChangedMeanwhile(t *testing.T) {
	other := `{"change":"add_rule","vmid":100,"action":"accept","port":"80"}`
	for _, tt := range []struct{ name, method, path, args string }{
		{"a deletion", http.MethodDelete, "/rules/0", `{"change":"delete_rule","vmid":100,"position":0,"confirm":true}`},
		{"a new rule that is to be moved", http.MethodPut, "/rules/0", `{"change":"add_rule","vmid":100,"action":"drop","position":1,"confirm":true}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sim.New(t, sim.Options{Token: everyone, Model: sim.Cluster(guest100("rule type=in action=ACCEPT proto=tcp dport=22")), Before: sim.Meanwhile(tt.method, tt.path, "pve_set_firewall "+other)})
			a := w.Call("pve_set_firewall", tt.args)
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, "changed") {
				t.Errorf("%s %s", a.Outcome, a.Text)
			}
			if now := w.Call("pve_firewall", `{"vmid":100}`); !strings.Contains(now.Text, "in ACCEPT tcp 22") || strings.Contains(now.Text, `: in DROP"`) {
				t.Errorf("%s", now.Text)
			}
		})
	}
}

// A plan is carried out as it was, or not at all.
func TestPlan(t *testing.T) {
	w := sim.New(t, sim.Options{Token: everyone, Model: sim.Cluster(guest100("rule type=in action=ACCEPT proto=tcp dport=22"))})
	plan := w.Call("pve_set_firewall", `{"change":"add_rule","vmid":100,"action":"accept","port":"443","position":1,"plan":true}`)
	handle, _ := plan.Fields["plan_handle"].(string)
	if plan.Outcome != tool.Planned || !strings.Contains(plan.Text, "+ 1: in ACCEPT tcp 443") || len(sim.Writes(w.Sent())) > 0 {
		t.Fatalf("%s", plan.Text)
	}
	if a := w.Call("pve_set_firewall", encode(t, map[string]any{"plan_handle": handle})); a.Outcome != tool.OK {
		t.Errorf("%s", a.Text)
	}
	if a := w.Call("pve_set_firewall", encode(t, map[string]any{"plan_handle": handle})); a.Outcome != tool.Failed {
		t.Errorf("a second time: %s", a.Text)
	}
}

// The digest of the rules says nothing of what else there is.
func TestDigestOfRules(t *testing.T) {
	w := sim.New(t, sim.Options{Token: everyone, Model: sim.Cluster(guest100("rule type=in action=ACCEPT proto=tcp dport=22"))})
	digest := w.Call("pve_firewall", `{"vmid":100}`).Fields["digest"]
	args := map[string]any{"vmid": 100, "change": "set_options", "options": map[string]any{"log_level_in": "info"}, "digest": digest}
	if a := w.Call("pve_set_firewall", encode(t, args)); a.Outcome != tool.Failed || !strings.Contains(a.Text, `\"digest\" is that of the rules`) {
		t.Errorf("%s", a.Text)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A change that ends in the middle says what was done; the rule that is left is off.
func TestFaults(t *testing.T) {
	const args = `{"change":"add_rule","vmid":100,"action":"drop","port":"443","position":1,"confirm":true}`
	for _, tt := range []struct {
		name    string
		fault   pvesim.Fault
		outcome tool.Outcome
		says    []string
		rules   string
	}{
		{"the move is refused", pvesim.Fault{Match: "PUT /nodes/*/qemu/100/firewall/rules/0", Status: 500, Message: "no"}, tool.Failed,
			[]string{"New rule, off: done. What comes after it: ", "Look with pve_firewall at what was done"}, `"0: in DROP tcp 443 (off)","1: in ACCEPT tcp 22"`},
		{"the first is not answered", pvesim.Fault{Match: "POST /nodes/*/qemu/100/firewall/rules", Drop: true}, tool.Unknown, nil, `"0: in DROP tcp 443 (off)","1: in ACCEPT tcp 22"`},
		{"the last is not answered", pvesim.Fault{Match: "PUT /nodes/*/qemu/100/firewall/rules/1", Drop: true}, tool.Unknown, nil, `"0: in ACCEPT tcp 22","1: in DROP tcp 443"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := sim.Cluster(guest100("rule type=in action=ACCEPT proto=tcp dport=22"))
			m.Faults = append(m.Faults, tt.fault)
			w := sim.New(t, sim.Options{Token: everyone, Model: m})
			a := w.Call("pve_set_firewall", args)
			for _, s := range tt.says {
				if !strings.Contains(a.Text, s) {
					t.Errorf("%s\nlacks %s", a.Text, s)
				}
			}
			if now := w.Call("pve_firewall", `{"vmid":100}`); a.Outcome != tt.outcome || !strings.Contains(now.Text, tt.rules) {
				t.Errorf("%s %s\n%s", a.Outcome, a.Text, now.Text)
			}
		})
	}
}

// Protection holds for firewalls: that of a protected guest, and that of the cluster if any guest
// is protected.
func TestProtection(t *testing.T) {
	protect, err := policy.ParseRules("100")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{`"vmid":100,`, ``} {
		w := sim.New(t, sim.Options{Token: everyone, Policy: policy.Policy{Protect: protect}})
		a := w.Call("pve_set_firewall", `{`+args+`"change":"add_rule","action":"accept","port":"443","confirm":true}`)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "PVE_MCP_PROTECT") || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s %s", a.Outcome, a.Text)
		}
	}
}
