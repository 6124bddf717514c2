package pvesim_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// rows are the rows of GET …/rrddata.
func (w *world) rrd(path string, form url.Values) []map[string]any {
	w.Helper()
	r := w.do("GET", path+"/rrddata", form)
	list, _ := r.Body.Data.([]any)
	if r.Status != 200 || len(list) == 0 {
		w.Fatalf("%s: %d %s", path, r.Status, r.Reason)
	}
	var out []map[string]any
	for _, row := range list {
		out = append(out, row.(map[string]any))
	}
	return out
}

func TestRRDRowsByVersion(t *testing.T) {
	for _, tt := range []struct {
		pve, timeframe string
		rows, step     int
		memhost        bool
	}{
		{"8.4.1", "hour", 70, 60, false}, {"8.4.1", "day", 70, 1800, false}, {"8.4.1", "week", 70, 10800, false},
		{"8.4.1", "month", 70, 43200, false}, {"8.4.1", "year", 70, 604800, false},
		{"9.0.11", "hour", 60, 60, true}, {"9.0.11", "day", 1440, 60, true}, {"9.0.11", "week", 336, 1800, true},
		{"9.0.11", "month", 1440, 1800, true}, {"9.0.11", "year", 1440, 21600, true},
	} {
		m := pvesim.Cluster()
		m.PVE = tt.pve
		w := newWorld(t, m)
		rows := w.rrd("/nodes/pve1/qemu/100", url.Values{"timeframe": {tt.timeframe}})
		last := rows[len(rows)-1]
		step := int(last["time"].(float64) - rows[len(rows)-2]["time"].(float64))
		if len(rows) != tt.rows || step != tt.step || (last["memhost"] != nil) != tt.memhost {
			t.Errorf("PVE %s, %s: %d rows, one each %d s, the last one is %v", tt.pve, tt.timeframe, len(rows), step, last)
		}
		if at := int64(last["time"].(float64)); at%int64(tt.step) != 0 || w.clock.Now().Unix()-at >= int64(tt.step) {
			t.Errorf("PVE %s, %s: the last row is of %v", tt.pve, tt.timeframe, time.Unix(at, 0).UTC())
		}
	}
	w := newWorld(t, pvesim.Cluster())
	if rows := w.rrd("/nodes/pve1", url.Values{"timeframe": {"decade"}}); len(rows) != 570 {
		t.Errorf("a decade has %d rows", len(rows))
	}
	w.story(`GET /nodes/pve1/qemu/100/rrddata?timeframe=decade => 400 Parameter verification failed. timeframe: value 'decade' does not have a value in the enumeration 'hour, day, week, month, year'`)
}

// The same model has the same past, no matter who asks and how often.
func TestRRDIsAFunctionOfSeedAndTime(t *testing.T) {
	hour := url.Values{"timeframe": {"hour"}}
	a, b := newWorld(t, pvesim.Cluster()), newWorld(t, pvesim.Cluster())
	b.rrd("/nodes/pve1", hour)
	b.node = "pve3"
	b.clock.Advance(10 * time.Minute)
	before, after := a.rrd("/nodes/pve1/qemu/100", hour), b.rrd("/nodes/pve1/qemu/100", hour)
	if got, want := fmt.Sprint(after[:50]), fmt.Sprint(before[10:]); got != want {
		t.Errorf("ten minutes later the past was\n%s, not\n%s", got, want)
	}
	other := pvesim.Cluster()
	other.Seed++
	if got := newWorld(t, other).rrd("/nodes/pve1/qemu/100", hour); fmt.Sprint(got) == fmt.Sprint(before) {
		t.Error("another seed has the same past")
	}
	if mean, peak := before[0]["cpu"].(float64), a.rrd("/nodes/pve1/qemu/100", url.Values{"timeframe": {"hour"}, "cf": {"MAX"}})[0]["cpu"].(float64); peak <= mean {
		t.Errorf("at most %v, %v in the mean", peak, mean)
	}
}

