package pvesim_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// sendFile uploads a file after some fields, and returns the answer and the exit of
// its task.
func (w *world) sendFile(path, name, content string, fields ...string) string {
	w.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			w.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("filename", name)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := part.Write([]byte(content)); err != nil {
		w.Fatal(err)
	}
	if err := form.Close(); err != nil {
		w.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.Context(), "POST", w.sim.URL()+"/api2/json"+path, &body)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", w.model.Token(w.token).Header())
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := (&http.Client{Transport: w.sim.Transport()}).Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return resp.Status
	}
	var answer struct{ Data string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		w.Fatal(err)
	}
	return w.exit(answer.Data)
}

// Files come to a storage by upload, from a URL, or as an empty disk.
func TestFilesComeToStorages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Lab())
	const path = "/nodes/pve/storage/local/upload"
	for _, tt := range []struct{ name, want string }{
		{"my image.iso", "OK"}, {"image.txt", "400 Parameter verification failed."},
	} {
		if got := w.sendFile(path, tt.name, "0123456789", "content", "iso"); got != tt.want {
			t.Errorf("%s: %s, not %s", tt.name, got, tt.want)
		}
	}
	const sum = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
	if got := w.sendFile(path, "a.tar.gz", "0123456789", "content", "vztmpl", "checksum-algorithm", "sha256", "checksum", sum); got != "OK" {
		t.Error(got)
	}
	if got, want := w.sendFile(path, "b.iso", "x", "content", "iso", "checksum-algorithm", "sha256", "checksum", sum),
		"checksum mismatch: got '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881' != expect '"+sum+"'"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	large := string(bytes.Repeat([]byte("x"), 2<<20)) // more than any other request may have
	if got := w.sendFile(path, "large.iso", large, "content", "iso"); got != "OK" {
		t.Error(got)
	}
	w.story(`
		GET /nodes/pve/storage/local/content#local:iso/my_image.iso#size => 10
		GET /nodes/pve/storage/local/content#local:iso/large.iso#size    => 2.097152e+06
		GET /nodes/pve/storage/local/content#local:iso/b.iso             => null
		POST /nodes/pve/storage/local-lvm/upload?content=iso&filename=a.iso => 500 can't upload to storage type 'lvmthin'
		POST /nodes/pve/storage/local/download-url?content=iso&filename=d.iso&url=https://example.org/d.iso => OK
		GET /nodes/pve/storage/local/content#local:iso/d.iso#format      => iso
		POST /nodes/pve/storage/local/download-url?content=iso&filename=d.iso&url=https://example.org/d.iso => refusing to override existing file '/var/lib/vz/template/iso/d.iso'
		POST /nodes/pve/storage/local/download-url?content=iso&filename=d.txt&url=https://example.org/d => 400 Parameter verification failed. filename: wrong file extension
		POST /nodes/pve/storage/local-lvm/content?filename=vm-100-disk-9&size=1G&vmid=100 => local-lvm:vm-100-disk-9
		POST /nodes/pve/storage/local-lvm/content?filename=vm-100-disk-9&size=1G&vmid=100 => 500 disk image '/dev/pve/vm-100-disk-9' already exists
		POST /nodes/pve/storage/local-lvm/content?filename=disk&size=1G&vmid=100 => 500 illegal name 'disk' - should be 'vm-100-*'
		PUT /nodes/pve/qemu/100/config?scsi9=local-lvm:vm-100-disk-9     => null
		GET /nodes/pve/qemu/100/config#scsi9                             => local-lvm:vm-100-disk-9,size=1G
	`)
}

// Storages are added, changed and forgotten.
func TestStorageAdministration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		POST /storage?storage=new&type=dir                               => 500 missing value for required option 'path'
		POST /storage?storage=new&type=dir&path=/srv/new&server=a        => 500 unexpected property 'server'
		POST /storage?storage=new&type=dir&path=srv                      => 400 Parameter verification failed. path: invalid format - value does not look like a valid absolute path
		POST /storage?storage=local&type=dir&path=/srv/new               => 500 create storage failed: storage ID 'local' already defined
		POST /storage?storage=new&type=nfs&server=10.0.0.9&export=/srv&content=iso,images&nodes=pve1,pve2 => map[storage:new type:nfs]
		GET /storage#new#server                                          => 10.0.0.9
		GET /storage/new#nodes                                           => pve1,pve2
		GET /nodes/pve1/storage#new#active                               => 1
		GET /nodes/pve3/storage#new#enabled                              => 0
		GET /cluster/resources?type=storage#storage/pve1/new#status      => available
		PUT /storage/new?server=10.0.0.10                                => 500 update storage failed: can't change value of fixed parameter 'server'
		PUT /storage/new?digest=abc&content=iso                          => 500 update storage failed: detected modified configuration - file changed by other user? Try again.
		PUT /storage/new?delete=server                                   => 500 update storage failed: unable to delete required option 'server'
		PUT /storage/new?delete=nodes&content=images,backup              => map[storage:new type:nfs]
		GET /nodes/pve3/storage#new#content                              => images,backup
		POST /nodes/pve1/storage/new/content?filename=vm-100-disk-5.raw&size=1G&vmid=100 => new:100/vm-100-disk-5.raw
		PUT /nodes/pve1/qemu/100/config?scsi5=new:100/vm-100-disk-5.raw  => null
		PUT /storage/nosuch?content=iso                                  => 500 update storage failed: storage 'nosuch' does not exist
		DELETE /storage/new                                              => null
		GET /storage/new                                                 => 500 storage 'new' does not exist
		GET /nodes/pve1/qemu/100/config#scsi5                            => new:100/vm-100-disk-5.raw,size=1G
		GET /nodes/pve1/qemu/100/migrate#running                         => 1
		DELETE /storage/new                                              => 500 delete storage failed: storage 'new' does not exist
		as audit@pve!mcp
		POST /storage?storage=new&type=dir&path=/srv                     => 403 Permission check failed (/storage, Datastore.Allocate)
	`)
	if _, err := w.sim.Model(); err != nil {
		t.Error(err)
	}
}
