package pvesim_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// exampleTB is the part of a *testing.T that [pvesim.New] needs, for an example.
type exampleTB struct{ cleanups []func() }

func (*exampleTB) Helper()            {}
func (*exampleTB) Fatal(args ...any)  { panic(fmt.Sprint(args...)) }
func (t *exampleTB) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// In a test, t is its *testing.T.
func ExampleNew() {
	t := &exampleTB{}
	server := pvesim.New(t)
	resp, err := server.Client().Get(server.URL + "/api2/json/nodes/pve2/qemu/106/agent/get-osinfo")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	for _, f := range t.cleanups { // as the test's end does
		f()
	}
	// Output: 500 QEMU guest agent is not running
}

// An endpoint that is not simulated can be added, with PVE's checks of its parameters and
// privileges.
func ExampleSim_Handle() {
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{})
	if err != nil {
		panic(err)
	}
	sim.Handle("GET /nodes/{node}/hardware/usb", func(c *pvesim.Call) (any, error) {
		if c.Node() == "pve3" {
			return nil, pvesim.Refusal(500, "no such bus")
		}
		return []any{map[string]any{"product": "a key", "speed": "480"}}, nil
	})
	for _, node := range []string{"pve1", "pve3"} {
		req, err := http.NewRequest("GET", sim.URL()+"/api2/json/nodes/"+node+"/hardware/usb", nil)
		if err != nil {
			panic(err)
		}
		req.Header.Set("Authorization", model.Token("root@pam!full").Header())
		resp, err := sim.Transport().RoundTrip(req)
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status, string(body))
	}
	// Output:
	// 200 OK {"data":[{"product":"a key","speed":"480"}]}
	// 500 no such bus {"data":null,"message":"no such bus"}
}

// A simulated cluster is a transport: any HTTP client can use it.
func ExampleSim_Transport() {
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: sim.Transport()}
	req, err := http.NewRequest("POST", sim.URL()+"/api2/json/nodes/pve1/lxc/200/status/start", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", model.Token("ops@pve!mcp").Header())
	resp, err := client.Do(req)
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 500 CT 200 already running
}

// The first start is refused, and the answer to the second is lost.
func ExampleFault() {
	model := pvesim.Cluster()
	start := "POST /nodes/*/lxc/*/status/start"
	model.Faults = []pvesim.Fault{
		{Match: start, Max: 1, Status: 500, Message: "got timeout"},
		{Match: start, Max: 1, Drop: true},
	}
	sim, err := pvesim.NewSim(model, pvesim.Options{})
	if err != nil {
		panic(err)
	}
	for range 2 {
		req, err := http.NewRequest("POST", sim.URL()+"/api2/json/nodes/pve3/lxc/204/status/start", nil)
		if err != nil {
			panic(err)
		}
		req.Header.Set("Authorization", model.Token("ops@pve!mcp").Header())
		resp, err := sim.Transport().RoundTrip(req)
		if err != nil {
			fmt.Println(err)
			continue
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	fmt.Println(len(sim.Requests()), "requests, rules fired:", sim.Fired())
	// Output:
	// 500 got timeout
	// unexpected EOF
	// 2 requests, rules fired: [1 1]
}

// A virtual clock stands still until a test advances it.
func ExampleVirtual() {
	clock := pvesim.NewVirtual(time.Unix(0, 0))
	clock.Advance(90 * time.Minute)
	fmt.Println(clock.Now().Unix())
	// Output: 5400
}

// A rule can be written as a line of text.
func ExampleParseFault() {
	rule, err := pvesim.ParseFault(`POST /nodes/*/vzdump task-fails="job errors" guest=100 fails-at=50`)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s after %d %% of the work for guest %d\n", rule.TaskFails, rule.FailsAt, rule.Guest)
	fmt.Println(rule)
	// Output:
	// job errors after 50 % of the work for guest 100
	// POST /nodes/*/vzdump guest=100 task-fails="job errors" fails-at=50
}

// A cluster goes on from where it was saved.
func ExampleSim_Save() {
	clock := pvesim.NewVirtual(time.Unix(1_800_000_000, 0))
	sim, err := pvesim.NewSim(pvesim.Lab(), pvesim.Options{Clock: clock})
	if err != nil {
		panic(err)
	}
	var file bytes.Buffer
	if err := sim.Save(&file); err != nil {
		panic(err)
	}
	clock.Advance(time.Hour)
	again, err := pvesim.Load(&file, pvesim.Options{Clock: clock})
	if err != nil {
		panic(err)
	}
	fmt.Println(again, again.Now().Unix())
	// Output: simulated cluster of 1 nodes and 5 guests 1800003600
}
