package provision_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What words mean is what can do what was asked, and it is said; else the candidates are.
func TestSourceOfWords(t *testing.T) {
	debian := pvesim.Volume{ID: "nfs:import/debian-12-genericcloud-amd64.qcow2", Content: "import", Size: 300 << 20, Image: pvesim.Image{System: "debian 12", Virtual: 2 << 30}}
	local := func(nodes ...string) (out []pvesim.Volume) {
		for _, n := range nodes {
			v := debian
			v.ID, v.Node = "local:import/debian-12-genericcloud-amd64.qcow2", n
			out = append(out, v)
		}
		return out
	}
	keys := fmt.Sprintf(`"ssh_keys":[%q]`, key)
	for _, tt := range []struct {
		name, args string
		volumes    []pvesim.Volume
		outcome    tool.Outcome
		says       []string
	}{
		{"a template without a drive for keys, and nothing else", `{"name":"x","source":"debian 12",` + keys + `}`, nil, tool.Failed,
			[]string{"the template VM 900 (debian-12)", "no cloud-init drive", "download: true, which fetches https://cloud.debian.org/"}},
		{"the same where the image may be fetched", `{"name":"x","source":"debian 12","download":true,"start":false,` + keys + `}`, nil, tool.OK,
			[]string{"debian-12-genericcloud-amd64.qcow2", "not the template VM 900 (debian-12), which has no cloud-init drive"}},
		{"the template, if no keys are asked for", `{"name":"x","source":"debian 12","start":false}`, nil, tool.OK, []string{`"source":"template VM 900 (debian-12)`}},
		{"the image, since the template has no drive", `{"name":"x","source":"debian 12","start":false,` + keys + `}`, []pvesim.Volume{debian}, tool.OK,
			[]string{`"source":"nfs:import/debian-12-genericcloud-amd64.qcow2, not the template VM 900 (debian-12), which has no cloud-init drive`}},
		{"both could", `{"name":"x","source":"debian 12"}`, []pvesim.Volume{debian}, tool.Failed, []string{"900 (template VM 900 (debian-12))", "nfs:import/debian-12-genericcloud-amd64.qcow2", "may mean 2 sources"}},
		{"an image of one node", `{"name":"x","source":"debian 12","start":false,` + keys + `}`, local("pve3"), tool.OK, []string{`"node":"pve3"`}},
		{"an image of another one node", `{"name":"x","source":"local:import/debian-12-genericcloud-amd64.qcow2","start":false}`, local("pve2"), tool.OK, []string{`"node":"pve2"`}},
		{"an image of two nodes", `{"name":"x","source":"local:import/debian-12-genericcloud-amd64.qcow2","start":false}`, local("pve2", "pve3"), tool.OK, []string{"of the 2 nodes that can take it"}},
		{"an image of another node", `{"name":"x","source":"local:import/debian-12-genericcloud-amd64.qcow2","node":"pve1"}`, local("pve3"), tool.Failed,
			[]string{"pve1 does not have local:import/debian-12-genericcloud-amd64.qcow2, which is on pve3"}},
		{"an image of no node", `{"name":"x","source":"local:import/debian-12.qcow2"}`, local("pve3"), tool.Failed, []string{"local:import/debian-12.qcow2 is on no node"}},
		{"a CD of another node", `{"name":"x","iso":"local:iso/own.iso","node":"pve1"}`, []pvesim.Volume{{ID: "local:iso/own.iso", Node: "pve2", Content: "iso", Size: 1 << 30}}, tool.Failed,
			[]string{"pve1 does not have local:iso/own.iso, which is on pve2"}},
		{"a CD of a node", `{"name":"x","iso":"local:iso/own.iso","start":false}`, []pvesim.Volume{{ID: "local:iso/own.iso", Node: "pve2", Content: "iso", Size: 1 << 30}}, tool.OK, []string{`"node":"pve2"`}},
		{"a refusal names what was chosen", `{"name":"x","source":"debian 12","disks":["1M"],` + keys + `}`, []pvesim.Volume{debian}, tool.Failed, []string{"nfs:import/debian-12-genericcloud-amd64.qcow2"}},
		{"a refusal of the place names what was chosen", `{"name":"x","source":"debian 12","disks":["900T"],` + keys + `}`, []pvesim.Volume{debian}, tool.Failed, []string{"debian 12", "nfs:import/debian-12-genericcloud-amd64.qcow2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := withImages()
				for i := range m.Storages {
					if m.Storages[i].ID == "local" {
						m.Storages[i].Content += ",import"
					}
				}
				m.Volumes = append(m.Volumes, tt.volumes...)
				w := sim.New(t, sim.Options{Model: m, Token: everyone})
				a := w.Call("pve_create_vm", strings.TrimSuffix(tt.args, "}")+`,"wait":45}`)
				if a.Outcome != tt.outcome || tt.outcome == tool.Failed && len(sim.Writes(w.Sent())) > 0 {
					t.Errorf("%s", a.Text)
				}
				for _, s := range tt.says {
					if !strings.Contains(a.Text, s) {
						t.Errorf("%s lacks %s", a.Text, s)
					}
				}
			})
		})
	}
}
