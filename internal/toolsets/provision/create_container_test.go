package provision_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// withTemplates is the preset cluster with container templates beside its own.
func withTemplates(changes ...func(*pvesim.Model)) *pvesim.Model {
	m := sim.Cluster(changes...)
	m.Volumes = append(m.Volumes,
		pvesim.Volume{ID: "local:vztmpl/nginx_latest.tar", Node: "pve3", Content: "vztmpl", Size: 70 << 20, OCI: &pvesim.OCIRepository{
			Reference: "docker.io/library/nginx", Env: []string{"PATH=/bin", "NGINX_VERSION=1.29"}, Entrypoint: "/docker-entrypoint.sh nginx",
		}},
		pvesim.Volume{ID: "local:vztmpl/rocky-9-default.tar.xz", Node: "pve3", Content: "vztmpl", Size: 100 << 20},
		pvesim.Volume{ID: "local:vztmpl/rocky-10-default.tar.xz", Node: "pve3", Content: "vztmpl", Size: 100 << 20},
	)
	return m
}

// A container is made and answers in one call, by each way.
func TestCreateContainer(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		since      string
		says       []string
		config     map[string]string
	}{
		{name: "of words", args: fmt.Sprintf(`{"name":"ct","template":"rocky 9","ssh_keys":[%q],"wait":45}`, key), says: []string{
			"runs on pve3: ssh root@10.", `"template":"local:vztmpl/rocky-9-default.tar.xz"`,
		}, config: map[string]string{"features": "nesting=1", "unprivileged": "1", "memory": "512"}},
		{name: "of a volid, with all", args: `{"name":"ct","template":"local:vztmpl/rocky-10-default.tar.xz","vmid":400,"node":"pve3","storage":"local-zfs","cores":3,"memory":"2G","disk":"12G","mounts":["4G:/data"],"nics":["bridge=vmbr0,ip=10.10.1.70/24,gw=10.10.1.1"],"tags":["x"],"set":{"onboot":1,"swap":0,"features":{"nesting":0}},"wait":45}`,
			says: []string{`"address":"10.10.1.70"`, "nobody can log in yet", `"guest":"400 ct"`}, config: map[string]string{"features": "nesting=0", "cores": "3", "memory": "2048", "swap": "0", "tags": "x", "onboot": "1"}},
		{name: "a template that is fetched first", args: `{"name":"ct","template":"ubuntu 24.04","download":true,"wait":45}`, says: []string{"which is fetched first", `"outcome":"ok"`}},
		{name: "not started", args: `{"name":"ct","template":"rocky 9","start":false,"wait":45}`, says: []string{"is not started", `"status":"stopped"`}},
		{name: "an OCI image", since: "9", args: `{"name":"ct","template":"local:vztmpl/nginx_latest.tar","env":["NGINX_VERSION=2","TZ=UTC"],"entrypoint":"nginx -v","wait":45}`,
			says: []string{"runs on pve3"}, config: map[string]string{"env": "PATH=/bin\x00NGINX_VERSION=2\x00TZ=UTC", "entrypoint": "nginx -v"}},
		{name: "an OCI image as it is", since: "9", args: `{"name":"ct","template":"nginx","wait":45}`,
			says: []string{`"template":"local:vztmpl/nginx_latest.tar"`}, config: map[string]string{"env": "PATH=/bin\x00NGINX_VERSION=1.29", "entrypoint": "/docker-entrypoint.sh nginx"}},
		{name: "an OCI image that is fetched first", since: "9", args: `{"name":"ct","template":"docker.io/library/postgres:18","download":true,"env":["POSTGRES_DB=app"],"wait":45}`,
			says: []string{`"template":"local:vztmpl/postgres_18.tar, which is fetched first"`}, config: map[string]string{"env": "PGDATA=/var/lib/postgresql/18/docker\x00POSTGRES_DB=app"}},
		{name: "without an address", args: `{"name":"ct","template":"rocky 9","nics":["ip=manual"],"wait":45}`, says: []string{"runs on pve3."}},
		{name: "privileged", args: `{"name":"ct","template":"rocky 9","set":{"unprivileged":0},"wait":45}`, says: []string{"runs on pve3"}, config: map[string]string{"unprivileged": "", "features": ""}},
	} {
		for _, version := range []string{"8.4.1", "9.2.0"} {
			if version < tt.since {
				continue
			}
			t.Run(tt.name+" on "+version, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := sim.New(t, sim.Options{Model: withTemplates(sim.Version(version)), Token: everyone})
					a := w.Call("pve_create_container", tt.args)
					for _, s := range append(tt.says, `"outcome":"ok"`) {
						if !strings.Contains(a.Text, s) {
							t.Errorf("%s lacks %s", a.Text, s)
						}
					}
					made := guestNamed(t, w, "ct")
					for k, v := range tt.config {
						if made.Config[k] != v {
							t.Errorf("%s is %q, want %q", k, made.Config[k], v)
						}
					}
				})
			})
		}
	}
}

