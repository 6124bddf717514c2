package provision_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kdomanski/iso9660"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// seedFiles are the files that cloud-init reads on a CD.
var seedFiles = []string{"meta-data", "network-config", "user-data"}

// uploadedSeed tries to make a VM, and returns the CD that was uploaded for it: it stays, since
// nothing that was made is taken away.
func uploadedSeed(t *testing.T, args string) []byte {
	t.Helper()
	var image []byte
	synctest.Test(t, func(t *testing.T) {
		m := withImages()
		m.Faults = append(m.Faults, pvesim.Fault{Match: "POST /nodes/*/qemu", Status: 500, Message: "no"})
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		a := w.Call("pve_create_vm", args)
		now, err := w.Sim.Model()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(now.Volumes, func(v pvesim.Volume) bool { return strings.Contains(v.ID, "iso/seed-") })
		if i < 0 {
			t.Fatalf("no CD was uploaded: %s", a.Text)
		}
		var found bool
		if image, found = w.Sim.File(now.Volumes[i].Node, now.Volumes[i].ID); !found {
			t.Fatalf("%s has no content", now.Volumes[i].ID)
		}
	})
	return image
}

func seeds(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"keys, by DHCP": uploadedSeed(t, fmt.Sprintf(`{"name":"web-4","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","user":"anna","ssh_keys":[%q],"keep":true,"wait":45}`, key)),
		"user-data, two NICs": uploadedSeed(t, `{"name":"web-5","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","keep":true,"set":{"nameserver":"10.10.1.2"},`+
			`"nics":["bridge=vmbr0,ip=10.10.1.64/24,gw=10.10.1.1,ip6=2001:db8::5/64,gw6=2001:db8::1","bridge=vmbr0"],`+
			`"user_data":"#cloud-config\nusers: [default, {name: bob, lock_passwd: true}]\nwrite_files: [{path: /etc/motd, content: \"größer\\n\"}]\n","wait":45}`),
	}
}

// The CD has cloud-init's label, and its files by the names by which cloud-init looks for them.
func TestSeedISO(t *testing.T) {
	for name, image := range seeds(t) {
		t.Run(name, func(t *testing.T) {
			read, err := iso9660.OpenImage(bytes.NewReader(image))
			if err != nil {
				t.Fatal(err)
			}
			if label, err := read.Label(); err != nil || label != "cidata" {
				t.Errorf("the label is %q: %v", label, err)
			}
			root, err := read.RootDir()
			if err != nil {
				t.Fatal(err)
			}
			children, err := root.GetChildren()
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range children {
				data, err := io.ReadAll(f.Reader())
				if err != nil {
					t.Fatal(err)
				}
				files[f.Name()] = string(data)
			}
			if !strings.HasPrefix(files["user-data"], "#cloud-config\n") || !strings.Contains(files["meta-data"], "instance-id: i-") {
				t.Errorf("%q", files)
			}
			compareWithGenisoimage(t, image, files)
			checkWithCloudInit(t, files)
		})
	}
}

// program skips a test for which a program is missing.
func program(t *testing.T, name, what string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("1 %s not checked: there is no %s", what, name)
	}
}

// run runs a program, and returns what it prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

// write writes files to a folder of their own.
func write(t *testing.T, files map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// compareWithGenisoimage checks that isoinfo reads the same from our CD as from that which
// genisoimage makes of the same files, as cloud-init's documentation says.
func compareWithGenisoimage(t *testing.T, image []byte, files map[string]string) {
	t.Run("genisoimage", func(t *testing.T) {
		program(t, "isoinfo", "CD")
		program(t, "genisoimage", "CD")
		folder := write(t, map[string]string{"ours.iso": string(image)})
		theirs, ours := filepath.Join(folder, "theirs.iso"), filepath.Join(folder, "ours.iso")
		var paths []string
		in := write(t, files)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			paths = append(paths, filepath.Join(in, name))
		}
		run(t, "genisoimage", append([]string{"-quiet", "-output", theirs, "-volid", "cidata", "-joliet", "-rock"}, paths...)...)
		volume := func(iso string) string {
			for line := range strings.Lines(run(t, "isoinfo", "-d", "-i", iso)) {
				if id, found := strings.CutPrefix(line, "Volume id: "); found {
					return strings.TrimSpace(id)
				}
			}
			return ""
		}
		if volume(ours) != "cidata" || volume(theirs) != "cidata" {
			t.Errorf("the label is %q, and %q by genisoimage", volume(ours), volume(theirs))
		}
		// Linux cuts the version off where a CD has no Rock Ridge names.
		if got, want := strings.ReplaceAll(run(t, "isoinfo", "-f", "-i", ours), ";1", ""), run(t, "isoinfo", "-R", "-f", "-i", theirs); got != want {
			t.Errorf("it has %q, and by genisoimage %q", got, want)
		}
		for _, name := range seedFiles {
			got, want := run(t, "isoinfo", "-i", ours, "-x", "/"+name+";1"), run(t, "isoinfo", "-R", "-i", theirs, "-x", "/"+name)
			if got != want || got != files[name] {
				t.Errorf("%s is %q, and %q by genisoimage, want %q", name, got, want, files[name])
			}
		}
	})
}

