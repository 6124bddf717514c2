package capture_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/capture"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// cluster is a simulated cluster, as it was at a time and goes on, with a client.
type cluster struct {
	*testing.T
	sim    *pvesim.Sim
	client *pve.Client
}

func newCluster(t *testing.T, m pvesim.Model, at time.Time, token string) cluster {
	t.Helper()
	then, err := pvesim.NewSim(m, pvesim.Options{Clock: pvesim.NewVirtual(at)})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := then.Save(&b); err != nil {
		t.Fatal(err)
	}
	sim, err := pvesim.Load(&b, pvesim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := pve.New(proxmox.Options{
		Endpoints: []string{sim.URL()}, Transport: sim.Transport(), Token: proxmox.Token{ID: token, Secret: proxmox.NewSecret(m.Token(token).Secret)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cluster{t, sim, client}
}

// recorded is a recording of the cluster, and what was left out.
func (c cluster) recorded() (m pvesim.Model, at time.Time, skipped []string) {
	c.Helper()
	r := capture.Recorder{Client: c.client, Skipped: func(what string, _ error) { skipped = append(skipped, what) }}
	m, at, err := r.Record(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	return m, at, skipped
}

// volatile are fields that no two clusters have in common.
var volatile = strings.Fields("cpu mem disk memhost netin netout diskread diskwrite uptime pid pstart ssl_fingerprint digest loadavg used avail used_fraction id")

// lists are what both clusters should show, without what is volatile.
func (c cluster) lists() map[string]any {
	c.Helper()
	all := map[string]any{}
	read := func(elements ...string) any {
		params := url.Values{}
		if elements[len(elements)-1] == "tasks" {
			params.Set("limit", "500")
		}
		v, err := proxmox.Get[any](c.Context(), c.client.Client, proxmox.Join(elements...), params)
		if err != nil {
			v = err.Error()
		}
		all[strings.Join(elements, "/")] = without(v)
		return v
	}
	for _, path := range []string{"version", "cluster/status", "cluster/backup", "cluster/ha/resources", "cluster/ha/rules", "cluster/ha/groups", "access/users", "access/acl", "access/roles", "pools", "storage"} {
		read(strings.Split(path, "/")...)
	}
	for _, item := range read("cluster", "resources").([]any) {
		r := item.(map[string]any)
		node, _ := r["node"].(string)
		switch r["type"] {
		case "node":
			read("nodes", node, "tasks")
		case "storage":
			read("nodes", node, "storage", r["storage"].(string), "content")
		case "qemu", "lxc":
			guest := []string{"nodes", node, r["type"].(string), fmt.Sprint(r["vmid"])}
			for _, sub := range []string{"config", "pending", "snapshot"} {
				read(append(guest[:4:4], sub)...)
			}
		}
	}
	return all
}

func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range volatile {
			delete(v, key)
		}
		if v["key"] == "digest" {
			return nil
		}
		for k := range v {
			v[k] = without(v[k])
		}
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
	}
	return v
}

// lively is the preset cluster after some things were done to it.
func lively(t *testing.T) cluster {
	m := pvesim.Cluster()
	m.Guests[0].Config["cipassword"] = "$5$secret"
	m.Guests[0].Config["sshkeys"] = "ssh-ed25519%20SECRET"
	m.Guests[0].Config["args"] = "-vnc :1,password=secret"
	m.Roles = map[string][]string{"ShopOperator": {"VM.Audit", "VM.PowerMgmt"}}
	m.ACL = append(m.ACL, pvesim.ACL{Path: "/pool/web", Who: "ops@pve", Role: "ShopOperator"})
	m.Guests[1].Config["description"] = "the customer's shop"
	c := newCluster(t, m, time.Now(), "root@pam!full")
	ref := pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 100}
	wait := func(upid proxmox.UPID, err error) {
		t.Helper()
		if err == nil {
			_, err = c.client.Wait(t.Context(), upid, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wait(c.client.CreateSnapshot(t.Context(), ref, pve.NewSnapshot{Name: "customer", VMState: true}))
	for _, change := range []pve.ConfigChange{{Set: map[string]string{"cores": "8"}}, {Delete: []string{"agent"}}} {
		if err := c.client.UpdateConfig(t.Context(), ref, change); err != nil {
			t.Fatal(err)
		}
	}
	wait(c.client.Backup(t.Context(), "pve1", pve.NewBackup{VMIDs: []pve.VMID{104}, Storage: "nfs"}))
	time.Sleep(30 * time.Second) // until all nodes have heard of it
	return c
}

// A model of a cluster shows what the cluster does, was made by GETs, and has no secrets.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := lively(t)
		before := len(live.sim.Requests())
		m, at, skipped := live.recorded()
		for _, r := range live.sim.Requests()[before:] {
			if r.Method != "GET" {
				t.Errorf("it sent %s %s", r.Method, r.Path)
			}
		}
		if diff := cmp.Diff([]string(nil), skipped); diff != "" {
			t.Errorf("left out: %s", diff)
		}
		text := marshal(t, m)
		for _, secret := range []string{"secret", "SECRET", "24c53836"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in the model", secret)
			}
		}
		again := newCluster(t, m, at, "root@pam!full")
		want, got := live.lists(), again.lists()
		for _, name := range []string{"config", "pending"} {
			want["nodes/pve1/qemu/100/"+name] = hide(want["nodes/pve1/qemu/100/"+name])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-live +model):\n%s", diff)
		}
	})
}