// guestNamed returns the guest of a name as it is now.
func guestNamed(t *testing.T, w *sim.World, name string) pvesim.Guest {
	t.Helper()
	m, err := w.Sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range m.Guests {
		if g.Config["hostname"] == name || g.Config["name"] == name {
			return g
		}
	}
	t.Errorf("there is no guest %s", name)
	return pvesim.Guest{}
}

// What cannot be right is refused before anything is sent.
func TestCreateContainerRefusals(t *testing.T) {
	for _, tt := range []struct{ args, says, version string }{
		{`{"name":"x y","template":"rocky 9"}`, "no host name", ""},
		{`{"name":"x","template":"rocky"}`, "may mean 2 templates", ""},
		{`{"name":"x","template":"ubuntu 24.04"}`, "Repeat with download: true", ""},
		{`{"name":"x","template":"plan9","download":true}`, "is offered by PVE", ""},
		{`{"name":"x","template":"local:iso/virtio-win-0.1.271.iso"}`, "no container template", ""},
		{`{"name":"x","template":"local:vztmpl/none.tar.zst"}`, "No storage has a container template", ""},
		{`{"name":"x","template":"rocky 9","set":{"features":"nesting=1,keyctl=1"}}`, "the feature \\\"keyctl\\\", which PVE lets root@pam alone set", ""},
		{`{"name":"x","template":"rocky 9","set":{"features":"nesting=1","unprivileged":0}}`, "of a privileged container", ""},
		{`{"name":"x","template":"rocky 9","mounts":["/srv:/srv"]}`, "a folder of the node", ""},
		{`{"name":"x","template":"rocky 9","mounts":["8G"]}`, "such as 8G:/data", ""},
		{`{"name":"x","template":"rocky 9","disk":"eight"}`, "such as 8G", ""},
		{`{"name":"x","template":"rocky 9","disk":"900T"}`, "are needed", ""},
		{`{"name":"x","template":"rocky 9","nics":["bridge=vmbr9"]}`, "no bridge", ""},
		{`{"name":"x","template":"rocky 9","nics":["ip=10.0.0.5/24,gw=10.0.1.1"]}`, "outside of the network", ""},
		{`{"name":"x","template":"rocky 9","ssh_keys":["abc"]}`, "give whole public keys", ""},
		{`{"name":"x","template":"rocky 9","set":{"password":"secret"}}`, "no model is to know", ""},
		{`{"name":"x","template":"rocky 9","set":{"hookscript":"local:snippets/x"}}`, "root@pam alone", ""},
		{`{"name":"x","template":"rocky 9","set":{"memory":"512"}}`, "give the argument memory", ""},
		{`{"name":"x","template":"rocky 9","entrypoint":"x"}`, "are for OCI images", "9.2.0"},
		{`{"name":"x","template":"rocky 9","env":["A=b"]}`, "are for OCI images", "9.2.0"},
		{`{"name":"x","template":"rocky 9","env":["A=b"]}`, "has PVE 8.4.1", "8.4.1"},
		{`{"name":"x","template":"local:vztmpl/nginx_latest.tar","env":["oops"]}`, "KEY=value", ""},
		{`{"name":"x","template":"local:vztmpl/nginx_latest.tar","env":["A=b\nlxc.init.cmd: /x"]}`, "KEY=value", ""},
		{`{"name":"x","template":"local:vztmpl/nginx_latest.tar","entrypoint":"a\nb"}`, "more than one line", ""},
		{`{"name":"x","template":"docker.io/library/postgres:18"}`, "Repeat with download: true", ""},
		{`{"name":"x","template":"local:vztmpl/nginx_latest.tar"}`, "PVE 9.1 or later", "8.4.1"},
		{`{"name":"x","template":"rocky 9","node":"pve1"}`, "does not have local:vztmpl/rocky-9-default.tar.xz", ""},
		{`{"name":"x","template":"rocky 9","vmid":100}`, "is that of", ""},
		{`{"name":"x","template":"rocky 9","storage":"nowhere"}`, "has no storage nowhere for rootdir", ""},
	} {
		o := sim.Options{Model: withTemplates(), Token: everyone}
		if tt.version != "" {
			o.Model = withTemplates(sim.Version(tt.version))
		}
		w := sim.New(t, o)
		a := w.Call("pve_create_container", tt.args)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.says) || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s: %s", tt.args, a.Text)
		}
	}
}