// checkWithCloudInit checks the files by cloud-init itself.
func checkWithCloudInit(t *testing.T, files map[string]string) {
	t.Run("cloud-init", func(t *testing.T) {
		program(t, "cloud-init", "user-data")
		folder := write(t, files)
		if out := run(t, "cloud-init", "schema", "--config-file", filepath.Join(folder, "user-data")); !strings.Contains(out, "Valid") {
			t.Error(out)
		}
		if files["network-config"] == "" {
			return
		}
		run(t, "cloud-init", "devel", "net-convert", "--network-data", filepath.Join(folder, "network-config"), "--kind", "yaml", "--directory", folder, "--distro", "debian", "--output-kind", "eni")
		out := run(t, "cat", filepath.Join(folder, "etc/network/interfaces.d/50-cloud-init"))
		for _, want := range []string{"iface eth0 inet static\n    address 10.10.1.64/24", "gateway 10.10.1.1", "address 2001:db8::5/64", "gateway 2001:db8::1", "dns-nameservers 10.10.1.2", "iface eth1 inet dhcp"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %s", out, want)
			}
		}
	})
}

// No VM ever has two drives from which cloud-init could read: it would take one by chance.
func TestOneDriveForCloudInit(t *testing.T) {
	const userData = `"user_data":"#cloud-config\npackages: [qemu-guest-agent]\n"`
	for _, tt := range []struct{ name, args, set string }{
		{"an image with user-data", `{"name":"x","source":"nfs:import/noble-server-cloudimg-amd64.qcow2",` + userData + `,"start":false}`, ""},
		{"an image with keys", fmt.Sprintf(`{"name":"x","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","ssh_keys":[%q],"start":false}`, key), ""},
		{"a template with user-data", `{"name":"x","source":"901",` + userData + `,"start":false}`, ""},
		{"a template with keys", fmt.Sprintf(`{"name":"x","source":"901","ssh_keys":[%q],"start":false}`, key), ""},
		{"a template with a CD that was left, and user-data", `{"name":"x","source":"901",` + userData + `,"start":false}`, "sata1"},
		{"a template with a CD that was left, and keys", fmt.Sprintf(`{"name":"x","source":"901","ssh_keys":[%q],"start":false}`, key), "sata1"},
		{"a template with a CD that was left, and nothing", `{"name":"x","source":"901","start":false}`, "sata1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := withImages()
				m.Volumes = append(m.Volumes, pvesim.Volume{ID: "nfs:iso/seed-901-abcd2345.iso", Content: "iso", Size: 1 << 20})
				for i := range m.Guests {
					if m.Guests[i].VMID == 901 && tt.set != "" {
						m.Guests[i].Config[tt.set] = "nfs:iso/seed-901-abcd2345.iso,media=cdrom"
					}
				}
				w := sim.New(t, sim.Options{Model: m, Token: everyone})
				a := w.Call("pve_create_vm", strings.TrimSuffix(tt.args, "}")+`,"wait":45}`)
				if a.Outcome != tool.OK {
					t.Fatalf("%s", a.Text)
				}
				var drives []string
				for key, value := range guestNamed(t, w, "x").Config {
					if strings.Contains(value, "iso/seed-") || strings.Contains(value, "cloudinit") {
						drives = append(drives, key+": "+value)
					}
				}
				if len(drives) != 1 {
					t.Errorf("it has %q: %s", drives, a.Text)
				}
			})
		})
	}
}
