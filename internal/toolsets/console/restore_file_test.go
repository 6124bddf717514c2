package console_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	backupOfVM = "pbs:backup/vm/102/1999-12-31T03:00:00Z"
	backupOfCT = "pbs:backup/ct/202/1999-12-27T03:00:00Z"
	elsewhere  = "nfs:backup/vzdump-qemu-100-1999_12_31-02_00_00.vma.zst"
	firstPart  = "/drive-scsi0.img.fidx/part/1"
)

// archived is the preset cluster with backups that have files.
func archived(version string, changes ...func(*pvesim.Model)) *pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = version
	files := map[string]string{"/etc/app.conf": "port=80\n", "/var/log/big": strings.Repeat("0123456789", 30_000), "/srv/ä b": "\x00\xff"}
	for i := range 150 {
		files[fmt.Sprintf("/srv/many/f%03d", i)] = "x"
	}
	m.Volumes = append(m.Volumes,
		pvesim.Volume{ID: backupOfVM, Content: "backup", Format: "pbs-vm", Size: 1 << 30, VMID: 102, Files: files},
		pvesim.Volume{ID: backupOfCT, Content: "backup", Format: "pbs-ct", Size: 1 << 30, VMID: 202, Age: 5 * 24 * time.Hour, Files: files},
		pvesim.Volume{ID: elsewhere, Content: "backup", Format: "vma.zst", Size: 1 << 30, VMID: 100},
	)
	for _, change := range changes {
		change(&m)
	}
	return &m
}

func inBackup(archive, path, more string) string {
	return fmt.Sprintf(`{"archive":%q,"path":%q%s}`, archive, path, more)
}

// Folders of a backup are listed, in parts if they are large.
func TestListArchive(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.1"} {
		tells := func(name, args string, says ...string) sim.Story {
			return sim.Story{Name: name + " on " + version, Options: sim.Options{Model: archived(version)}, Args: args, Outcome: tool.OK, Says: says}
		}
		sim.Tell(t, "pve_restore_file", []sim.Story{
			tells("the root of a VM", fmt.Sprintf(`{"archive":%q}`, backupOfVM), `{"name":"drive-scsi0.img.fidx","type":"volume"}`),
			tells("the root of a container", fmt.Sprintf(`{"archive":%q}`, backupOfCT), `[{"name":"root.pxar.didx","type":"folder"}]`),
			tells("a folder", inBackup(backupOfVM, firstPart+"/etc/", ""), `{"name":"app.conf","type":"file","size":8,"changed":"`, `{"name":"hostname","type":"file"`, `"total":3`),
			tells("a folder of a container", inBackup(backupOfCT, "root.pxar.didx/srv", ""), `{"name":"ä b","type":"file","size":2`, `{"name":"many","type":"folder"}`),
			tells("a large folder", inBackup(backupOfCT, "/root.pxar.didx/srv/many", ""), `"total":150`, `"left_out":50`, `"f099"`, "offset"),
			tells("its end", inBackup(backupOfCT, "/root.pxar.didx/srv/many", `,"offset":149`), `"entries":[{"name":"f149"`, `"total":150`),
			tells("a guest's newest backup", `{"source_guest":202}`, `"archive":"`+backupOfCT, "the newest good one of CT 202", "it is not on a Proxmox Backup Server"),
			tells("a file", inBackup(backupOfCT, "/root.pxar.didx/etc/app.conf", ""), "is no folder", `"next":"Give local_path to save it."`),
		})
	}
}

