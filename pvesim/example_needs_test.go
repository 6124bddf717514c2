package pvesim_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// end does what the end of a test does.
func (t *exampleTB) end() {
	for _, f := range t.cleanups {
		f()
	}
}

// data is the data of an answer, or why there are none.
func data(resp *http.Response, err error) any {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var body struct{ Data any }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	return body.Data
}

// A cluster is what a test needs: here a node with one VM, whose agent tells an address.
func ExampleModel() {
	t := &exampleTB{}
	defer t.end()
	server := pvesim.New(t, pvesim.WithModel(pvesim.Model{
		PVE:      "8.4.1",
		Nodes:    []pvesim.Node{{Name: "alpha", CPUs: 4, Memory: 16 << 30, Disk: 100 << 30}},
		Storages: []pvesim.Storage{{ID: "local", Type: "dir", Content: "images,iso", Size: 50 << 30}},
		Guests: []pvesim.Guest{{
			Node: "alpha", VMID: 7000, Kind: "qemu", Running: true, Up: time.Hour, IPs: []string{"10.0.0.9/24"},
			Config: map[string]string{"name": "shop", "memory": "2048", "agent": "1", "net0": "virtio=BC:24:11:00:00:09,bridge=vmbr0"},
		}},
		Users:  []pvesim.User{{ID: "root@pam"}},
		Tokens: []pvesim.Token{{ID: "root@pam!ci", Secret: "11111111-1111-4111-8111-111111111111"}},
	}))
	fmt.Println(data(server.Client().Get(server.URL + "/api2/json/nodes/alpha/qemu/7000/agent/get-host-name")))
	// Output: map[result:map[host-name:shop]]
}

// The files of a cluster have no room left.
func ExampleScenario() {
	model := pvesim.Cluster()
	for _, scenario := range pvesim.Scenarios() {
		if scenario.Name == "full-disk" {
			if err := scenario.Apply(&model); err != nil {
				panic(err)
			}
		}
	}
	t := &exampleTB{}
	defer t.end()
	server := pvesim.New(t, pvesim.WithModel(model))
	status, _ := data(server.Client().Get(server.URL + "/api2/json/nodes/pve1/storage/nfs/status")).(map[string]any)
	fmt.Println(status["avail"])
	// Output: 0
}

// A token with few privileges may use one guest, and no other.
func ExampleToken() {
	model := pvesim.Lab()
	model.Users = append(model.Users, pvesim.User{ID: "ci@pve"})
	model.ACL = append(model.ACL, pvesim.ACL{Path: "/vms/102", Who: "ci@pve", Role: "PVEVMUser"})
	token := pvesim.Token{ID: "ci@pve!job", Secret: "22222222-2222-4222-8222-222222222222"} // with all that its user may do
	model.Tokens = append(model.Tokens, token)
	t := &exampleTB{}
	defer t.end()
	server := pvesim.New(t, pvesim.WithModel(model))
	for _, guest := range []string{"102", "103"} {
		req, err := http.NewRequest("POST", server.URL+"/api2/json/nodes/pve/lxc/"+guest+"/status/start", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token.Header())
		fmt.Println(data(server.Client().Do(req)))
	}
	refused := server.Sim.Requests()[1]
	fmt.Println(refused.User, refused.Endpoint, refused.Checks[0].Path, refused.Checks[0].Privs)
	// Output:
	// 500 CT 102 already running
	// 403 Permission check failed (/vms/103, VM.PowerMgmt)
	// ci@pve!job /nodes/{node}/lxc/{vmid}/status/start /vms/103 [VM.PowerMgmt]
}

// A backup of minutes takes no time: the clock is advanced past its end.
func ExampleWithClock() {
	t := &exampleTB{}
	defer t.end()
	clock := pvesim.NewVirtual(time.Unix(1_800_000_000, 0))
	server := pvesim.New(t, pvesim.WithClock(clock))
	node := server.URL + "/api2/json/nodes/pve1"
	upid := data(server.Client().PostForm(node+"/vzdump", url.Values{"vmid": {"200"}, "storage": {"nfs"}})).(string)
	for range 2 {
		status, _ := data(server.Client().Get(node + "/tasks/" + url.PathEscape(upid) + "/status")).(map[string]any)
		fmt.Println(status["status"], status["exitstatus"])
		clock.Advance(time.Hour)
	}
	// Output:
	// running <nil>
	// stopped OK
}

// After a test, the state is a model, too.
func ExampleSim_Model() {
	t := &exampleTB{}
	defer t.end()
	server := pvesim.New(t, pvesim.WithModel(pvesim.Lab()))
	req, err := http.NewRequest("PUT", server.URL+"/api2/json/nodes/pve/qemu/100/config?tags=prod&cores=4", nil)
	if err != nil {
		t.Fatal(err)
	}
	data(server.Client().Do(req))
	after, err := server.Sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range after.Guests {
		if g.VMID == 100 {
			fmt.Println(g.Config["tags"], g.Config["cores"], g.Pending)
		}
	}
	// Output: prod 2 map[cores:4]
}

// A user logs in with a password. The client sends no token with it, and trusts the
// cluster's CA.
func ExampleUser() {
	t := &exampleTB{}
	defer t.end()
	server := pvesim.New(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.CA)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	for _, password := range []string{"simulated", "guessed"} {
		login := data(client.PostForm(server.URL+"/api2/json/access/ticket", url.Values{"username": {"audit@pve"}, "password": {password}}))
		if ticket, ok := login.(map[string]any); ok {
			login = ticket["username"]
		}
		fmt.Println(login)
	}
	// Output:
	// audit@pve
	// 401 authentication failure
}

// A node loses its network, and comes back.
func ExampleSim_SetOnline() {
	t := &exampleTB{}
	defer t.end()
	server := pvesim.New(t)
	for _, up := range []bool{false, true} {
		if err := server.Sim.SetOnline("pve2", up); err != nil {
			t.Fatal(err)
		}
		guests, ok := data(server.Client().Get(server.URL + "/api2/json/nodes/pve2/lxc")).([]any)
		fmt.Println(ok, len(guests))
	}
	// Output:
	// false 0
	// true 1
}

// A listener of one's own serves other machines, such as the other containers of a test.
func ExampleSim_Serve() {
	sim, err := pvesim.NewSim(pvesim.Lab(), pvesim.Options{})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // or an address that they reach
	if err != nil {
		panic(err)
	}
	served, err := sim.Serve("pve", listener)
	if err != nil {
		panic(err)
	}
	defer func() { _ = served.Close() }()
	fmt.Println(strings.HasPrefix(served.URL(), "https://127.0.0.1:"))
	// Output: true
}
