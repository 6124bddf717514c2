package toolset_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// provisionOperations are requests that a tool of the toolset provision can send.
var provisionOperations = slices.Concat([]operation{
	op("POST /nodes/(?P<node>[^/]+)/storage/(?P<storage>[^/]+)/download-url", "pve_download", "url=what", "content", "filename", "checksum", "checksum-algorithm="),
	op("DELETE /nodes/(?P<node>[^/]+)/storage/[^/]+/content/(?P<volumes>.+)", "pve_delete_volume"),
	op("POST "+guestPath+"/template", "pve_make_template"),
	op("POST "+guestPath+"/move_disk", "pve_move_disk", "disk", "storage", "delete", "target-vmid=target_vmid", "target-disk=target_disk"),
	op("POST "+guestPath+"/move_volume", "pve_move_disk", "volume=disk", "storage", "delete"),
}, operations)

// heldBackProvision are the rows that the tools do not make, with the reason.
var heldBackProvision = []held{
	{"GET /query-url-metadata", "the node asks another machine", "is more than a read"},
	{"GET /file-restore/list", "it looks into a guest's files", "enters a guest"},
	{"provision:61", "PVE's words without the place in its source", "Only root can pass arbitrary filesystem paths"},
	{"provision:105", "a password does not pass through a model", "password is a secret"},
	{"provision:80", "a password does not pass through a model", "password is a secret"},
	{"cloudinit:2", "a password does not pass through a model", "cipassword is a secret"},
}

// recordedProvision is the cluster of the other day with what its nodes could fetch.
func recordedProvision() pvesim.Model {
	m := recordedHandsOn()
	const web, sum = "http://127.0.0.1:18999/", "babca66e35e4af0f1cae459c70cf84612ebfc04d8ba9f4b4b8918fb8216327a1"
	m.Web = []pvesim.WebFile{
		{URL: web + "ok.iso", Size: 2048, SHA256: sum},
		{URL: web + "none.iso", Status: 404, Reason: "File not found"},
		{URL: web + "disk.qcow2", Size: 196616, Image: pvesim.Image{Virtual: 64 << 20}},
		{URL: web + "ct.tar.gz", Size: 1037635},
	}
	for i := range m.Guests {
		if g := &m.Guests[i]; g.VMID == 900 {
			g.Config["ide2"], g.Config["boot"], g.Config["scsihw"] = "local:iso/miniguest.iso,media=cdrom,size=19340K", "order=ide2;scsi0", "virtio-scsi-pci"
			g.Config["meta"], g.Config["smbios1"] = "creation-qemu=9.2.0,ctime=1795976657", "uuid=cde3d5bb-74c6-4dc9-b58f-f50f7363275d"
			g.Config["vmgenid"] = "8d46c22f-8ccc-4cb6-bf33-cf317b949ba8"
		}
	}
	return m
}

// The recorded making of guests, images and volumes, asked for through the tools of the toolset
// provision and, what they have no words for, through pve_api_read and pve_api_change, ends as
// recorded, unless it is held back by design.
func TestRecordedProvision(t *testing.T) {
	recorded.Dir(t)
	used, driven := map[string]int{}, map[string]int{}
	for file, model := range map[string]func() pvesim.Model{"provision": recordedProvision, "cloudinit": pvesim.Recorded} {
		rows := recorded.Rows(t, file)
		synctest.Test(t, func(t *testing.T) {
			m := model()
			d := &driver{
				World: sim.New(t, sim.Options{Model: &m, Token: "root@pam!full", Policy: policy.Policy{Exec: true, DownloadFrom: policy.Hosts{"127.0.0.1"}}}),
				mine:  map[string]string{}, pids: map[string]string{},
			}
			for i, row := range rows {
				if !row.IsRequest() || labels[row.Token] == "" {
					continue
				}
				time.Sleep(time.Duration(row.Gap*float64(time.Second)) + time.Second)
				d.provision(rows, i, used, driven)
			}
		})
	}
	if used[""] < 51 || len(driven) < 8 {
		t.Errorf("only %d rows end as recorded, and %v through tools of their own", used[""], driven)
	}
	for _, h := range heldBackProvision {
		if used[h.rows] == 0 {
			t.Errorf("%s is held back by nothing", h.rows)
		}
	}
	t.Logf("%d rows end as recorded through pve_api_*, %v through tools of their own; by reason: %v", used[""], driven, used)
}

// provision makes the request of a row through a tool, and compares how it ends.
func (d *driver) provision(rows []recorded.Row, i int, used, driven map[string]int) {
	d.Helper()
	row := rows[i]
	if row.RawBody != "" {
		used["uploads"]++
		d.replay(row)
		return
	}
	name, args := d.expressedBy(provisionOperations, rows, i)
	if name == "" || row.Params["checksum"] != nil && row.Params["checksum-algorithm"] == nil { // a tool sends both
		d.administer(rows, i, heldBackProvision, used)
		return
	}
	switch name {
	case "pve_download":
		args["node"] = "pve1"
		if sum, ok := args["checksum"]; ok {
			args["checksum"] = fmt.Sprintf("sha256:%v", sum)
		}
	case "pve_delete_volume":
		args["node"] = "pve1"
		volume, err := url.PathUnescape(fmt.Sprint(args["volumes"]))
		if err != nil {
			d.Fatal(err)
		}
		args["volumes"] = []string{volume}
		args["confirm"] = true
	case "pve_make_template", "pve_move_disk":
		args["confirm"] = true
	}
	if _, problem := d.drive(rows, i, name, args); problem != "" {
		d.Errorf("%v %v\n     %s %v: %s", row, row.Params, name, args, problem)
		return
	}
	driven[name]++
}
