package pvesim_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// withImages is the lab with a storage for images, on which some are, and one that a URL serves.
func withImages() pvesim.Model {
	m := pvesim.Lab()
	m.Storages[0].Content += ",import,images"
	for name, image := range map[string]pvesim.Image{
		"plain.qcow2": {System: "ubuntu 24.04", Virtual: 3 << 30},
		"agent.qcow2": {System: "alpine 3.22", Virtual: 1 << 30, Agent: true},
		"dead.qcow2":  {System: "debian 12", Virtual: 1 << 30, Broken: true},
		"two.ova": {Guest: map[string]string{"name": "two", "cores": "2"}, Disks: map[string]pvesim.Image{
			"one.vmdk": {System: "debian 12", Virtual: 4 << 30, Agent: true}, "data.vmdk": {Virtual: 2 << 30},
		}},
	} {
		format := name[strings.LastIndexByte(name, '.')+1:]
		m.Volumes = append(m.Volumes, pvesim.Volume{
			ID: "local:import/" + name, Node: "pve", Content: "import", Format: format, Size: 400 << 20, Used: 400 << 20, Image: image,
		})
	}
	return m
}

// made creates and starts a VM from an image, and waits some time.
func (w *world) made(vmid int, image, more, wait string) {
	w.Helper()
	w.story(fmt.Sprintf(`
		POST /nodes/pve/qemu?vmid=%d&memory=1024&agent=1&net0=virtio,bridge=vmbr0&scsi0=local-lvm:0,import-from=local:import/%s&boot=order=scsi0&%s  => OK
		POST /nodes/pve/qemu/%d/status/start  => OK
		wait %s
	`, vmid, image, more, vmid, wait))
}

// addressOf is the first address that a VM's agent tells, or why it does not.
func (w *world) addressOf(vmid int) string {
	w.Helper()
	r := w.do("GET", fmt.Sprintf("/nodes/pve/qemu/%d/agent/network-get-interfaces", vmid), nil)
	if r.Status != 200 {
		return r.Reason
	}
	devices, _ := r.Body.Data.(map[string]any)["result"].([]any)
	addresses, _ := within(devices, "eth0").(map[string]any)["ip-addresses"].([]any)
	if len(addresses) == 0 {
		return "none"
	}
	return addresses[0].(map[string]any)["ip-address"].(string)
}

const noAgent = "QEMU guest agent is not running"

// A system that starts from an image has an agent if the image or cloud-init brings it, and
// the address that cloud-init gives it.
func TestFirstBoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withImages())
	seed := func(name, user, network string) {
		w.Helper()
		data := isoOf(t, "cidata", map[string]string{"user-data": user, "meta-data": "instance-id: " + name + "\n", "network-config": network})
		if got := w.sendFile("/nodes/pve/storage/local/upload", name, string(data), "content", "iso"); got != "OK" {
			t.Fatal(got)
		}
		if kept, ok := w.sim.File("pve", "local:iso/"+name); !ok || !bytes.Equal(kept, data) {
			t.Fatal("the file that was uploaded is not kept")
		}
	}
	const installs = "#cloud-config\npackages:\n  - qemu-guest-agent\n"
	seed("seed.iso", installs, "")
	seed("fixed.iso", installs, "version: 2\nethernets:\n  any:\n    match: {name: 'e*'}\n    addresses: [10.1.2.3/24]\n")
	seed("comment.iso", "#cloud-config\n# qemu-guest-agent\npackages: [htop]\n", "")
	seed("broken.iso", "#cloud-config\npackages: [qemu-guest-agent\n", "")
	for i, tt := range []struct{ image, more, wait, want string }{
		{"agent.qcow2", "", "12s", "10.99."},
		{"agent.qcow2", "", "2s", noAgent},
		{"plain.qcow2", "", "10m", noAgent},
		{"dead.qcow2", "ide2=local-lvm:cloudinit&ipconfig0=ip=dhcp", "10m", noAgent},
		{"plain.qcow2", "ide2=local-lvm:cloudinit&ipconfig0=ip=dhcp", "10m", noAgent},
		{"plain.qcow2", "ide2=local:iso/seed.iso,media=cdrom", "12s", noAgent},
		{"plain.qcow2", "ide2=local:iso/seed.iso,media=cdrom", "1m", "10.99."},
		{"plain.qcow2", "ide2=local:iso/fixed.iso,media=cdrom", "1m", "10.1.2.3"},
		{"plain.qcow2", "ide2=local:iso/comment.iso,media=cdrom", "1m", noAgent},
		{"plain.qcow2", "ide2=local:iso/broken.iso,media=cdrom", "1m", noAgent},
		{"agent.qcow2", "ide2=local-lvm:cloudinit&ipconfig0=ip=10.9.8.7/24,gw=10.9.8.1", "12s", "10.9.8.7"},
		{"agent.qcow2", "ide2=local-lvm:cloudinit&ciuser=me", "12s", "fe80:"}, // no ipconfig: nothing sets the device up
	} {
		w.made(200+i, tt.image, tt.more, tt.wait)
		if got := w.addressOf(200 + i); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %s after %s: %s, not %s", tt.image, tt.more, tt.wait, got, tt.want)
		}
	}
	w.story(`
		POST /nodes/pve/qemu/206/status/stop               => OK
		PUT /nodes/pve/qemu/206/config?delete=ide2         => null
		DELETE /nodes/pve/storage/local/content/local:iso%2Fseed.iso => OK
		POST /nodes/pve/qemu/206/status/start              => OK
		wait 12s
	`)
	if got := w.addressOf(206); !strings.HasPrefix(got, "10.99.") {
		t.Errorf("what cloud-init installed is gone at the next boot: %s", got)
	}
}