// What nobody could know then is not in a row.
func TestRRDKnowsWhatWasHeard(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	hour := url.Values{"timeframe": {"hour"}}
	fields := func(row map[string]any) string {
		return fmt.Sprint(row["cpu"] != nil, row["maxmem"] != nil)
	}
	w.start("/nodes/pve1/qemu/104/status/stop", nil)
	w.start("/nodes/pve1/qemu", url.Values{"vmid": {"500"}, "memory": {"64"}})
	w.story(`GET /nodes/pve1/qemu/500/rrddata?timeframe=hour => 500 RRD error: opening '/var/lib/rrdcached/db/pve-vm-9.0/500': No such file or directory`)
	w.clock.Advance(5 * time.Minute)
	for path, want := range map[string][2]string{
		"/nodes/pve1/qemu/104": {"true true", "false true"},   // ran, and was stopped
		"/nodes/pve1/qemu/500": {"false false", "false true"}, // is new
		"/nodes/pve1/qemu/105": {"false true", "false true"},
		"/nodes/pve3/lxc/202":  {"true true", "true true"},
	} {
		rows := w.rrd(path, hour)
		if got := [2]string{fields(rows[0]), fields(rows[len(rows)-1])}; got != want {
			t.Errorf("%s: first and last row have cpu and maxmem: %v, want %v", path, got, want)
		}
	}
	if err := w.sim.SetOnline("pve3", false); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(5 * time.Minute)
	rows := w.rrd("/nodes/pve3", hour)
	if rows[0]["cpu"] == nil || rows[len(rows)-1]["cpu"] != nil {
		t.Errorf("a node that went down: first row %v, last row %v", rows[0], rows[len(rows)-1])
	}
	if rows := w.rrd("/nodes/pve1/storage/nfs", hour); rows[0]["total"] != 4000.0*(1<<30) {
		t.Errorf("a storage: %v", rows[0])
	}
	w.story(`GET /nodes/pve3/storage/nfs/rrddata?timeframe=hour => 595 No route to host
		GET /nodes/pve1/storage/none/rrddata?timeframe=hour => 500 RRD error: opening '/var/lib/rrdcached/db/pve-storage-9.0/pve1/none': No such file or directory
		GET /nodes/none/rrddata?timeframe=hour => 500 RRD error: opening '/var/lib/rrdcached/db/pve-node-9.0/none': No such file or directory
		GET /nodes/pve1/rrddata => 400 Parameter verification failed. timeframe: property is missing and it is not optional
		as none@pve!mcp
		GET /nodes/pve1/rrddata?timeframe=hour => 403 Permission check failed (/nodes/pve1, Sys.Audit)
		GET /nodes/pve1/qemu/100/rrddata?timeframe=hour => 403 Permission check failed (/vms/100, VM.Audit)`)
}

