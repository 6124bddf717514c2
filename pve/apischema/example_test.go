package apischema_test

import (
	"fmt"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

func ExampleAPI_Validate() {
	api, err := apischema.Load(9)
	if err != nil {
		panic(err)
	}
	ep, params, _ := api.Find("PUT", "/nodes/pve1/qemu/100/config")
	params["cores"] = "two"
	params["net0"] = "virtio,bridge=vmbr0"
	_, err = api.Validate(ep, params)
	fmt.Print(err)
	// Output:
	// Parameter verification failed.
	// cores: type check ('integer') failed - got 'two'
}