// Without a server that gives addresses, cloud-init reaches no packages.
func TestFirstBootWithoutDHCP(t *testing.T) {
	t.Parallel()
	m := withImages()
	m.NoDHCP = true
	w := newWorld(t, m)
	w.made(200, "agent.qcow2", "", "1m")
	if got := w.addressOf(200); !strings.HasPrefix(got, "fe80:") {
		t.Error(got)
	}
}

// Disks come from images, from archives and from disks of other VMs.
func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withImages())
	w.story(`
		GET /nodes/pve/storage/local/import-metadata?volume=import/two.ova#create-args#name    => two
		GET /nodes/pve/storage/local/import-metadata?volume=import/two.ova#disks#scsi1#volid   => local:import/two.ova/one.vmdk
		GET /nodes/pve/storage/local/import-metadata?volume=import/plain.qcow2                 => 500 invalid format
		POST /nodes/pve/qemu?vmid=300&scsi0=local:0,import-from=local:import/two.ova/one.vmdk  => OK
		GET /nodes/pve/qemu/300/config#scsi0                                                   => local:300/vm-300-disk-0.vmdk,size=4G
		GET /nodes/pve/qemu/300/config#boot                                                    => order=scsi0
		POST /nodes/pve/qemu/300/config?scsi1=local-lvm:0,import-from=local:import/plain.qcow2 => OK
		GET /nodes/pve/qemu/300/config#scsi1                                                   => local-lvm:vm-300-disk-0,size=3G
		PUT /nodes/pve/qemu/300/resize?disk=scsi1&size=20G                                     => OK
		GET /nodes/pve/qemu/300/config#scsi1                                                   => local-lvm:vm-300-disk-0,size=20G
		POST /nodes/pve/qemu/300/config?scsi2=local-lvm:8,import-from=local:import/plain.qcow2 => 400 Parameter verification failed. scsi2: 'import-from' requires special syntax - use <storage ID>:0,import-from=<source>
		POST /nodes/pve/qemu?vmid=301&scsi0=local-lvm:0,import-from=local:import/no.qcow2      => unable to create VM 301 - failed to stat '/var/lib/vz/import/no.qcow2'
		GET /nodes/pve/qemu/301/config => 500 Configuration file 'nodes/pve/qemu-server/301.conf' does not exist
		POST /nodes/pve/qemu?vmid=301&ide0=local-lvm:cloudinit&ide2=local-lvm:cloudinit        => unable to create VM 301 - ide2 - cloud-init drive is already attached at 'ide0'
		POST /nodes/pve/qemu?vmid=301&ide0=local:cloudinit,format=raw&net0=virtio,bridge=vmbr0 => OK
		GET /nodes/pve/qemu/301/config#ide0                                                    => local:301/vm-301-cloudinit.raw,media=cdrom
		GET /nodes/pve/qemu/301/config#boot                                                    => order=ide0;net0
	`)
}

