package pvesim_test

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// scenario is a world in which the preset cluster goes wrong.
func scenario(t *testing.T, name string) *world {
	t.Helper()
	m := pvesim.Cluster()
	all := pvesim.Scenarios()
	i := slices.IndexFunc(all, func(s pvesim.Scenario) bool { return s.Name == name })
	if err := all[i].Apply(&m); err != nil {
		t.Fatal(err)
	}
	return newWorld(t, m)
}

// Each scenario has a name of its own, says what it is in a sentence without an end, and what is
// seen of it in whole sentences.
func TestScenariosAreDescribed(t *testing.T) {
	names := []string{}
	for _, s := range pvesim.Scenarios() {
		names = append(names, s.Name)
		if s.Is == "" || strings.HasSuffix(s.Is, ".") || !strings.HasSuffix(s.Acts, ".") {
			t.Errorf("%s: %q, %q", s.Name, s.Is, s.Acts)
		}
		lab := pvesim.Lab()
		if err := s.Apply(&lab); (err != nil) != (s.Name == "flapping-node" || s.Name == "slow-nfs") {
			t.Errorf("%s on a single node without NFS: %v", s.Name, err)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("the names are %q", names)
	}
}

// A node that flaps goes and comes back, time after time.
func TestFlappingNode(t *testing.T) {
	t.Parallel()
	w := scenario(t, "flapping-node")
	w.story(`
		GET /nodes/pve3/time#timezone  => UTC
		wait 31s
		GET /nodes/pve3/time           => 595 No route to host
		wait 30s
		GET /nodes/pve3/time#timezone  => UTC
		wait 90s
		GET /nodes/pve3/time           => 595 No route to host
		wait 30s
		GET /nodes/pve3/qemu/103/status/current#status => running
		GET /cluster/ha/resources/vm:103#state         => started
	`)
}

// A full storage fails a backup with the words of what writes it, and the guest is unlocked.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := scenario(t, "full-disk")
	w.story(`
		POST /nodes/pve1/vzdump?vmid=100&storage=nfs  => job errors
		POST /nodes/pve1/vzdump?vmid=200&storage=nfs  => job errors
		GET /nodes/pve1/qemu/100/config#lock          => null
		POST /nodes/pve1/storage/nfs/download-url?content=iso&filename=x.iso&url=https://example.org/x.iso => download failed: exit code 3
	`)
}

// A certificate that is replaced is another to new connections, of another CA.
func TestNewCertificate(t *testing.T) {
	t.Parallel()
	w := scenario(t, "new-certificate")
	l, err := w.sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	seen := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(l.URL(), "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		raw := string(conn.ConnectionState().PeerCertificates[0].Raw)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	before := seen()
	if seen() != before {
		t.Error("the certificate changes at once")
	}
	w.clock.Advance(31 * time.Second)
	after := seen()
	if after == before || seen() != after {
		t.Error("the certificate has not changed, or changes all the time")
	}
}