// hide takes the secrets out of a configuration.
func hide(v any) any {
	secrets := []any{"cipassword", "sshkeys", "args"}
	if config, ok := v.(map[string]any); ok {
		maps.DeleteFunc(config, func(key string, _ any) bool { return slices.Contains(secrets, any(key)) })
		return config
	}
	return slices.DeleteFunc(v.([]any), func(item any) bool {
		m, _ := item.(map[string]any)
		return slices.Contains(secrets, m["key"])
	})
}

func marshal(t *testing.T, m pvesim.Model) string {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An anonymous model has none of the names, and is as large.
func TestAnonymise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := lively(t)
		m, at, _ := live.recorded()
		guests, volumes, tasks := len(m.Guests), len(m.Volumes), len(m.Tasks)
		m = capture.Anonymise(m)
		text := marshal(t, m)
		for _, name := range []string{
			"web", "db-1", "grafana", "prod", "pve1", "pve3", `"nfs:`, `"ID":"nfs"`, `"pbs:`, `"ID":"pbs"`, "demo", "ops", "audit", "customer", "shop", "Shop", "10.10.", "BC:24:11:8", "debian-12",
			"PostgreSQL", "upgrade", "near its", "golden", "vendor", "virtio-win", "zvol", "audit",
		} {
			if i := strings.Index(text, name); i >= 0 {
				t.Errorf("%q is in it: %s", name, text[max(0, i-60):min(len(text), i+60)])
			}
		}
		again := newCluster(t, m, at, "root@pam!full")
		if len(m.Guests) != guests || len(m.Volumes) != volumes || len(m.Tasks) != tasks {
			t.Errorf("%d guests, %d volumes, %d tasks; there were %d, %d, %d", len(m.Guests), len(m.Volumes), len(m.Tasks), guests, volumes, tasks)
		}
		// Each guest can be found with its disks and snapshots under the new names.
		list, err := again.client.Resources(t.Context(), "vm")
		if err != nil {
			t.Fatal(err)
		}
		for g := range list.Rows() {
			if want := fmt.Sprintf("guest-%d", g.VMID()); g.Name() != want {
				t.Errorf("guest %d is %s", g.VMID(), g.Name())
			}
		}
		ref := pve.GuestRef{Node: "node1", Kind: pve.QEMU, VMID: 100}
		upid, err := again.client.Rollback(t.Context(), ref, m.Guests[0].Snapshots[0].Name, false)
		if err != nil {
			t.Fatal(err)
		}
		status, err := again.client.Wait(t.Context(), upid, nil)
		if err != nil || !status.Succeeded() {
			t.Errorf("rolling back: %+v %v", status, err)
		}
		var b bytes.Buffer
		if err := again.sim.Save(&b); err != nil || b.Len() == 0 {
			t.Error(err)
		}
	})
}

// What cannot be read is said, and the rest is recorded.
func TestRecordLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Cluster()
		m.Nodes[2].Offline = true
		live := newCluster(t, m, time.Now(), "audit@pve!mcp")
		recorded, at, skipped := live.recorded()
		if len(recorded.Guests) != len(m.Guests) || recorded.NoMoreVolumes {
			t.Errorf("%d guests, all volumes: %t", len(recorded.Guests), recorded.NoMoreVolumes)
		}
		all := strings.Join(skipped, "\n")
		for _, want := range []string{"qemu/103: the configuration", "lxc/202: the configuration"} {
			if !strings.Contains(all, want) {
				t.Errorf("%q was not said to be left out:\n%s", want, all)
			}
		}
		newCluster(t, recorded, at, "root@pam!full")

		nothing := newCluster(t, m, time.Now(), "none@pve!mcp")
		recorded, _, _ = nothing.recorded()
		if len(recorded.Nodes) != 3 || len(recorded.Guests) != 0 {
			t.Errorf("a token that may do nothing records %d nodes and %d guests", len(recorded.Nodes), len(recorded.Guests))
		}
	})
}
