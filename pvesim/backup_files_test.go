package pvesim_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Single files of a backup on a backup server, of a VM and of a container.
func TestFilesOfABackup(t *testing.T) {
	m := pvesim.Cluster()
	m.Volumes = append(m.Volumes,
		pvesim.Volume{ID: "pbs:backup/vm/102/2026-11-20T01:00:00Z", Content: "backup", Format: "pbs-vm", VMID: 102, Size: 1 << 30, Files: map[string]string{"/etc/app/a.conf": "a=1\n", "/etc/app/b.conf": "b=2\n"}},
		pvesim.Volume{ID: "pbs:backup/ct/200/2026-11-20T01:00:00Z", Content: "backup", Format: "pbs-ct", VMID: 200, Size: 1 << 30, Files: map[string]string{"/srv/x": "x"}})
	w := newWorld(t, m)
	const list, vm, ct = "/nodes/pve1/storage/pbs/file-restore/list", "pbs:backup/vm/102/2026-11-20T01:00:00Z", "ct/200/2026-11-20T01:00:00Z"
	names := func(volume, path string) (out string) {
		t.Helper()
		if path != "/" {
			path = base64.StdEncoding.EncodeToString([]byte(path))
		}
		r := w.do("GET", list, url.Values{"volume": {volume}, "filepath": {path}})
		items, _ := r.Body.Data.([]any)
		if items == nil {
			return r.Reason
		}
		for _, item := range items {
			entry := item.(map[string]any)
			out += entry["text"].(string) + " " + entry["type"].(string) + ";"
		}
		return out
	}
	for _, tt := range []struct{ volume, path, want string }{
		{vm, "/", "drive-scsi0.img.fidx v;"},
		{vm, "/drive-scsi0.img.fidx", "part v;"},
		{vm, "/drive-scsi0.img.fidx/part", "1 v;"},
		{vm, "/drive-scsi0.img.fidx/part/1/etc", "app d;fstab f;hostname f;"},
		{vm, "/drive-scsi0.img.fidx/part/1/etc/app/a.conf", "a.conf f;"},
		{vm, "/nothing", "path '/nothing' not found in archive"},
		{ct, "/", "root.pxar.didx d;"},
		{ct, "/root.pxar.didx/srv", "x f;"},
		{"vm/102/2020-01-01T00:00:00Z", "/", "unable to open snapshot 'vm/102/2020-01-01T00:00:00Z' - not found"},
	} {
		if got := names(tt.volume, tt.path); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.volume, tt.path, got, tt.want)
		}
	}
	fetch := func(path string) []byte {
		t.Helper()
		head := http.Header{"Authorization": {w.model.Token(w.token).Header()}}
		resp, err := w.sim.Do(t.Context(), pvesim.Request{Method: "GET", Path: "/api2/json/nodes/pve1/storage/pbs/file-restore/download", Header: head,
			Query: url.Values{"volume": {vm}, "filepath": {base64.StdEncoding.EncodeToString([]byte(path))}}.Encode()})
		if err != nil || resp.Status != 200 || resp.Header.Get("Content-Type") != "application/octet-stream" {
			t.Fatalf("%d %v %v", resp.Status, resp.Header, err)
		}
		return resp.Body
	}
	if got := fetch("/drive-scsi0.img.fidx/part/1/etc/app/b.conf"); string(got) != "b=2\n" {
		t.Errorf("the file: %q", got)
	}
	folder := fetch("/drive-scsi0.img.fidx/part/1/etc/app")
	z, err := zip.NewReader(bytes.NewReader(folder), int64(len(folder)))
	if err != nil || len(z.File) != 2 || z.File[0].Name != "app/a.conf" {
		t.Errorf("the folder: %v, %v", z, err)
	}
	w.story(`GET /nodes/pve1/storage/pbs/file-restore/list?volume=local:backup/x&filepath=/ => 400 Parameter verification failed. volume: storage ID mismatch (local != pbs).`)
}
