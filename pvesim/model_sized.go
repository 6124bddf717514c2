package pvesim

import (
	"fmt"
	"time"
)

// Huge is a cluster of 30 nodes with 10,000 guests, of which nine in ten run.
func Huge() Model { return Sized(1, 30, 7_000, 3_000) }

// Sized is a cluster of some nodes with some VMs and containers, spread over them.
// Names, tags, sizes, loads and addresses are made up by the seed. One in fifty is a
// template, and one in ten does not run. Its tokens are those of [Cluster].
func Sized(seed uint64, nodes, vms, cts int) Model {
	m := Model{
		Seed: seed, PVE: "9.0.11", Cluster: "sized",
		Storages: []Storage{
			{ID: "local", Type: "dir", Content: "iso,vztmpl,backup,snippets", Size: 94 * gib, Used: 31 * gib},
			{ID: "ceph", Type: "rbd", Content: "images,rootdir", Shared: true, Size: int64(vms+cts+100) * 64 * gib, Used: int64(vms+cts) * 24 * gib},
		},
	}
	for i := range nodes {
		m.Nodes = append(m.Nodes, Node{
			Name: fmt.Sprintf("pve%d", i+1), IP: fmt.Sprintf("10.10.%d.%d", i/250, i%250+1),
			CPUs: 128, Memory: 1024 * gib, Disk: 94 * gib, Up: time.Duration(20+i%60) * day,
		})
	}
	m.access()
	if nodes == 0 {
		return m
	}
	for i := range vms + cts {
		m.add(m.sized(i, vms, m.Nodes[i%nodes].Name))
	}
	return m
}

// roleTags are what guests of a [Sized] model are for, which is their name and tag.
var roleTags = []string{"web", "db", "mail", "cache", "build", "queue", "proxy", "files"}

// sized makes the guest with an index up.
func (m *Model) sized(i, vms int, node string) *guestBuilder {
	h := hash(m.Seed, "sized", i)
	pick := func(bits, n int) int { return int((h >> bits) % uint64(n)) }
	id, role := 100+i, roleTags[pick(0, len(roleTags))]
	name, size := fmt.Sprintf("%s-%d", role, id), 1<<pick(8, 4)
	var g *guestBuilder
	if i < vms {
		g = m.vm(node, id, name, fmt.Sprint(size), 2048*size, 16*size)
	} else {
		g = m.ct(node, id, name, 512*size, 4*size)
	}
	g.Config["tags"] = []string{"dev;", "prod;"}[pick(16, 2)] + role
	switch {
	case pick(24, 50) == 0:
		return g.template()
	case pick(32, 10) > 0:
		ip := fmt.Sprintf("10.%d.%d.%d/16", 20+i/65536, i/256%256, i%256)
		g.on(time.Duration(1+pick(40, 400))*hour, float64(1+pick(48, 40))/100).ips(ip)
	}
	return g
}
