package pvesim_test

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A simulated cluster is a transport: any HTTP client can use it.
func ExampleSim_Transport() {
	model := pvesim.Cluster()
	sim, err := pvesim.New(model, pvesim.Options{})
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
	sim, err := pvesim.New(model, pvesim.Options{})
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

// A virtual clock stands still until it is told to go on.
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
	sim, err := pvesim.New(pvesim.Lab(), pvesim.Options{Clock: clock})
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
