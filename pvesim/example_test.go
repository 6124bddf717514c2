package pvesim_test

import (
	"fmt"
	"net/http"
	"time"

	"pve-mcp/pvesim"
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

// A virtual clock stands still until it is told to go on.
func ExampleVirtual() {
	clock := pvesim.NewVirtual(time.Unix(0, 0))
	clock.Advance(90 * time.Minute)
	fmt.Println(clock.Now().Unix())
	// Output: 5400
}