// A file, and a folder as a zip, come whole to where they are to be.
func TestRestoreFile(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.1.1"} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: archived(version), Policy: policy.Policy{Exec: true}})
			w.Host.FilesDir = t.TempDir()
			at := func(name string) string { return filepath.Join(w.Host.FilesDir, name) }
			a := w.Call("pve_restore_file", inBackup(backupOfVM, firstPart+"/var/log/big", `,"local_path":"logs/big"`))
			data, err := os.ReadFile(at("logs/big"))
			if a.Outcome != tool.OK || err != nil || len(data) != 300_000 ||
				a.Fields["sha256"] != fmt.Sprintf("%x", sha256.Sum256(data)) || a.Fields["size"] != 300_000.0 || a.Fields["local_path"] != at("logs/big") {
				t.Errorf("%d bytes, %v: %s", len(data), err, a.Text)
			}
			a = w.Call("pve_restore_file", inBackup(backupOfCT, "/root.pxar.didx/srv/ä b", `,"local_path":"b"`))
			if data, err := os.ReadFile(at("b")); err != nil || string(data) != "\x00\xff" {
				t.Errorf("%q, %v: %s", data, err, a.Text)
			}
			a = w.Call("pve_restore_file", inBackup(backupOfCT, "/root.pxar.didx/srv", `,"local_path":"srv.zip"`))
			z, err := zip.OpenReader(at("srv.zip"))
			if a.Outcome != tool.OK || err != nil || len(z.File) != 151 || !strings.Contains(a.Text, "The folder, as a zip,") {
				t.Fatalf("%v: %s", err, a.Text)
			}
			_ = z.Close()
			a = w.Call("pve_restore_file", inBackup(backupOfCT, "/root.pxar.didx/etc/app.conf", `,"local_path":"b"`))
			if data, _ := os.ReadFile(at("b")); a.Outcome != tool.Failed || !strings.Contains(a.Text, "There is a file") || string(data) != "\x00\xff" {
				t.Errorf("%q: %s", data, a.Text)
			}
			a = w.Call("pve_restore_file", inBackup(backupOfCT, "/root.pxar.didx/etc/app.conf", `,"local_path":"b","overwrite":true`))
			if data, _ := os.ReadFile(at("b")); a.Outcome != tool.OK || string(data) != "port=80\n" {
				t.Errorf("%q: %s", data, a.Text)
			}
		})
	}
}

// A human agrees to exactly one look, and to one download.
func TestRestoreFileWithConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: archived("9.1.1"), Policy: policy.Policy{Exec: true, Confirm: policy.Human}})
		w.Host.FilesDir = t.TempDir()
		restore, _ := toolset.Named("pve_restore_file")
		for _, more := range []string{"", `,"local_path":"a"`} {
			req := tool.Request{Arguments: json.RawMessage(inBackup(backupOfCT, "/root.pxar.didx/etc/app.conf", more)), Caller: "test", CanAsk: true}
			asked := restore.Call(t.Context(), w.Host, req)
			if asked.Question == nil || !strings.Contains(asked.Question.Message, "app.conf") || strings.Contains(strings.Join(w.Sent(), " "), "file-restore") {
				t.Fatalf("%+v", asked)
			}
			req.State, req.Reply = asked.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
			if a := restore.Call(t.Context(), w.Host, req); a.Outcome != tool.OK {
				t.Errorf("agreed: %s", a.Text)
			}
			if a := restore.Call(t.Context(), w.Host, req); a.Outcome == tool.OK {
				t.Errorf("once more: %s", a.Text)
			}
			w.Sent()
		}
	})
}

// shortened is a wire that cuts what is downloaded.
type shortened struct{ http.RoundTripper }

func (s shortened) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(req)
	if err == nil && strings.HasSuffix(req.URL.Path, "/file-restore/download") {
		data, _ := io.ReadAll(resp.Body)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data[:len(data)-1])), -1
	}
	return resp, err
}

// A download that PVE has ended early, which it does not say, is not saved.
func TestRestoreFileCutShort(t *testing.T) {
	for _, file := range []string{"/root.pxar.didx/etc/app.conf", "/root.pxar.didx/srv"} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: archived("9.1.1"), Policy: policy.Policy{Exec: true}, Wire: func(next http.RoundTripper) http.RoundTripper { return shortened{next} }})
			w.Host.FilesDir = t.TempDir()
			a := w.Call("pve_restore_file", inBackup(backupOfCT, file, `,"local_path":"a"`))
			if left, _ := os.ReadDir(w.Host.FilesDir); a.Outcome != tool.Failed || !strings.Contains(a.Text, "Nothing was saved.") || len(left) > 0 {
				t.Errorf("%v: %s", left, a.Text)
			}
		})
	}
}

