package live_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/pve"
)

// sink is a wire on which PVE answers everything with a status, or not at all.
type sink struct {
	sent   []string
	status int
}

func (s *sink) RoundTrip(req *http.Request) (*http.Response, error) {
	s.sent = append(s.sent, req.Method+" "+req.URL.Path)
	if s.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: s.status, Body: http.NoBody}, nil
}

func fence(s *sink) *live.Fence {
	return &live.Fence{Base: s, IDs: live.Range{First: 9000, Last: 9009}, Node: "pve", Backups: "local"}
}

// try sends METHOD /path?parameters, and returns why it was not sent, "" if it was.
func try(t *testing.T, f *live.Fence, call string) string {
	t.Helper()
	method, target, _ := strings.Cut(call, " ")
	path, query, _ := strings.Cut(target, "?")
	address, body := "https://pve:8006/api2/json"+path, ""
	if method == http.MethodPost || method == http.MethodPut {
		body = query
	} else if query != "" {
		address += "?" + query
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	below := f.Base.(*sink)
	before := len(below.sent)
	resp, err := f.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	var fenced *live.FencedError
	switch left := len(below.sent) > before; {
	case errors.As(err, &fenced) == left:
		t.Fatalf("%s: %v, and whether it was sent: %v", call, err, left)
	case left:
		return ""
	}
	return fenced.Reason
}

const (
	passes    = ""
	outside   = "is not in the scratch range 9000-9009"
	notMade   = "was not made by it"
	unknown   = "no story that can run anywhere writes to it"
	otherNode = "the node of this run is pve"
	oneBackup = "a backup is of one guest"
)

// What passes while the run has made the guest 9000, and not 9001.
func TestFence(t *testing.T) {
	esc := url.PathEscape
	for _, tt := range []struct{ call, want string }{
		{"GET /nodes/other/qemu/100/config", passes},
		{"PUT /nodes/pve/qemu/9000/config?cores=2", passes},
		{"PUT /nodes/pve/lxc/9000/resize?disk=rootfs&size=%2B1G", passes},
		{"POST /nodes/pve/qemu/9000/status/start", passes},
		{"DELETE /nodes/pve/qemu/9000?purge=1", passes},
		{"DELETE /nodes/pve/qemu/9000/snapshot/monday", passes},
		{"POST /nodes/pve/qemu/9000/snapshot/monday/rollback", passes},
		{"PUT /nodes/pve/qemu/9000/config?scsi1=" + esc("local-zfs:vm-9000-disk-1"), passes},
		{"PUT /nodes/pve/qemu/9000/config?ide2=" + esc("local:iso/debian-12-disk.iso,media=cdrom"), passes},

		{"PUT /nodes/pve/qemu/100/config?cores=2", outside},
		{"PUT /nodes/pve/qemu/90000/config?cores=2", outside},
		{"PUT /nodes/pve/qemu/9010/config?cores=2", outside},
		{"PUT /nodes/pve/qemu/9001/config?cores=2", notMade},
		{"PUT /nodes/pve/qemu/x/config?cores=2", outside},
		{"PUT /nodes/pve/qemu/100%2F..%2F9000/config?cores=2", outside},
		{"DELETE /nodes/pve/lxc/100", outside},
		{"DELETE /nodes/pve/lxc/9001", notMade},
		{"DELETE /nodes/pve/lxc/9000?destroy-unreferenced-disks=1", "may be another's"},
		{"PUT /nodes/other/qemu/9000/config?cores=2", otherNode},
		{"PUT /nodes/pve/qemu/9000/config?scsi1=" + esc("local-zfs:vm-100-disk-1"), outside},
		{"PUT /nodes/pve/qemu/9000/config?scsi1=" + esc("nfs:100/vm-100-disk-1.qcow2"), outside},
		{"PUT /nodes/pve/lxc/9000/config?mp0=" + esc("local-zfs:subvol-9001-disk-0,mp=/srv"), notMade},
		{"PUT /nodes/pve/qemu/9000/config?scsi1=" + esc("local-zfs:base-900-disk-0/vm-9000-disk-0"), outside},

		{"POST /nodes/pve/qemu/9000/clone?newid=9001", passes},
		{"POST /nodes/pve/qemu/9000/clone?newid=300", outside},
		{"POST /nodes/pve/qemu/9000/clone", outside},
		{"POST /nodes/pve/qemu/900/clone?newid=9001", outside},
		{"POST /nodes/pve/qemu/9000/clone?newid=9001&newid=300", outside},

		{"POST /nodes/pve/qemu?vmid=9001&name=a", passes},
		{"POST /nodes/pve/lxc?vmid=9001", passes},
		{"POST /nodes/pve/qemu?vmid=9000", passes}, // it may be no more
		{"POST /nodes/pve/qemu?vmid=9000&force=1", passes},
		{"POST /nodes/pve/qemu?vmid=9001&force=1", notMade},
		{"POST /nodes/pve/qemu?vmid=100&force=1", outside},
		{"POST /nodes/pve/qemu?vmid=100", outside},
		{"POST /nodes/pve/qemu?name=a", outside},
		{"POST /nodes/pve/qemu?vmid=9001&archive=" + esc("local:backup/vzdump-qemu-9000-2026_01_01-00_00_00.vma.zst"), passes},
		{"POST /nodes/pve/qemu?vmid=9001&archive=" + esc("local:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst"), outside},
		{"POST /nodes/pve/qemu?vmid=9001&scsi0=" + esc("a:0,import-from=local-zfs:vm-100-disk-0"), outside},

		{"POST /nodes/pve/vzdump?vmid=9000&storage=local&remove=0", passes},
		{"POST /nodes/pve/vzdump?vmid=9000&storage=local", oneBackup},
		{"POST /nodes/pve/vzdump?vmid=9000&storage=other&remove=0", oneBackup},
		{"POST /nodes/pve/vzdump?vmid=9000&storage=local&remove=0&all=1", oneBackup},
		{"POST /nodes/pve/vzdump?pool=web&storage=local&remove=0", oneBackup},
		{"POST /nodes/pve/vzdump?vmid=100&storage=local&remove=0", outside},
		{"POST /nodes/pve/vzdump?vmid=9000,100&storage=local&remove=0", outside},
		{"POST /nodes/pve/vzdump?storage=local&remove=0", outside},
		{"DELETE /nodes/pve/storage/local/content/" + esc("local:backup/vzdump-qemu-9000-2026_01_01-00_00_00.vma.zst"), passes},
		{"DELETE /nodes/pve/storage/local/content/" + esc("local:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst"), outside},
		{"DELETE /nodes/pve/storage/pbs/content/" + esc("pbs:backup/vm/100/2026-01-01T00:00:00Z"), outside},
		{"DELETE /nodes/pve/storage/pbs/content/" + esc("pbs:backup/ct/9000/2026-01-01T00:00:00Z"), passes},
		{"DELETE /nodes/pve/storage/local/content/" + esc("local:iso/a.iso"), "does not say whose it is"},
		{"DELETE /nodes/pve/storage/local/prunebackups?vmid=9000&prune-backups=keep-last=1", unknown},
		{"DELETE /nodes/pve/tasks/" + esc("UPID:pve:00001234:00005678:65000000:vzdump:9000:root@pam!live:"), passes},
		{"DELETE /nodes/pve/tasks/" + esc("UPID:pve:00001234:00005678:65000000:vzdump:100:root@pam!live:"), outside},
		{"DELETE /nodes/pve/tasks/" + esc("UPID:pve:00001234:00005678:65000000:vzdump::root@pam!live:"), outside},

		{"POST /nodes/pve/qemu/9000/migrate?target=b", unknown},
		{"POST /nodes/pve/qemu/9000/agent/exec?command=ls", unknown},
		{"POST /nodes/pve/qemu/9000/monitor?command=quit", unknown},
		{"POST /nodes/pve/status?command=reboot", unknown},
		{"DELETE /pools?poolid=web", unknown},
		{"PUT /cluster/options?next-id=lower=9000", unknown},
		{"PATCH /nodes/pve/qemu/9000/config", unknown},
	} {
		f := fence(&sink{status: 200})
		if got := try(t, f, "POST /nodes/pve/qemu?vmid=9000"); got != "" {
			t.Fatal(got)
		}
		if got := try(t, f, tt.call); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.call, got, tt.want)
		}
	}
}

