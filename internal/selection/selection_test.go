package selection

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

func guests() []pve.Resource {
	guest := func(id pve.VMID, name, kind, node, status, tags, pool string) pve.Resource {
		return pve.Resource{VMID: id, Type: kind, Name: lenient.Some(name), Node: lenient.Some(node), Status: lenient.Some(status),
			Tags: lenient.Some(tags), Pool: lenient.Some(pool)}
	}
	return []pve.Resource{
		guest(100, "web-1", "qemu", "pve1", "running", "prod;web", "shop"),
		guest(101, "web-2", "qemu", "pve2", "stopped", "prod;c++", "shop"),
		guest(104, "mail", "lxc", "pve1", "running", "c", ""),
		guest(200, "running", "lxc", "pve2", "stopped", "", "lab"),
	}
}

func TestChoose(t *testing.T) {
	for text, want := range map[string]string{
		"all":                 "100 101 104 200",
		"100":                 "100",
		" 104 , 100 ":         "100 104",
		"100-104":             "100 101 104",
		"web*":                "100 101",
		"tag:prod":            "100 101",
		"tag:PROD+running":    "100",
		"tag:c++":             "101",
		"tag:c":               "104",
		"tag:c+running":       "104",
		"!tag:c+++vm":         "100",
		"tag:c+++stopped":     "101",
		"pool:shop+!web-2":    "100",
		"node:pve2,mail":      "101 104 200",
		"ct+!running":         "200",
		"name:running":        "200",
		"vm+!tag:prod":        "",
		"! running + stopped": "101 200",
	} {
		chosen, err := Choose(text, guests())
		var ids []string
		for _, g := range chosen {
			ids = append(ids, g.VMID.String())
		}
		if got := strings.Join(ids, " "); err != nil || got != want {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
}

func TestChooseNothing(t *testing.T) {
	for text, want := range map[string]string{
		"":          "is empty",
		" , ":       "is empty",
		"999":       "no guest 999",
		"nobody":    `named "nobody"`,
		"tag:test":  `has the tag "test"`,
		"pool:x":    `has the pool "x"`,
		"pool:":     `has the pool ""`,
		"node:pve9": `has the node "pve9"`,
		"vlan:30":   `"vlan:30" selects no guests`,
		"web[":      "no name with",
		"all,nope":  `named "nope"`,
		"all++vm":   `named ""`,
	} {
		if chosen, err := Choose(text, guests()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v %v, want %s", text, chosen, err, want)
		}
	}
}
