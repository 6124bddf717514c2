package pvesim

import (
	"fmt"
	"time"
)

// Generated makes up a cluster of so many nodes, VMs and containers, the same one for
// the same seed. The guests' ids begin at 100, containers come after VMs, most of them
// run. Its tokens are those of [Cluster].
func Generated(seed uint64, nodes, vms, cts int) Model {
	m := Model{Seed: seed, PVE: "9.0.11"}
	if nodes > 1 {
		m.Cluster = "generated"
	}
	perNode := int64((vms+cts)/max(nodes, 1) + 1)
	m.Storages = []Storage{
		{ID: "local", Type: "dir", Content: "iso,vztmpl,backup,snippets", Size: 200 * gib, Used: 12 * gib},
		{ID: "local-zfs", Type: "zfspool", Content: "images,rootdir", Size: (200 + 128*perNode) * gib, Used: 60 * perNode * gib},
		{ID: "nfs", Type: "nfs", Content: "images,iso,backup", Shared: true, Size: int64(nodes) * 20000 * gib, Used: int64(nodes) * 7000 * gib},
	}
	var names []string
	for i := range nodes {
		names = append(names, fmt.Sprintf("pve%d", i+1))
		m.Nodes = append(m.Nodes, Node{
			Name: names[i], IP: fmt.Sprintf("10.10.%d.%d", i/250, i%250+1), CPUs: 64, Memory: max(256, 4*perNode) * gib, Disk: 94 * gib,
			Up: time.Duration(20+hash(seed, "up", i)%200) * day,
		})
	}
	m.access()
	for i := range vms {
		m.add(m.guest(100+i, func(node, name string, size int) *made {
			return m.vm(node, 100+i, name, fmt.Sprint(1<<(size%4)), 2048<<(size%4), 16<<(size%4))
		}))
	}
	for i := range cts {
		m.add(m.guest(100+vms+i, func(node, name string, size int) *made {
			return m.ct(node, 100+vms+i, name, 512<<(size%4), 4<<(size%4))
		}))
	}
	if nodes > 0 {
		m.media(names...)
	}
	return m
}

// guest makes up what all guests have. A size is a small number.
func (m *Model) guest(id int, build func(node, name string, size int) *made) *made {
	roles := []string{"web", "db", "cache", "build", "mail", "git", "log", "queue", "desk", "test"}
	stages := []string{"prod", "prod", "stage", "dev"}
	roll := func(what string, sides int) int { return int(hash(m.Seed, what, id) % uint64(sides)) }
	node := ""
	if len(m.Nodes) > 0 {
		node = m.Nodes[roll("node", len(m.Nodes))].Name
	}
	role, stage := roles[roll("role", len(roles))], stages[roll("stage", len(stages))]
	g := build(node, fmt.Sprintf("%s-%d", role, id), roll("size", 4)).tags(stage + ";" + role)
	switch dice := roll("state", 100); {
	case dice == 0 && g.Kind == "qemu":
		return g.template()
	case dice < 80:
		up := time.Duration(1+roll("up", 20*24))*hour + time.Minute
		return g.on(up, float64(roll("load", 60))/100).ips(fmt.Sprintf("10.%d.%d.%d/16", 11+id/65025, id/255%255, id%255+1))
	}
	return g
}