// A guest is the run's own from the moment in which it may exist, and until it is known not
// to.
func TestFenceKnowsWhatWasMade(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   []pve.VMID
	}{
		{200, []pve.VMID{9002}}, {0, []pve.VMID{9002}}, {596, []pve.VMID{9002}},
		{400, nil}, {403, nil}, {500, nil}, // somebody else's, perhaps
	} {
		f := fence(&sink{status: tt.status})
		if got := try(t, f, "POST /nodes/pve/lxc?vmid=9002"); got != "" {
			t.Error(got)
		}
		if got := f.Made(); !slices.Equal(got, tt.want) {
			t.Errorf("after %d: %v, want %v", tt.status, got, tt.want)
		}
		f.Forget(9002)
		if got := try(t, f, "DELETE /nodes/pve/lxc/9002"); !strings.Contains(got, notMade) {
			t.Errorf("of one that is no more: %q", got)
		}
		if got, want := f.Sent(), []string{"POST /nodes/{node}/lxc"}; !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
	}
}

// PVE's refusal to make a guest again does not mean that there is none.
func TestFenceKeepsWhatThereIs(t *testing.T) {
	s := &sink{status: 200}
	f := fence(s)
	for _, s.status = range []int{200, 500} {
		if got := try(t, f, "POST /nodes/pve/qemu?vmid=9002"); got != "" {
			t.Error(got)
		}
		if got := f.Made(); !slices.Equal(got, []pve.VMID{9002}) {
			t.Errorf("after %d: %v", s.status, got)
		}
	}
}

// interrupted is a wire on which the run is interrupted while PVE works.
type interrupted struct{ cancel context.CancelFunc }

func (i interrupted) RoundTrip(req *http.Request) (*http.Response, error) {
	i.cancel()
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("answer"))}, req.Context().Err()
}

// A write is not given up halfway: what comes of it would not be known.
func TestFenceWaitsForTheAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &live.Fence{Base: interrupted{cancel}, IDs: live.Range{First: 9000, Last: 9009}, Node: "pve"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://pve:8006/api2/json/nodes/pve/qemu", strings.NewReader("vmid=9000"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "answer" {
		t.Errorf("%q, %v", body, err)
	}
}
