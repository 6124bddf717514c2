package pvesim

import (
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// media puts installers, templates of containers and a snippet on the storage local
// of nodes.
func (m *Model) media(nodes ...string) {
	file := func(node, id string, size int64, age time.Duration) {
		content, name, _ := strings.Cut(strings.TrimPrefix(id, "local:"), "/")
		format := map[string]string{"iso": "iso", "vztmpl": "t" + name[strings.LastIndex(name, ".")+1:], "snippets": "snippet"}[content]
		v := Volume{ID: id, Node: node, Content: content, Format: format, Size: size, Used: size, Age: age}
		if content == "vztmpl" {
			v.Source = Appliance{Template: name}.url()
		}
		if content == "iso" {
			v.Image = Image{System: systemNamed(name), NoCloudInit: true}
		}
		m.Volumes = append(m.Volumes, v)
	}
	m.offers()
	for _, node := range nodes {
		file(node, "local:iso/debian-12.11.0-amd64-netinst.iso", 702545920, 90*day)
		file(node, "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", 126515062, 90*day)
	}
	file(nodes[0], "local:iso/virtio-win-0.1.271.iso", 725729280, 200*day)
	file(nodes[0], "local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz", 3293184, 120*day)
	file(nodes[0], "local:snippets/vendor.yaml", 612, 61*day)
}

// offers are what nodes may download: images of systems, container templates, and images
// of a registry.
func (m *Model) offers() {
	image := func(url string, size, virtual int64, system string) {
		m.Web = append(m.Web, WebFile{URL: url, Size: size, Image: Image{System: system, Virtual: virtual}})
	}
	image("https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img", 616_562_688, 3584<<20, "ubuntu 24.04")
	image("https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2", 446_693_376, 3*gib, "debian 12")
	image("https://dl-cdn.alpinelinux.org/alpine/v3.22/releases/cloud/nocloud_alpine-3.22.1-x86_64-bios-cloudinit-r0.qcow2", 189_792_256, 212<<20, "alpine 3.22")
	m.Appliances = []Appliance{
		{Template: "alpine-3.22-default_20250617_amd64.tar.xz", Headline: "LXC default image for alpine 3.22 (20250617)", Size: 3_281_000},
		{Template: "debian-12-standard_12.7-1_amd64.tar.zst", Headline: "Debian 12 Bookworm (standard)", Size: 126_515_062},
		{Template: "ubuntu-24.04-standard_24.04-2_amd64.tar.zst", Headline: "Ubuntu 24.04 Noble (standard)", Size: 141_589_299},
	}
	m.Registry = []OCIRepository{
		{Reference: "docker.io/library/nginx", Tags: []string{"1.29", "latest"}, Size: 72 << 20, Env: []string{"NGINX_VERSION=1.29.3", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, Entrypoint: "/docker-entrypoint.sh nginx -g 'daemon off;'"},
		{Reference: "docker.io/library/postgres", Tags: []string{"17", "18", "latest"}, Size: 160 << 20, Env: []string{"PGDATA=/var/lib/postgresql/18/docker"}, Entrypoint: "docker-entrypoint.sh postgres"},
	}
}

// backups adds a backup of each of some guests to a storage, each a few minutes
// after the one before. Change is made to each.
func (m *Model) backups(storage string, age time.Duration, change func(*Volume), ids ...int) {
	for i, id := range ids {
		var g Guest
		for _, other := range m.Guests {
			if other.VMID == id {
				g = other
			}
		}
		kind, ext, format := "qemu", "vma.zst", "vma.zst"
		size := propstring.Size(g.Config["scsi0"]+","+g.Config["rootfs"]) / 7
		if g.Kind == "lxc" {
			kind, ext, format = "lxc", "tar.zst", "tar.zst"
		}
		v := Volume{
			ID: fmt.Sprintf("%s:backup/vzdump-%s-%d-*.%s", storage, kind, id, ext), Node: g.Node, Content: "backup", Format: format,
			Size: size, Used: size, VMID: id, Age: age - time.Duration(i)*7*time.Minute,
		}
		v.Notes = g.Config["name"] + g.Config["hostname"]
		change(&v)
		m.Volumes = append(m.Volumes, v)
	}
}

// onServer makes a backup one on a Proxmox Backup Server, with the result of its
// verification.
func onServer(verification string) func(*Volume) {
	return func(v *Volume) {
		kind := map[string]string{"vma.zst": "vm", "tar.zst": "ct"}[v.Format]
		storage, _, _ := strings.Cut(v.ID, ":")
		v.ID, v.Format = fmt.Sprintf("%s:backup/%s/%d/*", storage, kind, v.VMID), "pbs-"+kind
		v.Size, v.Verification = v.Size*7, verification
	}
}

func leaveAsIs(*Volume) {}

// homeBackups are the lab's: CT 103 has none, and VM 101 an old one.
func (m *Model) homeBackups() {
	for night := range 3 {
		m.backups("local", 9*hour+time.Duration(night)*day, leaveAsIs, 100, 102)
	}
	m.backups("local", 47*day, func(v *Volume) {
		v.Notes, v.Protected = "before the move to new disks\nkeep until these are proven", true
	}, 101)
	m.Jobs = []BackupJob{{ID: "backup-nightly", Schedule: "02:30", Options: map[string]string{
		"vmid": "100,102", "mode": "snapshot", "storage": "local", "compress": "zstd", "notes-template": "{{guestname}}", "prune-backups": "keep-last=3",
	}}}
}

// clusterBackups are the cluster's: VMs 105 and 106 and CT 204 have none, VM 107's
// are old since its lock keeps it from being backed up, and one of VM 103 failed
// its verification.
func (m *Model) clusterBackups() {
	for night := range 3 {
		age := 6*hour + time.Duration(night)*day
		m.backups("nfs", age, leaveAsIs, 100, 101, 104, 108, 200, 201, 202, 203)
		m.backups("pbs", age+20*hour, onServer("ok"), 102)
		m.backups("pbs", age+20*hour, onServer(map[int]string{0: "failed"}[night]), 103)
	}
	m.backups("nfs", 9*day, leaveAsIs, 107)
	m.backups("nfs", 200*day, func(v *Volume) { v.Notes, v.Protected = "golden image, do not delete", true }, 900)
	m.Jobs = []BackupJob{
		{ID: "backup-nightly", Schedule: "21:00", Options: map[string]string{
			"all": "1", "exclude": "102,103,105,106,204,900,901,910", "mode": "snapshot", "storage": "nfs", "compress": "zstd",
			"notes-template": "{{guestname}}", "prune-backups": "keep-last=3", "comment": "all except the databases",
		}},
		{ID: "backup-db", Schedule: "01:00", Options: map[string]string{"pool": "db", "mode": "snapshot", "storage": "pbs"}},
		{ID: "backup-weekly", Schedule: "sat 03:00", Disabled: true, Options: map[string]string{"vmid": "104", "mode": "stop", "storage": "old-nas"}},
	}
}