// Downloads are what the model's web serves.
func TestDownload(t *testing.T) {
	t.Parallel()
	m := withImages()
	file := pvesim.WebFile{URL: "https://images.test/a.qcow2", Size: 300 << 20, Image: pvesim.Image{System: "debian 12", Virtual: 2 << 30}}
	m.Web = []pvesim.WebFile{
		file, {URL: "https://images.test/gone.iso", Status: 404}, {URL: "https://images.test/far.iso", Unreachable: "Connection timed out"},
		{URL: "https://self-signed.test/a.iso", Size: 4096, Untrusted: true}, {URL: "https://images.test/page.qcow2", Size: 900, Corrupt: true},
		{URL: "https://images.test/huge.iso", Size: 1 << 50}, {URL: "https://images.test/packed.iso.gz", Size: 1 << 20, Unpacked: 5 << 20},
	}
	w := newWorld(t, m)
	const path = "POST /nodes/pve/storage/local/download-url?"
	w.story(`
		GET /nodes/pve/query-url-metadata?url=` + file.URL + `#size  => 3.145728e+08
		GET /nodes/pve/query-url-metadata?url=https://images.test/gone.iso  => 500 invalid server response: '404 Not Found'
		GET /nodes/pve/query-url-metadata?url=https://images.test/far.iso  => 500 invalid server response: '500 Can't connect to images.test:443 (Connection timed out)'
		` + path + `content=import&filename=a.qcow2&url=` + file.URL + `&checksum-algorithm=sha512&checksum=00  => checksum mismatch: got '` + file.Sum("sha512") + `' != expect '00'
		` + path + `content=import&filename=a.qcow2&url=` + file.URL + `&checksum-algorithm=sha512&checksum=` + file.Sum("sha512") + `  => OK
		` + path + `content=import&filename=a.qcow2&url=` + file.URL + `&checksum-algorithm=sha512&checksum=` + file.Sum("sha512") + `  => OK
		` + path + `content=import&filename=a.qcow2&url=` + file.URL + `  => refusing to override existing file '/var/lib/vz/import/a.qcow2'
		` + path + `content=iso&filename=gone.iso&url=https://images.test/gone.iso  => download failed: exit code 8
		` + path + `content=iso&filename=far.iso&url=https://images.test/far.iso  => download failed: exit code 4
		` + path + `content=iso&filename=s.iso&url=https://self-signed.test/a.iso  => download failed: exit code 5
		` + path + `content=iso&filename=s.iso&url=https://self-signed.test/a.iso&verify-certificates=0  => OK
		` + path + `content=iso&filename=huge.iso&url=https://images.test/huge.iso  => download failed: exit code 3
		` + path + `content=iso&filename=packed.iso&compression=gz&url=https://images.test/packed.iso.gz  => OK
		GET /nodes/pve/storage/local/content#local:iso/packed.iso#size  => 5.24288e+06
		POST /nodes/pve/aplinfo?storage=local&template=debian-12-standard_12.7-1_amd64.tar.zst  => OK
		POST /nodes/pve/aplinfo?storage=local&template=none  => 400 Parameter verification failed. template: no such template
		GET /nodes/pve/query-oci-repo-tags?reference=nginx  => [1.29 latest]
		POST /nodes/pve/storage/local/oci-registry-pull?reference=nginx:latest  => OK
		POST /nodes/pve/storage/local/oci-registry-pull?reference=nginx:latest  => 500 refusing to override existing file 'nginx_latest.tar'
		GET /nodes/pve/storage/local/content#local:vztmpl/nginx_latest.tar#format  => tar
	`)
	if got := w.answer("POST", "/nodes/pve/storage/local/download-url?content=import&filename=p.qcow2&url=https://images.test/page.qcow2"); !strings.HasSuffix(got, "Image is not in qcow2 format") {
		t.Error(got)
	}
}

