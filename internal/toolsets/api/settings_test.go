package api_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// before are changes that come first in a story, one in a line.
func before(args ...string) string {
	var lines []string
	for _, a := range args {
		lines = append(lines, changeTool+" "+a)
	}
	return strings.Join(lines, "\n")
}

const (
	sshRule   = `{"method":"POST","path":"/nodes/{node}/qemu/100/firewall/rules","params":{"type":"in","action":"ACCEPT","macro":"ssh","enable":true}}`
	dropRule  = `{"method":"POST","path":"/nodes/{node}/qemu/100/firewall/rules","params":{"type":"in","action":"DROP"}}`
	newSet    = `{"method":"POST","path":"/cluster/firewall/ipset","params":{"name":"trusted","comment":"ours"},"confirm":true}`
	newAlias  = `{"method":"POST","path":"/nodes/{node}/lxc/200/firewall/aliases","params":{"name":"office","cidr":"10.1.0.0/16"}}`
	graphite  = `{"method":"POST","path":"/cluster/metrics/server/graph","params":{"type":"graphite","server":"10.0.0.9","port":2003}}`
	influx    = `{"method":"POST","path":"/cluster/metrics/server/flux","params":{"type":"influxdb","server":"10.0.0.9","port":8089,"token":"hunter2hunter2"}}`
	usbStick  = `{"method":"POST","path":"/cluster/mapping/usb","params":{"id":"stick","map":["node=pve1,id=0951:1666"],"description":"backups"}}`
	mailOps   = `{"method":"POST","path":"/cluster/notifications/endpoints/sendmail","params":{"name":"ops","mailto":["ops@example.org","night@example.org"]}}`
	errorsOps = `{"method":"POST","path":"/cluster/notifications/matchers","params":{"name":"errors","target":["ops"],"match-severity":["error,unknown"]}}`
	newBridge = `{"method":"POST","path":"/nodes/pve1/network","params":{"iface":"vmbr9","type":"bridge","autostart":true}}`
)