func TestNodeReads(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[1].Updates = map[string]string{"qemu-server": "9.0.22"}
	w := newWorld(t, m)
	w.story(`
		GET /nodes/pve1/services/pveproxy/state#state => running
		GET /nodes/pve1/services/systemd-timesyncd/state#unit-state => not-found
		GET /nodes/pve1/services/sleepd/state => 400 Parameter verification failed. service: value 'sleepd' does not have a value in the enumeration 'chrony, corosync, cron, ksmtuned, lxcfs, postfix, proxmox-firewall, pve-cluster, pve-firewall, pve-ha-crm, pve-ha-lrm, pve-lxc-syscalld, pvedaemon, pvefw-logger, pveproxy, pvescheduler, pvestatd, qmeventd, spiceproxy, sshd, syslog, systemd-journald, systemd-timesyncd'
		GET /nodes/pve1/network/vmbr0#cidr => 10.10.0.1/24
		GET /nodes/pve1/network/vmbr9 => 400 Parameter verification failed. iface: interface does not exist
		GET /nodes/pve2/disks/list?type=unused => []
		GET /nodes/pve2/subscription#status => notfound
		GET /nodes/pve1/apt/update => []
		GET /nodes/pve1/qemu/100/firewall/rules => []
		GET /nodes/pve1/hosts#digest => 67727fa0ae6d170dbef5d8069756500d8f948208
	`)
	one := func(path, key, value, field string) any {
		t.Helper()
		for _, row := range w.do("GET", path, nil).Body.Data.([]any) {
			if row := row.(map[string]any); row[key] == value {
				return row[field]
			}
		}
		return nil
	}
	for _, tt := range []struct {
		path, key, value, field string
		want                    any
	}{
		{"/nodes/pve2/apt/update", "Package", "qemu-server", "Version", "9.0.22"},
		{"/nodes/pve2/apt/update", "Package", "qemu-server", "OldVersion", "9.0.21"},
		{"/nodes/pve2/apt/versions", "Package", "pve-manager", "Version", "9.0.11"},
		{"/nodes/pve2/certificates/info", "filename", "pve-ssl.pem", "subject", "/CN=pve2.sim/OU=PVE Cluster Node/O=Proxmox Virtual Environment"},
		{"/nodes/pve2/capabilities/qemu/machines", "version", "10.0", "id", "pc-q35-10.0"},
		{"/nodes/pve2/capabilities/qemu/machines", "version", "4.1+pve2", "changes", "Increases the number of SCSI drives supported."},
		{"/nodes/pve2/capabilities/qemu/cpu", "name", "host", "custom", 0.0},
		{"/nodes/pve2/disks/list", "devpath", "/dev/nvme0n1", "health", "PASSED"},
		{"/nodes/pve1/netstat", "vmid", "100", "dev", "net0"},
	} {
		if got := one(tt.path, tt.key, tt.value, tt.field); got != tt.want {
			t.Errorf("%s: %s of %s is %v, want %v", tt.path, tt.field, tt.value, got, tt.want)
		}
	}
	if got := len(w.do("GET", "/nodes/pve1/network", url.Values{"type": {"any_bridge"}}).Body.Data.([]any)); got != 1 {
		t.Errorf("%d bridges", got)
	}
	// Without privileges no bridge is seen, and nobody learns whose the node is.
	w.token = "none@pve!mcp"
	if got := one("/nodes/pve1/network", "type", "bridge", "iface"); got != nil {
		t.Errorf("none@pve!mcp sees %v", got)
	}
	w.story(`GET /nodes/pve1/subscription#serverid => null
		GET /nodes/pve1/apt/update => 403 Permission check failed (/nodes/pve1, Sys.Modify)
		GET /nodes/pve1/syslog => 403 Permission check failed (/nodes/pve1, Sys.Syslog)`)
}

// The fingerprint is that of the certificate which a node presents.
func TestCertificatesAreThoseThatArePresented(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	l := w.listen("pve1")
	rows := w.do("GET", "/nodes/pve1/certificates/info", nil).Body.Data.([]any)
	if got := rows[1].(map[string]any)["fingerprint"]; got != l.Fingerprint() {
		t.Errorf("%v is listed, %s presented", got, l.Fingerprint())
	}
}

// An index names what is below it, of a guest too that is not there.
func TestIndexes(t *testing.T) {
	newWorld(t, pvesim.Cluster()).story(`
		GET /nodes/pve1/qemu/104/status => [map[subdir:current] map[subdir:reboot] map[subdir:reset] map[subdir:resume] map[subdir:shutdown] map[subdir:start] map[subdir:stop] map[subdir:suspend]]
		GET /nodes/pve1/capabilities/qemu => [map[name:cpu] map[name:cpu-flags] map[name:machines] map[name:migration]]
		GET /nodes/pve1#qemu#name => qemu
		GET /cluster/ha => [map[id:groups] map[id:resources] map[id:rules] map[id:status]]
		as none@pve!mcp
		GET /nodes/pve1/storage/nfs => 403 Permission check failed (/storage/nfs, Datastore.Audit|Datastore.AllocateSpace)
	`)
}

func TestSyslogTellsOfTasks(t *testing.T) {
	w := newWorld(t, pvesim.Lab())
	w.run("/nodes/pve/qemu/100/status/stop", nil)
	r := w.do("GET", "/nodes/pve/syslog", url.Values{"limit": {"1"}, "start": {"5"}})
	if line := fmt.Sprint(r.Body.Data); r.Body.Total != 6 || len(r.Body.Data.([]any)) != 1 {
		t.Errorf("of %d lines: %s", r.Body.Total, line)
	}
}