// What a Terraform provider found: values are kept as PVE prints them, what is empty goes, and
// what cannot be is refused.
func TestSettingsAsPVEKeepsThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		PUT /nodes/pve1/qemu/104/config?scsi5=file=local-zfs:1,iothread=on,aio=io_uring => null
		GET /nodes/pve1/qemu/104/config#scsi5         => local-zfs:vm-104-disk-2,aio=io_uring,iothread=1,size=1G
		PUT /nodes/pve1/qemu/104/config?net1=bridge=vmbr0,model=virtio,macaddr=BC:24:11:00:00:01 => null
		GET /nodes/pve1/qemu/104/config#net1          => virtio=BC:24:11:00:00:01,bridge=vmbr0
		PUT /nodes/pve1/qemu/104/config?ide2=cdrom,media=cdrom => null
		GET /nodes/pve1/qemu/104/config#ide2          => cdrom,media=cdrom
		PUT /nodes/pve1/lxc/203/config?mp0=mp=mnt/x,volume=local-zfs:1 => null
		GET /nodes/pve1/lxc/203/config#mp0            => local-zfs:subvol-203-disk-1,mp=mnt/x,size=1G
		PUT /nodes/pve1/qemu/104/config?description=two%0A%0A&tags=B;a => null
		GET /nodes/pve1/qemu/104/config#description   => two
		GET /nodes/pve1/qemu/104/config#tags          => a;b
		PUT /nodes/pve1/qemu/104/config?description=&tags= => null
		GET /nodes/pve1/qemu/104/config#description   => null
		GET /nodes/pve1/qemu/104/config#tags          => null
		PUT /nodes/pve1/qemu/104/config?cpulimit=1.50 => null
		GET /nodes/pve1/qemu/104/config#cpulimit      => 1.50
		DELETE /nodes/pve1/storage/local/content/local:iso%2Fnone.iso => OK
		PUT /nodes/pve1/qemu/104/config?cores=        => 400 Parameter verification failed. cores: type check ('integer') failed - got ''
		PUT /nodes/pve1/lxc/203/config?unprivileged=0 => 500 unable to modify read-only option: 'unprivileged'
		PUT /nodes/pve1/lxc/203/config?delete=memory  => 500 unable to delete required option 'memory'
		PUT /access/users/ops@pve?comment=hi          => null
		PUT /access/users/ops@pve?comment=            => null
		GET /access/users/ops@pve#comment             => null
		POST /cluster/backup?id=jo&schedule=daily&vmid=100&storage=nfs&exclude-path=/a&exclude-path=/b&fleecing=enabled=1,storage=nfs => null
		GET /cluster/backup/jo#exclude-path            => [/a /b]
		GET /cluster/backup/jo#fleecing#enabled        => 1
		PUT /cluster/backup/none?comment=x            => 500 no such vzdump job
		DELETE /cluster/backup/none                   => 500 400 Parameter verification failed.
		POST /cluster/backup?schedule=daily&storage=nfs => 500 400 Parameter verification failed.
		PUT /nodes/pve3/qemu/105/config?balloon=512   => null
		GET /nodes/pve3/qemu/105/status/current#shares => 1000
		PUT /nodes/pve1/qemu/104/config?balloon=0     => null
		GET /nodes/pve1/qemu/104/status/current#ballooninfo => null
	`)
	for change, want := range map[string]string{
		"qemu/104/config?machine=foo":               "machine.type: value does not match the regex pattern",
		"lxc/203/config?mp1=local-zfs:1,mp=/a/../x": "mp1.mp: invalid format - /a/../x contains illegal character sequences",
	} {
		if got := w.answer("PUT", "/nodes/pve1/"+change); !strings.HasPrefix(got, "400 ") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", change, got)
		}
	}
}

// PVE takes a bridge that there is not. The start fails.
func TestBridgeThatIsNotThere(t *testing.T) {
	t.Parallel()
	m := pvesim.Lab()
	m.Nodes[0].Bridges = []string{"vmbr1"}
	newWorld(t, m).story(`
		POST /nodes/pve/qemu?vmid=200&net0=virtio,bridge=nobridge  => OK
		POST /nodes/pve/qemu/200/status/start                      => start failed: QEMU exited with code 1
		PUT /nodes/pve/qemu/200/config?net0=virtio,bridge=vmbr1    => null
		POST /nodes/pve/qemu/200/status/start                      => OK
		POST /nodes/pve/lxc?vmid=201&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst&storage=local-lvm&net0=name=eth0,bridge=nobridge  => OK
		POST /nodes/pve/lxc/201/status/start                       => startup for container '201' failed
	`)
}

// An OCI image sets its variables and its first process, whatever the call says.
func TestContainerOfOCIImage(t *testing.T) {
	t.Parallel()
	m := pvesim.Lab()
	m.PVE = "9.1.1"
	w := newWorld(t, m)
	w.story(`
		POST /nodes/pve/storage/local/oci-registry-pull?reference=postgres:18  => OK
		POST /nodes/pve/lxc?vmid=200&ostemplate=local:vztmpl/postgres_18.tar&storage=local-lvm&net0=name=eth0,bridge=vmbr0,ip=10.1.1.1/24&entrypoint=/bin/true  => OK
		GET /nodes/pve/lxc/200/config#entrypoint  => docker-entrypoint.sh postgres
		GET /nodes/pve/lxc/200/config#env         => PGDATA=/var/lib/postgresql/18/docker
		POST /nodes/pve/lxc/200/status/start      => OK
	`)
	r := w.do("GET", "/nodes/pve/lxc/200/interfaces", nil)
	if got := within(r.Body.Data, "eth0").(map[string]any)["inet"]; got != "10.1.1.1/24" {
		t.Error(got)
	}
	m.PVE = "8.4.1"
	newWorld(t, m).story("GET /nodes/pve/query-oci-repo-tags?reference=nginx  => 501 Method 'GET /nodes/pve/query-oci-repo-tags' not implemented")
}

// isoOf makes an image with genisoimage, as PVE does.
func isoOf(t *testing.T, label string, files map[string]string) []byte {
	t.Helper()
	tool, err := exec.LookPath("genisoimage")
	if err != nil {
		t.Skip("genisoimage is not installed")
	}
	dir := t.TempDir()
	for name, text := range files {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "out.iso")
	if text, err := exec.Command(tool, "-quiet", "-J", "-R", "-V", label, "-o", out, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