// changedSettings are stories of settings that PVE keeps in files of its own.
var changedSettings = []sim.Story{
	{
		Name: "the firewall of a guest", Args: `{"method":"PUT","path":"/nodes/{node}/qemu/100/firewall/options","params":{"enable":true,"policy_in":"DROP"}}`,
		Says: []string{`"after":{"enable":1,"policy_in":"DROP"}`, `"unset":["enable","policy_in"]`}, Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/firewall/options"},
	},
	{
		Name: "the firewall of the datacenter asks", Args: `{"method":"PUT","path":"/cluster/firewall/options","params":{"enable":1}}`,
		Outcome: tool.NeedsConfirmation, Says: []string{"everybody is locked out"},
	},
	{
		Name: "a rule comes before the others", First: before(dropRule), Args: sshRule, Says: []string{`"outcome":"ok"`}, Writes: []string{"POST /nodes/{node}/qemu/{vmid}/firewall/rules"},
	},
	{
		Name: "a rule is changed by its position", First: before(sshRule), Args: `{"method":"PUT","path":"/nodes/{node}/qemu/100/firewall/rules/0","params":{"comment":"admins","enable":false}}`,
		Says:   []string{`"before":{"enable":1},"after":{"comment":"admins","enable":0}`, `"arguments":{"digest":"`, `"unset":["comment"]`},
		Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/firewall/rules/{pos}"},
	},
	{
		Name: "a rule is moved", First: before(sshRule, dropRule), Args: `{"method":"PUT","path":"/nodes/{node}/qemu/100/firewall/rules/0","params":{"moveto":2}}`,
		Says: []string{`"outcome":"ok"`}, Lacks: []string{`"undo"`}, Writes: []string{"PUT /nodes/{node}/qemu/{vmid}/firewall/rules/{pos}"},
	},
	{
		Name: "a rule that is not there", Args: `{"method":"DELETE","path":"/nodes/{node}/qemu/100/firewall/rules/7","confirm":true}`, Outcome: tool.Failed,
		Says: []string{"Nothing was sent", "no rule at position 7"},
	},
	{
		Name: "a rule without a protocol", Args: `{"method":"POST","path":"/nodes/{node}/qemu/100/firewall/rules","params":{"type":"in","action":"ACCEPT","dport":"22"}}`, Outcome: tool.Failed,
		Says: []string{"proto: missing property - 'dport' requires this property"},
	},
	{
		Name: "a rule for a set that is not there", Args: `{"method":"POST","path":"/nodes/{node}/lxc/200/firewall/rules","params":{"type":"in","action":"ACCEPT","source":"+nobody"}}`, Outcome: tool.Failed,
		Says: []string{"no such ipset 'nobody'"}, Writes: []string{"POST /nodes/{node}/lxc/{vmid}/firewall/rules"},
	},
	{
		Name: "an alias of a container", Args: newAlias, Says: []string{`"after":{"cidr":"10.1.0.0/16","name":"office"}`, `"path":"/nodes/pve1/lxc/200/firewall/aliases/office"`},
		Writes: []string{"POST /nodes/{node}/lxc/{vmid}/firewall/aliases"},
	},
	{
		Name: "a network in a set", First: before(newSet), Args: `{"method":"POST","path":"/cluster/firewall/ipset/trusted","params":{"cidr":"10.0.0.0/8","comment":"lan"},"confirm":true}`,
		Says: []string{`"after":{"cidr":"10.0.0.0/8","comment":"lan"}`}, Writes: []string{"POST /cluster/firewall/ipset/{name}"},
	},
	{
		Name: "a metrics server", Args: graphite, Says: []string{`"after":{"port":2003,"server":"10.0.0.9","type":"graphite"}`, `"undo":{"tool":"pve_api_change","arguments":{"method":"DELETE","path":"/cluster/metrics/server/graph"}}`},
		Writes: []string{"POST /cluster/metrics/server/{id}"},
	},
	{
		Name: "the token of a metrics server does not pass through a model", Args: influx, Outcome: tool.Failed, Says: []string{"token is a secret"}, Lacks: []string{"hunter2"},
	},
	{
		Name: "a metrics server is changed", First: before(graphite), Args: `{"method":"PUT","path":"/cluster/metrics/server/graph","params":{"server":"10.0.0.8","port":2003,"disable":true}}`,
		Says:   []string{`"before":{"port":2003,"server":"10.0.0.9"},"after":{"disable":1,"port":2003,"server":"10.0.0.8"}`, `"params":{"port":2003,"server":"10.0.0.9"}`, `"unset":["disable"]`},
		Writes: []string{"PUT /cluster/metrics/server/{id}"},
	},
	{
		Name: "a mapped device", Args: usbStick, Says: []string{`"map":["node=pve1,id=0951:1666"]`, `"path":"/cluster/mapping/usb/stick"`}, Writes: []string{"POST /cluster/mapping/usb"},
	},
	{
		Name: "a mapped device on one more node", First: before(usbStick), Args: `{"method":"PUT","path":"/cluster/mapping/usb/stick","params":{"map":["node=pve1,id=0951:1666","node=pve2,id=0951:1666"]}}`,
		Says:   []string{`"before":{"map":["node=pve1,id=0951:1666"]},"after":{"map":["node=pve1,id=0951:1666","node=pve2,id=0951:1666"]}`, `"params":{"map":["node=pve1,id=0951:1666"]}`},
		Writes: []string{"PUT /cluster/mapping/usb/{id}"},
	},
	{
		Name: "who gets mail", Args: mailOps, Says: []string{`"mailto":["ops@example.org","night@example.org"]`, `"path":"/cluster/notifications/endpoints/sendmail/ops"`},
		Writes: []string{"POST /cluster/notifications/endpoints/sendmail"},
	},
	{
		Name: "mail to nobody", Args: `{"method":"POST","path":"/cluster/notifications/endpoints/sendmail","params":{"name":"ops"}}`, Outcome: tool.Failed, Says: []string{"must at least provide one recipient"},
	},
	{
		Name: "what is mailed", First: before(mailOps), Args: errorsOps, Says: []string{`"match-severity":["error,unknown"]`, `"target":["ops"]`}, Writes: []string{"POST /cluster/notifications/matchers"},
	},
	{
		Name: "an endpoint that a matcher needs", First: before(mailOps, errorsOps), Args: `{"method":"DELETE","path":"/cluster/notifications/endpoints/sendmail/ops","confirm":true}`, Outcome: tool.Failed,
		Says: []string{"referenced by: errors"}, Writes: []string{"DELETE /cluster/notifications/endpoints/sendmail/{name}"},
	},
	{
		Name: "settings of the datacenter", First: before(`{"method":"PUT","path":"/cluster/options","params":{"keyboard":"de"}}`),
		Args: `{"method":"PUT","path":"/cluster/options","params":{"keyboard":"en-us","console":"html5"}}`,
		Says: []string{`"before":{"keyboard":"de"},"after":{"console":"html5","keyboard":"en-us"}`, `"params":{"keyboard":"de"}`, `"unset":["console"]`}, Writes: []string{"PUT /cluster/options"},
	},
	{
		Name: "settings of a node", First: before(`{"method":"PUT","path":"/nodes/pve1/config","params":{"description":"old"}}`),
		Args: `{"method":"PUT","path":"/nodes/pve1/config","params":{"description":"new"}}`, Says: []string{`"before":{"description":"old\n"},"after":{"description":"new\n"}`},
		Writes: []string{"PUT /nodes/{node}/config"},
	},
	{
		Name: "a bridge waits to be applied", Args: newBridge, Says: []string{`"type":"bridge"`, `"path":"/nodes/pve1/network/vmbr9"`}, Writes: []string{"POST /nodes/{node}/network"},
	},
	{
		Name: "networks are applied", First: before(newBridge), Args: `{"method":"PUT","path":"/nodes/pve1/network","confirm":true}`, Says: []string{`"upid":"UPID:pve1:`}, Writes: []string{"PUT /nodes/{node}/network"},
	},
}