// A fault at a step leaves no container behind, unless it is to be kept.
func TestCreateContainerFaults(t *testing.T) {
	const (
		create = "POST /nodes/*/lxc"
		put    = "PUT /nodes/*/lxc/*/config"
		start  = "POST /nodes/*/lxc/*/status/start"
	)
	const oci = `{"name":"ct","template":"local:vztmpl/nginx_latest.tar","env":["A=b"],"wait":45%s}`
	for _, tt := range []struct {
		name, args string
		fault      pvesim.Fault
		stays      bool
	}{
		{"the download fails", `{"name":"ct","template":"ubuntu 24.04","download":true,"wait":45}`, pvesim.Fault{Match: "POST /nodes/*/aplinfo", TaskFails: "404"}, false},
		{"the creation is refused", fmt.Sprintf(oci, ""), pvesim.Fault{Match: create, Status: 500, Message: "no"}, false},
		{"the creation fails", fmt.Sprintf(oci, ""), pvesim.Fault{Match: create, TaskFails: "no space", FailsAt: 50}, false},
		{"the environment is refused", fmt.Sprintf(oci, ""), pvesim.Fault{Match: put, Status: 500, Message: "no"}, false},
		{"the start fails", fmt.Sprintf(oci, ""), pvesim.Fault{Match: start, TaskFails: "startup failed"}, false},
		{"the start fails, and it is kept", fmt.Sprintf(oci, `,"keep":true`), pvesim.Fault{Match: start, TaskFails: "startup failed"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := withTemplates(sim.Version("9.2.0"))
				m.Faults = append(m.Faults, tt.fault)
				w := sim.New(t, sim.Options{Model: m, Token: everyone})
				a := w.Call("pve_create_container", tt.args)
				if a.Outcome != tool.Failed {
					t.Errorf("%s", a.Text)
				}
				now, err := w.Sim.Model()
				if err != nil {
					t.Fatal(err)
				}
				if stays := len(now.Guests) > len(m.Guests); stays != tt.stays {
					t.Errorf("the container stays: %v: %s", stays, a.Text)
				}
			})
		})
	}
}

// Guests that are made at once do not take each other's ids.
func TestCreateRace(t *testing.T) {
	for _, tt := range []struct{ name, tool, args string }{
		{"containers", "pve_create_container", `{"name":"r%d","template":"rocky 9","node":"pve3","storage":"local-zfs","disk":"1G","start":false,"wait":45}`},
		{"VMs", "pve_create_vm", `{"name":"r%d","node":"pve3","storage":"local-zfs","disks":["1G"],"start":false,"wait":45}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const racers = 20
				w := sim.New(t, sim.Options{Model: withTemplates(), Token: everyone})
				answers := make([]sim.Answer, racers)
				var wg sync.WaitGroup
				for i := range racers {
					wg.Go(func() { answers[i] = w.Call(tt.tool, fmt.Sprintf(tt.args, i)) })
				}
				wg.Wait()
				guests := map[any]bool{}
				for _, a := range answers {
					if a.Outcome != tool.OK {
						t.Errorf("%s", a.Text)
					}
					guests[a.Fields["guest"]] = true
				}
				if len(guests) != racers {
					t.Errorf("%d guests were made, want %d", len(guests), racers)
				}
			})
		})
	}
}

// A token for a pool alone makes containers in it, and needs its name.
func TestCreateContainerInPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withTemplates(func(m *pvesim.Model) {
			m.Roles = map[string][]string{"See": {"Datastore.Audit", "Datastore.AllocateSpace", "SDN.Use", "SDN.Audit", "Sys.Audit"}}
			for i := range m.ACL {
				if m.ACL[i].Who == "ops@pve!mcp" && m.ACL[i].Role == "PVEVMAdmin" {
					m.ACL[i].Path = "/pool/web"
				}
			}
			m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: "ops@pve!mcp", Role: "See"})
		})
		w := sim.New(t, sim.Options{Model: m})
		if a := w.Call("pve_create_container", `{"name":"ct","template":"rocky 9","wait":45}`); a.Outcome != tool.Failed || !strings.Contains(a.Text, `pool: \"web\"`) || len(sim.Writes(w.Sent())) > 0 {
			t.Errorf("%s", a.Text)
		}
		if a := w.Call("pve_create_container", `{"name":"ct","template":"rocky 9","pool":"web","wait":45}`); a.Outcome != tool.OK {
			t.Errorf("%s", a.Text)
		}
	})
}
