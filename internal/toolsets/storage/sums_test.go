package storage_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What fills a storage, and how much of it no volume explains.
func TestSums(t *testing.T) {
	const gib = int64(1) << 30
	filled := func(m *pvesim.Model) {
		m.Volumes = nil
		add := func(id, content string, vmid int, size, used int64) {
			m.Volumes = append(m.Volumes, pvesim.Volume{ID: id, Content: content, Format: "raw", VMID: vmid, Size: size, Used: used})
		}
		add("nfs:102/vm-102-disk-5.raw", "images", 102, 100*gib, 60*gib)
		add("nfs:backup/vzdump-qemu-102-2026_11_20-02_00_00.vma.zst", "backup", 102, 30*gib, 30*gib)
		add("nfs:backup/vzdump-qemu-777-2026_11_20-02_00_00.vma.zst", "backup", 777, 200*gib, 200*gib)
		add("nfs:iso/debian.iso", "iso", 0, gib, gib)
		add("pbs:backup/vm/102/2026-11-20T02:00:00Z", "backup", 102, 30*gib, 30*gib)
	}
	on := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(append([]func(*pvesim.Model){filled}, changes...)...)}
	}
	for _, version := range []string{"8.4.1", "9.0.11"} {
		sim.Tell(t, "pve_storage_content", []sim.Story{
			{Name: "by guest on " + version, Options: on(sim.Version(version)), Args: `{"storage":"nfs","sum_by":"guest"}`, Outcome: tool.OK, Sent: 3, Says: []string{
				`{"message":"nfs: 3.23 TiB of 3.91 TiB used; most by 777, which is not there or cannot be seen 200 GiB, 102 db-1 90 GiB, no guest 1 GiB; 2.95 TiB is of no volume that can be seen.","content":[],"total":3,`,
				`"sums":[{"of":"777, which is not there or cannot be seen","volumes":1,"size":214748364800,"size_human":"200 GiB"},{"of":"102 db-1","volumes":2,"size":96636764160,"size_human":"90 GiB"}`,
				`"usage":{"used":3554085437440,"used_human":"3.23 TiB","total_human":"3.91 TiB","unexplained":3241626566656,"unexplained_human":"2.95 TiB","note":"such as snapshots, `}},
		})
	}
	sim.Tell(t, "pve_storage_content", []sim.Story{
		{Name: "by content", Options: on(), Args: `{"storage":"nfs","sum_by":"content"}`, Outcome: tool.OK,
			Says: []string{`"sums":[{"of":"backup","volumes":2,"size":246960619520,"size_human":"230 GiB"},{"of":"images","volumes":1,"size":64424509440,"size_human":"60 GiB"},{"of":"iso"`}},
		{Name: "a page", Options: on(), Args: `{"storage":"nfs","sum_by":"guest","limit":1,"offset":1}`, Outcome: tool.OK, Says: []string{`"total":3,"left_out":2,"more":"offset: 2, or a filter","sums":[{"of":"102 db-1"`}},
		{Name: "a part explains nothing", Options: on(), Args: `{"storage":"nfs","sum_by":"guest","content":"iso"}`, Outcome: tool.OK, Says: []string{"not all volumes are counted"}, Lacks: []string{"unexplained"}},
		{Name: "a backup server keeps less", Options: on(), Args: `{"storage":"pbs","sum_by":"guest"}`, Outcome: tool.OK, Says: []string{`most by 102 db-1 30 GiB.`, "keeps what backups have in common once"}, Lacks: []string{"unexplained"}},
		{Name: "an auditor sees less", Options: sim.Options{Token: "audit@pve!mcp", Model: sim.Cluster(filled)}, Args: `{"storage":"nfs","sum_by":"guest"}`, Outcome: tool.OK,
			Says: []string{`most by no guest 1 GiB; 3.23 TiB is of no volume that can be seen.`, "such as the volumes that this token cannot see (notes), snapshots", "backups on nfs are not visible to this token"}},
		{Name: "a node is away", Options: on(sim.Offline("pve3")), Args: `{"storage":"local","sum_by":"content"}`, Outcome: tool.OK, Says: []string{"no volume that matches can be seen", "storage local on pve3 is not available"}, Lacks: []string{`"usage"`}},
		{Name: "another word", Args: `{"storage":"nfs","sum_by":"owner"}`, Outcome: tool.Failed, Says: []string{"guest", "content"}},
	})
}