// Settings can be changed, in 8 and in 9.
func TestChangeSettings(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.5"} {
		var stories []sim.Story
		for _, s := range changedSettings {
			s.Name, s.Model, s.Token = version+" "+s.Name, sim.Cluster(sim.Version(version)), auditor
			if s.Outcome == "" {
				s.Outcome = tool.OK
			}
			stories = append(stories, s)
		}
		sim.Tell(t, changeTool, stories)
	}
}

// readSettings are stories of what is read of them.
var readSettings = []sim.Story{
	{Name: "rules", First: before(dropRule, sshRule), Args: `{"path":"/nodes/{node}/qemu/100/firewall/rules","fields":["pos","action","macro","enable"]}`,
		Says: []string{`"rows":[{"action":"ACCEPT","enable":1,"macro":"SSH","pos":0},{"action":"DROP","enable":0,"pos":1}]`}},
	{Name: "a set of addresses", First: before(newSet, `{"method":"POST","path":"/cluster/firewall/ipset/trusted","params":{"cidr":"10.0.0.0/24","comment":"office"},"confirm":true}`),
		Args: `{"path":"/cluster/firewall/ipset/trusted/10.0.0.0/24"}`, Says: []string{`"comment":"office"`}},
	{Name: "what rules may name", First: before(newSet, newAlias), Args: `{"path":"/nodes/{node}/lxc/200/firewall/refs","fields":["ref","scope"]}`,
		Says: []string{`{"ref":"+trusted","scope":"dc"}`, `{"ref":"office","scope":"guest"}`}},
	{Name: "macros", Args: `{"path":"/cluster/firewall/macros","fields":["macro"],"limit":1}`, Says: []string{`{"macro":"Amanda"}`}},
	{Name: "matchers", Args: `{"path":"/cluster/notifications/matchers"}`, Says: []string{`"target":["mail-to-root"]`, `"origin":"builtin"`}},
	{Name: "targets", First: before(mailOps), Args: `{"path":"/cluster/notifications/targets","fields":["name","type","origin"]}`,
		Says: []string{`{"name":"mail-to-root","origin":"builtin","type":"sendmail"}`, `{"name":"ops","origin":"user-created","type":"sendmail"}`}},
	{Name: "metrics servers", First: before(graphite), Args: `{"path":"/cluster/metrics/server"}`, Says: []string{`{"disable":0,"id":"graph","port":2003,"server":"10.0.0.9","type":"graphite"}`}},
	{Name: "mappings", First: before(usbStick), Args: `{"path":"/cluster/mapping/usb","fields":["id","map"]}`, Says: []string{`{"id":"stick","map":["node=pve1,id=0951:1666"]}`}},
	{Name: "SDN", Args: `{"path":"/cluster/sdn","fields":["id"]}`, Says: []string{`{"id":"vnets"}`, `{"id":"zones"}`}},
	{Name: "ACME", Args: `{"path":"/cluster/acme/account"}`, Says: []string{"PVE's list is empty"}},
	{Name: "tags of the datacenter", First: before(`{"method":"PUT","path":"/cluster/options","params":{"tag-style":"shape=full","registered-tags":"gold"}}`),
		Args: `{"path":"/cluster/options","fields":["tag-style","registered-tags"]}`, Says: []string{`"registered-tags":["gold"]`, `"tag-style":{"shape":"full"}`}},
	{Name: "a network that waits", First: before(newBridge), Args: `{"path":"/nodes/pve1/network","params":{"type":"bridge"},"fields":["iface","active"],"sort":"iface"}`,
		Says: []string{`{"active":1,"iface":"vmbr0"}`, `{"iface":"vmbr9"}`}},
}

// Settings can be read, in 8 and in 9.
func TestReadSettings(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.5"} {
		var stories []sim.Story
		for _, s := range readSettings {
			s.Name, s.Model, s.Token, s.Outcome = version+" "+s.Name, sim.Cluster(sim.Version(version)), auditor, tool.OK
			stories = append(stories, s)
		}
		sim.Tell(t, "pve_api_read", stories)
	}
}
