package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A storage that is not shared has a size of its own on each node, which is still so after the
// cluster was saved.
func TestSizePerNode(t *testing.T) {
	t.Parallel()
	m := pvesim.Cluster()
	m.Nodes[2].Disk = 40 << 30
	m.Storages[0].SizeOn = map[string]int64{"pve2": 10 << 30} // local
	m.Storages[0].UsedOn = map[string]int64{"pve2": 9 << 30}
	w := newWorld(t, m)
	const sizes = `
		GET /nodes/pve1/storage/local/status#total     => 1.00931731456e+11
		GET /nodes/pve2/storage/local/status#total     => 1.073741824e+10
		GET /nodes/pve2/storage/local/status#avail     => 1.073741824e+09
		GET /nodes/pve2/storage#local#used_fraction    => 0.9
		GET /cluster/resources?type=storage#storage/pve2/local#maxdisk => 1.073741824e+10`
	w.story(sizes + `
		POST /nodes/pve2/storage/local/download-url?content=iso&filename=x.iso&url=https://example.org/x.iso => OK
		POST /nodes/pve2/storage/local/download-url?content=iso&filename=y.iso&url=https://example.org/y.iso => download failed: exit code 3
		POST /storage?storage=more&type=dir&path=/srv/more&content=iso => map[storage:more type:dir]
		GET /nodes/pve3/storage/more/status#total      => 4.294967296e+10
		DELETE /nodes/pve2/storage/local/content/local:iso%2Fx.iso => OK`)
	saved, err := w.sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	newWorld(t, saved).story(sizes)
}