// What cannot be restored is refused with what helps, and nothing is written.
func TestRestoreFileRefused(t *testing.T) {
	only, err := policy.ParseCommands("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	on := policy.Policy{Exec: true}
	file := inBackup(backupOfCT, "/root.pxar.didx/etc/app.conf", `,"local_path":"a"`)
	starting := func(m *pvesim.Model) {
		m.Faults = append(m.Faults, pvesim.Fault{Match: "GET /nodes/*/storage/*/file-restore/list", Status: 503, Message: "still starting"})
	}
	for _, tt := range []struct {
		name   string
		policy policy.Policy
		token  string
		model  *pvesim.Model
		noDir  bool
		args   string
		want   string
	}{
		{name: "commands are off", args: file, want: "commands in guests are off"},
		{name: "only some commands", policy: policy.Policy{Exec: true, ExecAllow: only}, args: file, want: "PVE_MCP_EXEC_ALLOW or PVE_MCP_FILES_ALLOW limits which are used"},
		{name: "a human's consent", policy: policy.Policy{Exec: true, Confirm: policy.Human}, args: file, want: "it needs a human's consent"},
		{name: "no backup at all", policy: on, args: `{"path":"/etc"}`, want: `The argument \"archive\" is needed`},
		{name: "two backups", policy: on, args: fmt.Sprintf(`{"archive":%q,"source_guest":202}`, backupOfCT), want: "leave archive out"},
		{name: "none on a backup server", policy: on, args: `{"source_guest":100}`, want: "it is not on a Proxmox Backup Server"},
		{name: "no backup server", policy: on, args: inBackup(elsewhere, "/", ""), want: elsewhere + " is not on a Proxmox Backup Server"},
		{name: "no backup", policy: on, args: `{"archive":"local:iso/a.iso"}`, want: "which is not the name of a backup"},
		{name: "a backup that is gone", policy: on, args: `{"archive":"pbs:backup/vm/102/1990-01-01T00:00:00Z"}`, want: "not found"},
		{name: "no storage", policy: on, args: `{"archive":"tape:backup/vm/102/1999-12-31T03:00:00Z"}`, want: `There is no storage \"tape\"`},
		{name: "no file", policy: on, args: inBackup(backupOfCT, "/root.pxar.didx/none", `,"local_path":"a"`), want: "There is no /root.pxar.didx/none"},
		{name: "no folder", policy: on, args: inBackup(backupOfCT, "/etc", ""), want: "There is no /etc"},
		{name: "the root", policy: on, args: inBackup(backupOfCT, "/", `,"local_path":"a"`), want: "is the root of the backup"},
		{name: "outside", policy: on, args: inBackup(backupOfCT, "/x", `,"local_path":"../a"`), want: "which is not below"},
		{name: "no folder is set", policy: on, noDir: true, args: file, want: "PVE_MCP_FILES is not set"},
		{name: "nothing to overwrite", policy: on, args: inBackup(backupOfCT, "/x", `,"overwrite":true`), want: "goes with local_path"},
		{name: "no privilege", policy: on, token: "audit@pve!mcp", args: file, want: "lacks Datastore.AllocateSpace on /storage/pbs"},
		{name: "it starts", policy: on, model: archived("9.1.1", starting), args: file, want: "is not open yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.model == nil {
					tt.model = archived("9.1.1")
				}
				w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token, Policy: tt.policy})
				dir := t.TempDir()
				if !tt.noDir {
					w.Host.FilesDir = dir
				}
				a := w.Call("pve_restore_file", tt.args)
				if a.Outcome != tool.Failed && a.Fault == tool.NoFault || !strings.Contains(a.Text, tt.want) {
					t.Error(a.Text)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("%v %v", left, err)
				}
			})
		})
	}
}
